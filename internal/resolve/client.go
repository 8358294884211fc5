package resolve

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
)

// Client reads images from registries. It holds idle connections and no other
// state; it is safe for concurrent use.
type Client struct {
	cfg      Config
	allow    hosts // may be inside, mirrors included
	insecure hosts
	mirrors  map[string]string
	keychain authn.Keychain
	gate     *gate

	// Two transports, so that a registry that is not allowed can neither dial
	// an allowed host nor find a connection to one in the pool.
	open, inside http.RoundTripper
}

// New checks the configuration; it contacts nobody.
func New(cfg Config) (*Client, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, mirrors: map[string]string{}, keychain: authn.DefaultKeychain, gate: newGate(cfg.Parallel)}
	var err error
	if c.allow, err = parseHosts("allowed registry", cfg.AllowRegistries); err != nil {
		return nil, err
	}
	if c.insecure, err = parseHosts("insecure registry", cfg.InsecureRegistries); err != nil {
		return nil, err
	}
	for from, to := range cfg.Mirrors {
		host, mirror, err := ParseMirror(from + "=" + to)
		if err != nil {
			return nil, err
		}
		if _, twice := c.mirrors[host]; twice {
			return nil, fmt.Errorf("%w: two mirrors for %q", ErrConfig, host)
		}
		c.mirrors[host] = mirror
		c.allow[mirror] = true
	}
	if cfg.DockerConfig != "" {
		c.keychain = directory(cfg.DockerConfig)
	}
	c.open = c.transport(nil)
	c.inside = c.transport(c.allow)
	return c, nil
}

func (c *Client) transport(allow hosts) http.RoundTripper {
	return filtered(dialer{resolver: c.cfg.Resolver, allow: allow, option: "allow-registry", kind: ErrDenied}, c.cfg.RootCAs)
}

// filtered is a transport that connects by d alone.
func filtered(d dialer, roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy:                  nil, // see the package comment
		DialContext:            d.dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // a compressed answer would go round the limits
		MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConnsPerHost:    4,
		MaxIdleConns:           32,
		IdleConnTimeout:        30 * time.Second,
	}
}
