package resolve

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Limits on what a registry may send.
const (
	maxManifest  = 4 << 20
	maxConfig    = 4 << 20
	maxOther     = 64 << 10 // token answers, pings, error bodies
	maxRedirects = 5
)

// errScheme ends the attempt, of the two that the handshake races, whose
// scheme the registry may not be spoken to in. It never reaches a caller.
var errScheme = errors.New("scheme not allowed for this registry")

// guard is the only way to the network. It sits under the library that does
// the authentication handshake and applies this package's rules to each of
// its requests: which scheme, which host may see credentials, where redirects
// may lead, how long an answer may be.
type guard struct {
	next   http.RoundTripper
	target string // HOST[:PORT] of the registry spoken to
	plain  bool   // the target may be spoken to in plain HTTP
	client *Client
}

// note collects, for one operation, what the library would bury in its own
// error texts.
type note struct {
	mu       sync.Mutex
	err      error // why the last request got no answer
	answered bool
	after    time.Duration
}

type noteKey struct{}

func (n *note) set(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.err = err
}

// failed keeps why there was no answer. Where HTTPS and plain HTTP are raced,
// the one that lost explains nothing.
func (n *note) failed(err error, raced bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !raced || !n.answered {
		n.err = err
	}
}

func (n *note) answer(after time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.err, n.answered, n.after = nil, true, after
}

// RoundTrip follows redirects itself, so that the same rules hold for every
// hop of every request.
func (g *guard) RoundTrip(first *http.Request) (*http.Response, error) {
	n, _ := first.Context().Value(noteKey{}).(*note)
	resp, err := g.follow(first)
	if err != nil {
		if !errors.Is(err, errScheme) {
			err = unreached(err)
			if n != nil {
				n.failed(err, g.plain && g.owns(first.URL) && first.URL.Scheme == "https")
			}
		}
		return nil, err
	}
	if n != nil {
		n.answer(retryAfter(resp.Header.Get("Retry-After")))
	}
	resp.Request = first
	g.bound(resp, first)
	return resp, nil
}

func (g *guard) follow(first *http.Request) (*http.Response, error) {
	req := first.Clone(first.Context())
	req.Header.Set("User-Agent", g.client.cfg.UserAgent)
	for hop := 0; ; hop++ {
		if err := g.permit(req); err != nil {
			return nil, err
		}
		resp, err := g.next.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		location := resp.Header.Get("Location")
		if resp.StatusCode < 300 || resp.StatusCode > 399 || location == "" {
			if !sameOrigin(first.URL, req.URL) {
				// Another host's challenge must not steer a token request.
				resp.Header.Del("WWW-Authenticate")
			}
			return resp, nil
		}
		resp.Body.Close()
		if hop == maxRedirects {
			return nil, fail(ErrInvalid, "it redirects more than %d times", maxRedirects)
		}
		if req, err = redirected(req, location); err != nil {
			return nil, err
		}
	}
}

// redirected is the request after a redirect. Credentials stay with the host
// that they were meant for, and do not come back once dropped.
func redirected(req *http.Request, location string) (*http.Request, error) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		return nil, fail(ErrDenied, "it redirects a request that carries credentials")
	}
	u, err := req.URL.Parse(location)
	if err != nil {
		return nil, fail(ErrInvalid, "it redirects to %q, which is no URL", clip(location))
	}
	if req.URL.Scheme == "https" && u.Scheme != "https" {
		return nil, fail(ErrDenied, "it redirects from HTTPS to %s", clip(u.Scheme+"://"+u.Host))
	}
	next := req.Clone(req.Context())
	next.URL, next.Host = u, ""
	if !sameOrigin(req.URL, u) {
		next.Header.Del("Authorization")
	}
	return next, nil
}

// permit applies the rules to one request, and takes credentials off one that
// may be sent but may not carry them.
func (g *guard) permit(req *http.Request) error {
	u := req.URL
	host, port := splitHost(u.Host, defaultPort(u.Scheme))
	own := g.owns(u)
	switch {
	case u.User != nil:
		return fail(ErrDenied, "it sends us to %s with a user name in the URL", clip(u.Host))
	case u.Scheme == "http" && own && !g.plain:
		return errScheme
	case u.Scheme == "http" && !own && !g.client.insecure.has(host, port):
		return fail(ErrDenied, "it sends us to %s, which is plain HTTP", clip("http://"+u.Host))
	case u.Scheme != "http" && u.Scheme != "https":
		return fail(ErrDenied, "it sends us to a URL with the scheme %q", clip(u.Scheme))
	}
	if own || u.Scheme == "https" && (related(g.target, host) || g.client.allow.has(host, port)) {
		return nil
	}
	req.Header.Del("Authorization")
	if req.Method == http.MethodPost {
		return fail(ErrDenied, "its token service %s is on a foreign host, which gets no credentials; --allow-registry %s allows that", clip(u.Host), clip(u.Host))
	}
	return nil
}

// owns reports whether u is at the registry itself.
func (g *guard) owns(u *url.URL) bool {
	host, port := splitHost(g.target, defaultPort(u.Scheme))
	h, p := splitHost(u.Host, defaultPort(u.Scheme))
	return strings.EqualFold(host, h) && port == p
}

// related reports whether a token service's host belongs with a registry's:
// the same host, its parent domain, or another name under that, such as
// auth.docker.io for index.docker.io and gitlab.com for registry.gitlab.com.
// Addresses have no relatives.
func related(target, host string) bool {
	own, _ := splitHost(target, "")
	own, host = strings.ToLower(own), strings.ToLower(host)
	if own == host {
		return true
	}
	if last := own[strings.LastIndexByte(own, '.')+1:]; strings.Contains(own, ":") || last == "" || last[0] <= '9' {
		return false
	}
	domain := own
	if strings.Count(own, ".") >= 2 {
		_, domain, _ = strings.Cut(own, ".")
	}
	return host == domain || strings.HasSuffix(host, "."+domain)
}

// bound cuts the body at the limit for its kind.
func (g *guard) bound(resp *http.Response, first *http.Request) {
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxOther), resp.Body}
		return
	}
	most, what := int64(maxOther), "an answer"
	if g.owns(first.URL) {
		switch {
		case strings.Contains(first.URL.Path, "/manifests/"):
			most, what = maxManifest, "a manifest"
		case strings.Contains(first.URL.Path, "/blobs/"):
			most, what = maxConfig, "an image configuration"
		}
	}
	n, _ := first.Context().Value(noteKey{}).(*note)
	resp.Body = &boundBody{ReadCloser: resp.Body, left: most, note: n, over: fail(ErrTooLarge, "it sends %s of more than %d bytes", what, most)}
}

// boundBody fails once there is more than the limit.
type boundBody struct {
	io.ReadCloser
	left int64
	note *note
	over error
}

func (b *boundBody) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if int64(n) > b.left {
		if b.note != nil {
			b.note.set(b.over)
		}
		return int(b.left), b.over
	}
	b.left -= int64(n)
	return n, err
}

func sameOrigin(a, b *url.URL) bool {
	ah, ap := splitHost(a.Host, defaultPort(a.Scheme))
	bh, bp := splitHost(b.Host, defaultPort(b.Scheme))
	return a.Scheme == b.Scheme && strings.EqualFold(ah, bh) && ap == bp
}

func defaultPort(scheme string) string {
	if scheme == "http" {
		return "80"
	}
	return "443"
}

// retryAfter reads seconds; the form with a date is not worth a clock here.
func retryAfter(s string) time.Duration {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(min(n, 1<<31)) * time.Second
}

func withNote(ctx context.Context) (context.Context, *note) {
	n := &note{}
	return context.WithValue(ctx, noteKey{}, n), n
}
