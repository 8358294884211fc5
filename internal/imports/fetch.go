package imports

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"chartd.dev/chartd/internal/api"
)

// fetcher reads a repository over HTTP. Credentials in the repository's URL
// are sent to its origin and nowhere else, wherever the index or a redirect
// points.
type fetcher struct {
	http  *http.Client
	agent string
	home  *url.URL // nil: no credentials at all
	max   int64    // bytes of a package
	wait  time.Duration
}

func newFetcher(o Options, home *url.URL) *fetcher {
	f := &fetcher{agent: o.UserAgent, home: home, max: o.Limits.Packed, wait: o.Backoff}
	if f.wait == 0 {
		f.wait = 250 * time.Millisecond
	}
	f.http = &http.Client{
		Timeout:       5 * time.Minute,
		CheckRedirect: f.redirect,
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			ForceAttemptHTTP2:     true,
			TLSHandshakeTimeout:   10 * time.Second,
			ResponseHeaderTimeout: time.Minute,
			MaxIdleConnsPerHost:   16,
			// Some servers call a package "Content-Encoding: gzip"; undoing
			// that would leave another file than the digest is of.
			DisableCompression: true,
		},
	}
	return f
}

// errRedirect is a redirect that is not followed, now or later.
var errRedirect = errors.New("redirected")

func (f *fetcher) redirect(next *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return fmt.Errorf("%w in circles", errRedirect)
	}
	if next.URL.Scheme != "http" && next.URL.Scheme != "https" {
		return fmt.Errorf("%w to %q, which is not HTTP", errRedirect, next.URL.Redacted())
	}
	f.credentials(next)
	return nil
}

// credentials sets or drops them, by where the request goes.
func (f *fetcher) credentials(req *http.Request) {
	req.Header.Del("Authorization")
	req.Header.Del("Referer")
	if f.home == nil || f.home.User == nil || req.URL.Scheme != f.home.Scheme || !strings.EqualFold(req.URL.Host, f.home.Host) {
		return
	}
	password, _ := f.home.User.Password()
	req.SetBasicAuth(f.home.User.Username(), password)
}

// get fetches at most max bytes. errNone says that there is no such file; an
// *api.Error with CodeUnavailable that the server can't be reached.
func (f *fetcher) get(ctx context.Context, u *url.URL, max int64) ([]byte, error) {
	const tries = 4
	wait := f.wait
	for try := 1; ; try++ {
		b, again, err := f.once(ctx, u, max)
		if err == nil || !again || try == tries {
			return b, err
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil, ctx.Err()
		case <-t.C:
		}
		wait *= 2
	}
}

func (f *fetcher) once(ctx context.Context, u *url.URL, max int64) (b []byte, again bool, err error) {
	bare := *u
	bare.User = nil
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, bare.String(), nil)
	if err != nil {
		return nil, false, fail(api.CodeInvalid, "fetch %q: %v", u.Redacted(), err)
	}
	req.Header.Set("User-Agent", f.agent)
	f.credentials(req)
	resp, err := f.http.Do(req)
	if err == nil {
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			again, err = f.status(u, resp)
			return nil, again, err
		}
		b, err = io.ReadAll(io.LimitReader(resp.Body, max+1))
	}
	switch {
	case ctx.Err() != nil:
		return nil, false, ctx.Err()
	case errors.Is(err, errRedirect):
		return nil, false, cause(err)
	case err != nil:
		return nil, true, fail(api.CodeUnavailable, "fetch %q: %v", u.Redacted(), cause(err))
	case int64(len(b)) > max:
		return nil, false, fmt.Errorf("%w: over %d bytes", errTooLarge, max)
	}
	return b, false, nil
}

// cause drops net/http's prefix with method and URL.
func cause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func (f *fetcher) status(u *url.URL, resp *http.Response) (again bool, err error) {
	switch resp.StatusCode {
	case http.StatusNotFound, http.StatusGone:
		return false, errNone
	case http.StatusUnauthorized:
		return false, fail(api.CodeUnauthorized, "fetch %q: %s: put the credentials in the URL, https://USER:PASSWORD@HOST/", u.Redacted(), resp.Status)
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true, fail(api.CodeUnavailable, "fetch %q: %s", u.Redacted(), resp.Status)
	}
	return resp.StatusCode >= 500, fmt.Errorf("%s", resp.Status)
}

func (f *fetcher) candidate(u *url.URL, e *entry) candidate {
	prov := *u
	prov.Path, prov.RawPath = u.Path+".prov", ""
	return candidate{
		file: u.Redacted(), entry: e, fetched: true,
		read: func(ctx context.Context) ([]byte, error) { return f.get(ctx, u, f.max) },
		prov: func(ctx context.Context) ([]byte, error) { return f.get(ctx, &prov, maxProv) },
	}
}

func openURL(ctx context.Context, o Options, u *url.URL) (*source, error) {
	if base := path.Base(u.Path); !strings.HasSuffix(base, ".yaml") && !strings.HasSuffix(base, ".json") {
		u = u.JoinPath("index.yaml")
	}
	s := &source{name: u.Redacted()}
	if o.Index == "" {
		o.Index = u.String()
	}
	if err := s.readIndex(ctx, o); err != nil {
		if errors.Is(err, errNone) {
			err = fail(api.CodeNotFound, "there is no index at %q: want the URL of a chart repository", u.Redacted())
		}
		return nil, err
	}
	f := newFetcher(o, u)
	seen := map[string]bool{}
	for _, e := range s.entries {
		if seen[e.String()] {
			s.find(Finding{Kind: Duplicate, Chart: e.String(), File: e.file(), Message: "the index lists this version twice"})
		}
		seen[e.String()] = true
		if len(e.URLs) == 0 {
			s.find(Finding{Kind: NoFile, Chart: e.String(), Message: "the index has no URL for this version"})
			continue
		}
		// The query of the repository's URL is copied, as Helm does.
		target, err := u.Parse(e.URLs[0])
		if err != nil || target.Scheme != "http" && target.Scheme != "https" {
			s.find(Finding{Kind: NoFile, Chart: e.String(), File: e.URLs[0], Message: "the URL in the index is not http or https"})
			continue
		}
		if target.RawQuery == "" && sameOrigin(target, u) {
			target.RawQuery = u.RawQuery
		}
		target.User = nil
		s.packages = append(s.packages, f.candidate(target, e))
	}
	return s, nil
}

func sameOrigin(a, b *url.URL) bool { return a.Scheme == b.Scheme && strings.EqualFold(a.Host, b.Host) }
