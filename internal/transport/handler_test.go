package transport

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/mux"
)

// newHandler answers errors with their text.
func newHandler(routes ...Route) *Handler {
	return New(Config{
		Routes: routes, Metrics: NewMetrics(), Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Methods: func(*Call) error { return nil },
		Problem: func(err error, _ string) Problem {
			status := http.StatusInternalServerError
			if errors.Is(err, ErrNotFound) {
				status = http.StatusNotFound
			}
			return Problem{status, "refused"}
		},
	})
}

// serve answers every request with one function.
func serve(fn func(*Call) error) *Handler {
	return newHandler(Route{Method: http.MethodGet, Path: "/", Places: []string{"/"}, Serve: fn})
}

// listen serves a handler over real connections.
func listen(t testing.TB, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// What was found once is what the router finds again, for every route and
// whatever else is asked for.
func TestKeptTargetsAreTheRouters(t *testing.T) {
	templates := []string{"/index.yaml", "/charts/{file}", "/charts/{name}/index.yaml", "/api/v1/environments/{hub}/{stage}/pins",
		"/api/v1/environments/{hub}/{stage}/pins/{revision:[0-9]+}", "/api/v1/environments/{hub}/{stage}/pins/by-key/{key}",
		"/environments/{hub}/{stage}/revisions/{revision:[0-9]+}/index.yaml", "/environments/{hub}/{stage}/revisions/{revision:[0-9]+}/{file}", "/"}
	var served *Route
	var vars map[string]string
	var routes []Route
	for i, template := range templates {
		rt := Route{Method: []string{"GET", "POST"}[i%2], Path: template, Places: []string{template, "/org" + template}}
		rt.Serve = func(c *Call) error { served, vars = &rt, c.vars; return nil }
		routes = append(routes, rt)
	}
	h := newHandler(routes...)
	paths := slices.Clone(odd)
	for _, template := range templates {
		for _, value := range []string{"x", "7", "index.yaml", "by-key", "a.b-c_d", "with space", ""} {
			p := fill(template, value)
			paths = append(paths, p, p+"/", "/org"+p, p+"/x", strings.ToUpper(p))
		}
	}
	hits := 0
	for range 2 {
		for _, path := range paths {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "OPTIONS", "get", ""} {
				r := &http.Request{Method: method, URL: &url.URL{Path: path, RawQuery: "q=/index.yaml"}, Header: http.Header{}}
				served, vars = nil, nil
				h.dispatch(&Call{ResponseWriter: httptest.NewRecorder(), R: r, handler: h})
				var m mux.RouteMatch
				h.router.Match(r, &m)
				want, ok := m.Handler.(*endpoint)
				if ok != (served != nil) || ok && (want.Path != served.Path || !maps.Equal(m.Vars, vars)) {
					t.Fatalf("%s %q: %v %v, the router has %v %v", method, path, served, vars, m.Handler, m.Vars)
				}
				if ok {
					hits++
				}
			}
		}
	}
	if n := h.found.Len(); hits < 100 || n == 0 || n > hits/2 {
		t.Errorf("%d targets are kept of %d", n, hits)
	}
}

// Callers choose what is kept, so it is bounded.
func TestKeptTargetsAreBounded(t *testing.T) {
	h := newHandler(Route{Method: http.MethodGet, Path: "/{x}", Places: []string{"/{x}"}, Serve: func(*Call) error { return nil }})
	for i := range 3 * maxFound {
		for _, path := range []string{fmt.Sprintf("/%d", i), "/" + strings.Repeat("a", maxFoundPath+i)} {
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil))
		}
	}
	if n := h.found.Len(); n > 2*maxFound || n < maxFound {
		t.Errorf("%d targets are kept, want %d to %d", n, maxFound, 2*maxFound)
	}
	for at := range 10 {
		if _, ok := h.found.Find(target{http.MethodGet, "/" + strings.Repeat("a", maxFoundPath+at)}); ok {
			t.Errorf("a path of %d bytes is kept", maxFoundPath+1+at)
		}
	}
}

// fill puts a value in the place of each variable.
func fill(template, value string) string {
	for {
		before, rest, ok := strings.Cut(template, "{")
		if !ok {
			return template
		}
		_, after, _ := strings.Cut(rest, "}")
		template = before + value + after
	}
}

func TestRequestIDsDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := newID()
		if len(id) != 26 || requestID(id) != id || seen[id] {
			t.Fatalf("%q after %d others", id, len(seen))
		}
		seen[id] = true
	}
}
