package resolve

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"
)

// special are the ranges that IANA's special-purpose registries keep from the
// public Internet, inside what public lets through otherwise.
var special = func() []netip.Prefix {
	var out []netip.Prefix
	for _, s := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
		"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
		"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
		"2001::/23", "2001:db8::/32", "3fff::/20",
	} {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}()

var (
	global6 = netip.MustParsePrefix("2000::/3")
	sixTo4  = netip.MustParsePrefix("2002::/16")
	nat64   = netip.MustParsePrefix("64:ff9b::/96")
)

// public reports whether a is an address of the public Internet. An IPv6
// address that carries an IPv4 one is judged by that.
func public(a netip.Addr) bool {
	if a.Zone() != "" {
		return false
	}
	a = a.Unmap()
	b := a.As16()
	switch {
	case nat64.Contains(a):
		return public(netip.AddrFrom4([4]byte(b[12:16])))
	case sixTo4.Contains(a):
		return public(netip.AddrFrom4([4]byte(b[2:6])))
	case a.Is6() && !global6.Contains(a):
		return false
	}
	return !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(a) })
}

// inside reports whether an allowed registry may have the address: loopback
// and the ranges that sites number their own networks from. Link-local stays
// out, because cloud metadata services live there.
func inside(a netip.Addr) bool {
	if a.Zone() != "" {
		return false
	}
	a = a.Unmap()
	return a.IsLoopback() || a.IsPrivate() || netip.MustParsePrefix("100.64.0.0/10").Contains(a)
}

// localName reports names that never belong to a public registry.
func localName(host string) bool {
	host = "." + strings.TrimSuffix(strings.ToLower(host), ".")
	return slices.ContainsFunc([]string{".localhost", ".local", ".internal", ".home.arpa"},
		func(s string) bool { return strings.HasSuffix(host, s) })
}

// dialer connects to addresses that pass the filter. The filter sees the
// address of the connection itself, so that a name that resolves differently
// the second time gains nothing.
type dialer struct {
	resolver *net.Resolver
	allow    hosts  // may be inside; none for a registry that is not allowed itself
	option   string // that allows it
	kind     error  // of a refusal
}

func (d dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	allowed := d.allow.has(host, port)
	if !allowed && localName(host) {
		return nil, d.denied(host, port)
	}
	nd := net.Dialer{Timeout: 10 * time.Second, Resolver: d.resolver}
	nd.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil || !public(ap.Addr()) && !(allowed && inside(ap.Addr())) {
			return d.denied(host, port)
		}
		return nil
	}
	return nd.DialContext(ctx, network, addr)
}

// denied does not tell the address: what names resolve to inside is nobody's
// business outside.
func (d dialer) denied(host, port string) error {
	return &failure{kind: d.kind, why: fmt.Sprintf(
		"%s is not at a public address; --%s %s allows a private one", host, d.option, net.JoinHostPort(host, port))}
}
