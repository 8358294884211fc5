package resolve

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"chartd.dev/chartd/internal/ref"
)

// Defaults of Config.
const (
	DefaultTimeout  = 30 * time.Second
	DefaultBackoff  = 250 * time.Millisecond
	DefaultParallel = 8
)

// ErrConfig is wrapped by the errors of New and ParseMirror.
var ErrConfig = errors.New("registry configuration")

// Config is fixed for the life of a Client. The zero value reads public
// registries over HTTPS.
type Config struct {
	// AllowRegistries are HOST or HOST:PORT (without port: every port) that
	// may have a loopback or private address. A registry that is not listed
	// cannot send us to a listed one either.
	AllowRegistries []string
	// InsecureRegistries are HOST or HOST:PORT (without port: every port)
	// that may be spoken to in plain HTTP. HTTPS is tried first.
	InsecureRegistries []string
	// Mirrors sends requests for a canonical host to another HOST[:PORT]; the
	// image keeps its name. A mirror is allowed any address. One on loopback
	// ("localhost" or an address) may be plain HTTP, as container engines
	// have it; another needs to be in InsecureRegistries.
	Mirrors map[string]string
	// DockerConfig is the directory of Docker's config.json; "" is the usual
	// place ($DOCKER_CONFIG, ~/.docker, or Podman's auth.json). Credentials
	// are looked up under the host that is spoken to: a mirror never gets
	// those of the registry it stands for.
	DockerConfig string
	// Timeout bounds one Resolve with all its tries; 0 is DefaultTimeout.
	Timeout time.Duration
	// Backoff is the wait before the second try, four times that before the
	// third and last; 0 is DefaultBackoff.
	Backoff time.Duration
	// Parallel is how many images are read at the same time, half of them of
	// the same registry; 0 is DefaultParallel.
	Parallel int
	// UserAgent of every request; "" is "chartd".
	UserAgent string
	// RootCAs are the certificate authorities; nil is the system's.
	RootCAs *x509.CertPool
	// Resolver looks up host names; nil is the system's.
	Resolver *net.Resolver
}

// ParseMirror reads "HOST[:PORT]=HOST[:PORT]", as in
// "quay.io=127.0.0.1:5000": the registry in image names, then where its
// requests go.
func ParseMirror(s string) (host, mirror string, err error) {
	host, mirror, ok := strings.Cut(s, "=")
	if ok {
		if host, err = parseHost(host); err == nil {
			mirror, err = parseHost(mirror)
		}
	}
	if !ok || err != nil {
		return "", "", fmt.Errorf("%w: mirror %q: want HOST[:PORT]=HOST[:PORT], such as quay.io=127.0.0.1:5000", ErrConfig, s)
	}
	return host, mirror, nil
}

// parseHost takes HOST[:PORT] by the grammar of image names, and gives Docker
// Hub its one canonical name.
func parseHost(s string) (string, error) {
	s = strings.ToLower(s)
	if strings.ContainsAny(s, "/@=") || s == "" {
		return "", fmt.Errorf("%w: %q is no HOST[:PORT]", ErrConfig, s)
	}
	// "x" alone would be read as a repository at Docker Hub.
	probe := s
	if !strings.ContainsAny(s, ".:") {
		probe += ":443"
	}
	r, err := ref.ParseRepository(probe + "/a/b")
	if err != nil {
		return "", fmt.Errorf("%w: %q is no HOST[:PORT]", ErrConfig, s)
	}
	if r.Host() == probe {
		return s, nil
	}
	return r.Host(), nil
}

// hosts is a set of HOST and HOST:PORT.
type hosts map[string]bool

func parseHosts(option string, list []string) (hosts, error) {
	set := hosts{}
	for _, s := range list {
		h, err := parseHost(s)
		if err != nil {
			return nil, fmt.Errorf("%w: %s %q: want HOST or HOST:PORT, such as registry.example.org:5000", ErrConfig, option, s)
		}
		set[h] = true
	}
	return set, nil
}

// has reports whether the set names host:port, or host with every port.
func (s hosts) has(host, port string) bool {
	if host == "index.docker.io" {
		host = "docker.io"
	}
	bare := host
	if strings.Contains(host, ":") {
		bare = "[" + host + "]"
	}
	return s[bare] || s[net.JoinHostPort(host, port)]
}

// splitHost splits HOST[:PORT] and strips the brackets of an IPv6 address.
func splitHost(s, defaultPort string) (host, port string) {
	if h, p, err := net.SplitHostPort(s); err == nil {
		return h, p
	}
	return strings.Trim(s, "[]"), defaultPort
}

// isLoopback reports whether a mirror as written is on this machine; names
// other than localhost are not looked up for it.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

func (c *Config) validate() error {
	switch {
	case c.Timeout < 0 || c.Backoff < 0:
		return fmt.Errorf("%w: timeout %s and backoff %s must not be negative", ErrConfig, c.Timeout, c.Backoff)
	case c.Parallel < 0 || c.Parallel > 1000:
		return fmt.Errorf("%w: parallel %s: want 1 to 1000, or 0 for the default", ErrConfig, strconv.Itoa(c.Parallel))
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Backoff == 0 {
		c.Backoff = DefaultBackoff
	}
	if c.Parallel == 0 {
		c.Parallel = DefaultParallel
	}
	if c.UserAgent == "" {
		c.UserAgent = "chartd"
	}
	return nil
}
