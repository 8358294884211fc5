package resolve

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
)

// ErrAddress says that an address is none that requests are sent to.
var ErrAddress = errors.New("address not allowed")

// Outward speaks to addresses of the public Internet, and to those inside
// that were allowed by name. It is for requests whose target somebody else
// chose, such as a webhook's.
type Outward struct {
	http.RoundTripper
	dialer
}

// NewOutward allows HOST or HOST:PORT (without port: every port) to have a
// loopback or private address, and to be spoken to in plain HTTP. option is
// what the operator set them by, for messages.
func NewOutward(option string, allow []string) (*Outward, error) {
	set, err := parseHosts(option, allow)
	if err != nil {
		return nil, err
	}
	d := dialer{allow: set, option: option, kind: ErrAddress}
	return &Outward{filtered(d, nil), d}, nil
}

// Check refuses a URL that no request will reach: what a name resolves to is
// seen with each request.
func (o *Outward) Check(u *url.URL) error {
	host, port := splitHost(u.Host, defaultPort(u.Scheme))
	allowed := o.allow.has(host, port)
	a, notIP := netip.ParseAddr(host)
	switch {
	case u.Scheme == "http" && !allowed:
		return fail(ErrAddress, "%s is plain HTTP; --%s %s allows that", clip("http://"+u.Host), o.option, net.JoinHostPort(host, port))
	case !allowed && (localName(host) || notIP == nil && !public(a)):
		return o.denied(host, port)
	case allowed && notIP == nil && !public(a) && !inside(a):
		return fail(ErrAddress, "%s is an address that nothing is sent to", clip(host))
	}
	return nil
}
