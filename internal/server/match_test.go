package server

import (
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// odd are paths that no route has, or not as they look.
var odd = []string{
	"", "/", "//", "/index.yaml/", "/index.yaml//", "//index.yaml", "/INDEX.YAML", "/index.yaml ", "/charts", "/charts/", "/charts//x.tgz",
	"/charts/a/b", "/charts/x.tgz/", "/charts/{file}", "/charts/%2e%2e", "/charts/..", "/charts/a\nb", "/charts/\xff", "/charts/日本", "/api", "/api/", "/api/v1",
	"/api/v1/environments/a/b/pins/01", "/api/v1/environments/a/b/pins/1x", "/api/v1/environments/a/b/pins/١", "/api/v1/environments/a/b/pins/1\n",
	"/api/v1/environments/a/b/pins/", "/api/v1/environments/a/b/pins/by-key", "/api/v1/environments/a/b/pins/by-key/", "/api/v1/environments/a//pins",
	"/environments/a/b/revisions/1/index.yaml", "/environments/a/b/revisions/x/index.yaml", "/environments/a/b/revisions/1/values.yaml", "/environments/a/b/revisions/1/",
	"index.yaml", "*", strings.Repeat("/a", maxDepth), strings.Repeat("/a", maxDepth+1), "/charts/" + strings.Repeat("a", 5000),
}

// The quick way to an endpoint finds what the router finds, for every route
// and whatever else is asked for.
func TestMatcherAgreesWithTheRouter(t *testing.T) {
	for _, base := range []string{"", "/org", "/org/charts", "/charts", "/api", "/a/b/c/d/e/f/g/h/i/j"} {
		g := newRig(t, func(c *Config) { c.BasePath = base })
		paths := slices.Clone(odd)
		for _, p := range odd {
			paths = append(paths, base+p)
		}
		for _, rt := range routes() {
			for _, place := range g.server.places(rt) {
				for _, value := range []string{"x", "7", "index.yaml", "values.yaml", "by-key", "latest", "a.b-c_d", "with space", ""} {
					p := fill(place, value)
					paths = append(paths, p, p+"/", "/"+p, p+"/x", strings.ToUpper(p), strings.TrimPrefix(p, base))
				}
			}
		}
		slices.Sort(paths)
		found := map[*endpoint]bool{}
		for _, path := range slices.Compact(paths) {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "get", ""} {
				r := &http.Request{Method: method, URL: &url.URL{Path: path, RawQuery: "q=/index.yaml"}}
				var quick, slow variables
				got := g.server.matcher.find(method, path, &quick)
				want, _ := g.server.byRouter(r, &slow)
				if want != nil {
					found[want] = true
				}
				if got != want {
					// A path that is too deep for the matcher is left to the router.
					if got != nil || strings.Count(path, "/") <= maxDepth {
						t.Fatalf("base %q: %s %q: %v, the router has %v", base, method, path, nameOf(got), nameOf(want))
					}
					continue
				}
				if got == nil {
					continue
				}
				have := map[string]string{}
				for _, v := range quick.list[:quick.n] {
					have[v.name] = v.value
				}
				if !maps.Equal(have, slow.more) {
					t.Fatalf("base %q: %s %q: %v, the router has %v", base, method, path, have, slow.more)
				}
			}
		}
		if len(found) != len(routes()) {
			t.Errorf("base %q: %d of %d routes were found", base, len(found), len(routes()))
		}
	}
}

func nameOf(e *endpoint) string {
	if e == nil {
		return "nothing"
	}
	return e.route.method + " " + e.path
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

// A route that the matcher cannot judge is the router's, and those after it.
func TestMatcherLeavesTheRestToTheRouter(t *testing.T) {
	for _, odd := range []string{"/{x:[a-z]+}", "/a{x}", "/{x}a", "/{a}/{b}/{c}/{d}/{e}"} {
		var m matcher
		before, after := &endpoint{}, &endpoint{}
		m.add("/before", []string{"GET"}, before)
		m.add(odd, []string{"GET"}, &endpoint{})
		m.add("/{x}", []string{"GET"}, after)
		var v variables
		if m.find("GET", "/before", &v) != before || m.find("GET", "/abc", &v) != nil {
			t.Errorf("%s: the matcher judges what comes after", odd)
		}
	}
}

// What the guard lets through at once is what it would let through anyway.
func TestPlainPathsAreUnambiguous(t *testing.T) {
	yes := 0
	check := func(path string) {
		if !plain(path) {
			return
		}
		yes++
		u := url.URL{Path: path}
		if !unambiguous(u.EscapedPath(), path) {
			t.Errorf("%q is plain and not unambiguous", path)
		}
	}
	const marks = "/.a-%;\\ ~_\x00\xff:"
	var all func(string, int)
	all = func(p string, n int) {
		check(p)
		if n > 0 {
			for i := range len(marks) {
				all(p+marks[i:i+1], n-1)
			}
		}
	}
	all("", 5)
	for _, p := range odd {
		check(p)
	}
	if yes < 100 || !plain("/") || !plain("/charts/jupyterhub-1.0.0.tgz") || !plain("/environments/hub00/prod/revisions/1/index.yaml") {
		t.Errorf("%d paths are plain", yes)
	}
}

func TestAttachmentIsWhatMimeWrites(t *testing.T) {
	for c := range 256 {
		name := "a" + string([]byte{byte(c)}) + "-1.0.0.tgz"
		if got, want := attachment(name), mime.FormatMediaType("attachment", map[string]string{"filename": name}); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}

// Headers that are set without being canonicalised are canonical.
func TestHeadersAreCanonical(t *testing.T) {
	d := onDisk(t, 1)
	for name, path := range d.reads(t) {
		for _, header := range []http.Header{{}, {"Range": {"bytes=0-1"}}, {"Range": {"bytes=9999999-"}}, {"Accept-Encoding": {"gzip"}}, {"If-None-Match": {"*"}}} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
			r.Header = header
			w := httptest.NewRecorder()
			d.server.ServeHTTP(w, r)
			for h := range w.Header() {
				if h != http.CanonicalHeaderKey(h) {
					t.Errorf("%s: header %q", name, h)
				}
			}
		}
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

// A status has one series however many requests come at once.
func TestAnswersAreAllCounted(t *testing.T) {
	g := newRig(t)
	done := make(chan bool)
	for range 8 {
		go func() {
			for i := range 100 {
				g.do(request{method: []string{"GET", "HEAD", "BREW"}[i%3], path: "/info"})
				g.do(request{path: fmt.Sprintf("/api/v1/charts/none%d", i%2)})
			}
			done <- true
		}()
	}
	for range 8 {
		<-done
	}
	families, err := g.server.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	total := 0.0
	for _, f := range families {
		if f.GetName() == "chartd_http_requests_total" {
			for _, m := range f.GetMetric() {
				total += m.GetCounter().GetValue()
			}
		}
	}
	if total != 1600 {
		t.Errorf("%v requests were counted of 1600", total)
	}
}
