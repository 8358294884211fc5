package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/transport"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/store"
	"chartd.dev/chartd/storage"
)

func TestPathsWithTwoReadingsAreNotFound(t *testing.T) {
	g := newRig(t, func(c *Config) { c.AnonymousRead = true })
	g.publish("x", "1.0.0", "")
	for _, path := range []string{
		"/charts/..%2f..%2fetc%2fpasswd", "/charts/%2e%2e/index.yaml", "/charts/%252e%252e%252findex.yaml", "/charts/..;/index.yaml",
		"/charts/../index.yaml", "/charts/./x-1.0.0.tgz", "//index.yaml", "/charts//x-1.0.0.tgz", "/charts/x-1.0.0.tgz%00.prov",
		"/charts/..%5c..%5cx", `/charts/..\x`, "/charts/%c0%ae%c0%ae/x", "/charts/%ff", "/charts/x-1.0.0.tgz%20", "/charts/x-1.0.0.tgz%0a", "/charts/x-1.0.0.tgz%e2%80%ae",
		"/charts/X-1.0.0.tgz", "/charts/x-1.0.0.tgz/", "/charts/x-1.0.0.tgz.", "/index.yaml/", "/INDEX.YAML", "/metrics", "/debug/pprof/", "/static/../index.yaml",
		"/environments/a/b/sealed/..%2f..%2findex.yaml",
	} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		u, err := url.ParseRequestURI(path)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		req.URL = u
		w := httptest.NewRecorder()
		g.server.ServeHTTP(w, req)
		if e := decodeAs[api.Error](t, w); w.Code != 404 || e.Code != api.CodeNotFound || e.Message == transport.ErrNotFound.Error() {
			t.Errorf("%s: %d %+v", path, w.Code, e)
		}
	}
	for path, want := range map[string]string{
		"/charts/..%2fx": `"/charts/..%2fx"`, "/charts/%2e%2e" + strings.Repeat("a", 5000): `…"`, "/none/" + strings.Repeat("a", 5000): `…"`,
	} {
		e := decodeAs[api.Error](t, g.want(404, request{path: path}))
		if !strings.Contains(e.Message, want) || len(e.Message) > 300 {
			t.Errorf("%.20s: %q does not quote the path, clipped", path, e.Message)
		}
	}
	g.want(200, request{path: "/charts/x-1.0.0.tgz?redirect=//evil"})
	g.want(414, request{path: "/charts/" + strings.Repeat("a", 9000)})
	for _, env := range []string{"a/PROD", "a/prod%20", "a/prod.", "-a/prod"} {
		w := g.do(request{path: "/api/v1/environments/" + env})
		if w.Code != 422 && w.Code != 404 {
			t.Errorf("environment %q: %d", env, w.Code)
		}
	}
}

func TestMethodsThatAreNotInTheTable(t *testing.T) {
	g := newRig(t, func(c *Config) { c.AnonymousRead = true })
	for _, m := range []string{"PUT", "PATCH", "TRACE", "CONNECT", "PROPFIND", "OPTIONS", "get", strings.Repeat("X", 4096)} {
		w := g.want(405, request{method: m, path: "/index.yaml"})
		if w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%.10s: Allow %q", m, w.Header().Get("Allow"))
		}
	}
	g.want(405, request{method: "DELETE", path: "/api/v1/journal", token: g.admin})
	w := g.want(200, request{path: "/index.yaml", header: map[string]string{"X-HTTP-Method-Override": "DELETE", "Origin": "https://evil.example"}})
	for name := range w.Header() {
		if strings.HasPrefix(name, "Access-Control-") || name == "Set-Cookie" {
			t.Errorf("header %s", name)
		}
	}
}

func TestStrictJSON(t *testing.T) {
	g := newRig(t)
	for name, body := range map[string]string{
		"duplicate key":     `{"name":"a","name":"b","scopes":["read"]}`,
		"folded duplicate":  `{"name":"a","NAME":"b","scopes":["read"]}`,
		"unknown field":     `{"name":"a","scopes":["read"],"admin":true}`,
		"trailing data":     `{"name":"a","scopes":["read"]} {}`,
		"trailing garbage":  `{"name":"a","scopes":["read"]}x`,
		"depth":             strings.Repeat("[", 100_000),
		"deep object":       strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40),
		"invalid UTF-8":     "{\"name\":\"a\xff\",\"scopes\":[\"read\"]}",
		"huge number":       `{"name":1e400,"scopes":["read"]}`,
		"wrong type":        `{"name":7,"scopes":["read"]}`,
		"empty":             ``,
		"cut":               `{"name":"a"`,
		"array":             `[]`,
		"other case":        `{"Name":"a","scopes":["read"]}`,
		"null":              `null`,
		"no name":           `{"scopes":["read"]}`,
		"null scopes":       `{"name":"a","scopes":null}`,
		"duplicate, nested": `{"name":"a","scopes":[{"x":1,"x":2}]}`,
	} {
		w := g.want(400, request{method: "POST", path: "/api/v1/tokens", token: g.admin, body: []byte(body)})
		if e := decodeAs[api.Error](t, w); e.Code != api.CodeInvalid {
			t.Errorf("%s: code %q", name, e.Code)
		}
	}
	ok := []byte(`{"name":"a","scopes":["read"]}`)
	g.want(413, request{method: "POST", path: "/api/v1/tokens", token: g.admin, body: []byte(`{"name":"` + strings.Repeat("a", transport.MaxJSON) + `"}`)})
	g.want(415, request{method: "POST", path: "/api/v1/tokens", token: g.admin, body: ok, header: map[string]string{"Content-Type": "text/plain"}})
	g.want(415, request{method: "POST", path: "/api/v1/tokens", token: g.admin, body: ok, header: map[string]string{"Content-Encoding": "gzip"}})
	g.want(422, request{method: "POST", path: "/api/v1/tokens", token: g.admin, body: []byte(`{"name":"a","scopes":["root"]}`)})
	g.want(201, request{method: "POST", path: "/api/v1/tokens", token: g.admin, body: ok})
	g.want(409, request{method: "POST", path: "/api/v1/tokens", token: g.admin, body: ok})
}

func TestQueryParametersAreChecked(t *testing.T) {
	g := newRig(t)
	for _, q := range []string{"limit=-1", "limit=1000000000000", "limit=1001", "limit=0", "limit=NaN", "limit=1&limit=2", "limit=1.5", "after=-1", "after=99999999999999999999"} {
		g.want(400, request{path: "/api/v1/journal?" + q, token: g.admin})
	}
	for _, q := range []string{"offset=-1", "offset=9223372036854775808", "limit=-1", "limit=1001", "offset=1&offset=1"} {
		g.want(400, request{path: "/api/charts?" + q, token: g.admin})
	}
	g.want(400, request{path: "/api/v1/charts?bound=perhaps", token: g.admin})
}

func TestHostileForms(t *testing.T) {
	g := newRig(t)
	chart := pack(t, "demo", "1.0.0", "x")
	many := make([]field, 0, 100)
	for range 100 {
		many = append(many, field{"image", []byte("hub=quay.io/a/b:1")})
	}
	for name, fields := range map[string][]field{
		"two charts":       {{"chart", chart}, {"chart", chart}},
		"unknown part":     {{"chart", chart}, {"charts", chart}},
		"no chart":         {{"require_binding", []byte("true")}},
		"empty chart":      {{"chart", nil}},
		"nothing":          {},
		"many parts":       many,
		"bad require":      {{"chart", chart}, {"require_binding", []byte("yes")}},
		"image no role":    {{"chart", chart}, {"image", []byte("quay.io/a/b")}},
		"image role twice": {{"chart", chart}, {"image", []byte("hub=quay.io/a/b:1")}, {"image", []byte("hub=quay.io/a/b:2")}},
	} {
		body, header := form(t, fields...)
		w := g.do(request{method: "POST", path: "/api/v1/charts", token: g.admin, body: body, header: header})
		if w.Code != 400 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	body, header := form(t, field{"chart", chart}, field{"prov", []byte("not a provenance file")})
	if w := g.do(request{method: "POST", path: "/api/charts", token: g.admin, body: body, header: header}); w.Code != 422 && w.Code != 400 {
		t.Errorf("bad prov: %d %s", w.Code, w.Body)
	}
	for _, ct := range []string{"multipart/form-data", "multipart/mixed; boundary=x", "multipart/form-data; boundary="} {
		g.want(400, request{method: "POST", path: "/api/charts", token: g.admin, body: body, header: map[string]string{"Content-Type": ct}})
	}
	g.want(400, request{method: "POST", path: "/api/charts", token: g.admin, body: body[:len(body)/2], header: header})
	g.want(400, request{method: "POST", path: "/api/charts", token: g.admin})
	g.want(415, request{method: "POST", path: "/api/charts", token: g.admin, body: chart, header: map[string]string{"Content-Encoding": "gzip"}})
	for _, c := range []string{"created", "order"} {
		body, header := form(t, field{"chart", chart}, field{c, []byte("yesterday")})
		g.want(400, request{method: "POST", path: "/api/v1/import", token: g.admin, body: body, header: header})
	}
	if _, err := g.lock.FindVersion(t.Context(), "demo", "1.0.0"); !errors.Is(err, lock.ErrNotFound) {
		t.Errorf("something was stored: %v", err)
	}
}

func TestUploadLimit(t *testing.T) {
	g := newRig(t, func(c *Config) { c.MaxUpload = 4096 })
	big := make([]byte, 4097)
	g.want(413, request{method: "POST", path: "/api/charts", token: g.admin, body: big})
	body, header := form(t, field{"chart", big})
	g.want(413, request{method: "POST", path: "/api/charts", token: g.admin, body: body, header: header})
	// Of an endless body without a length little more than the limit is read.
	endless := &countingReader{r: neverEnding{}}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/charts", endless)
	req.ContentLength = -1
	req.SetBasicAuth("ci", g.admin)
	w := httptest.NewRecorder()
	g.server.ServeHTTP(w, req)
	if w.Code != 413 || endless.n > 4096+64<<10 {
		t.Errorf("%d after %d bytes", w.Code, endless.n)
	}
	// The status of a caller that may not publish comes before its body.
	unread := &countingReader{r: neverEnding{}}
	req = httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/charts", unread)
	w = httptest.NewRecorder()
	g.server.ServeHTTP(w, req)
	if w.Code != 401 || unread.n != 0 {
		t.Errorf("%d after %d bytes", w.Code, unread.n)
	}
}

type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) { return len(p), nil }

type countingReader struct {
	r io.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

func TestUploadSlots(t *testing.T) {
	g := newRig(t, func(c *Config) { c.UploadSlots, c.UploadWait = 1, 10*time.Millisecond })
	release, err := g.server.slots.Take(t.Context(), "other", false)
	if err != nil {
		t.Fatal(err)
	}
	data, token := pack(t, "demo", "1.0.0", "x"), g.token("publisher", "publish:*")
	w := g.want(503, request{method: "POST", path: "/api/charts", token: token, body: data})
	if w.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.server.slots.Take(cancelled, "other", false); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that is gone: %v", err)
	}
	g.want(201, request{method: "POST", path: "/api/charts", token: g.admin, body: pack(t, "admins", "1.0.0", "x")})
	release()
	g.want(201, request{method: "POST", path: "/api/charts", token: token, body: data})
}

// Uploads whose bodies do not come, and imports that say nothing, stop nobody:
// a slot is taken when there is something to do.
func TestIdleUploadsTakeNoSlot(t *testing.T) {
	g := newRig(t, func(c *Config) { c.UploadSlots, c.UploadWait = 2, 10*time.Millisecond })
	srv := httptest.NewServer(g.server)
	defer srv.Close()
	lazy := g.token("lazy", "publish:*", "import")
	body, header := form(t, field{"chart", pack(t, "lazy", "1.0.0", "x")})
	var idle sync.WaitGroup
	defer idle.Wait()
	for i := range 24 {
		path := []string{"/api/charts", "/api/v1/import", "/api/v1/imports"}[i%3]
		r, w := io.Pipe()
		defer w.CloseWithError(io.ErrUnexpectedEOF)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+path, r)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+lazy)
		req.Header.Set("Content-Type", header["Content-Type"])
		idle.Go(func() {
			if resp, err := srv.Client().Do(req); err == nil {
				resp.Body.Close()
			}
		})
		if _, err := w.Write(body[:len(body)-8]); err != nil { // the server has read all but the end
			t.Fatal(err)
		}
	}
	for i, token := range []string{g.admin, g.token("honest", "publish:*"), lazy} {
		g.want(201, request{method: "POST", path: "/api/charts", token: token, body: pack(t, fmt.Sprint("other-", i), "1.0.0", "x")})
	}
}

func TestFaultsOfTheStores(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
		code   api.Code
		broken bool
	}{
		"no space":     {fmt.Errorf("put: %w", storage.ErrNoSpace), 507, api.CodeNoSpace, false},
		"broken store": {fmt.Errorf("put /var/lib/secret: %w", storage.ErrBroken), 500, api.CodeInternal, true},
	} {
		g := newRig(t)
		g.blobs.SetFault(func(string) error { return c.err })
		w := g.want(c.status, request{method: "POST", path: "/api/charts", token: g.admin, body: pack(t, "demo", "1.0.0", "x")})
		e := decodeAs[api.Error](t, w)
		if e.Code != c.code || strings.Contains(e.Message, "/var") {
			t.Errorf("%s: %+v", name, e)
		}
		select {
		case <-g.broken:
			if !c.broken {
				t.Errorf("%s: the process is told to stop", name)
			}
		default:
			if c.broken {
				t.Errorf("%s: the process goes on", name)
			}
		}
		g.blobs.SetFault(nil)
		if !c.broken {
			g.want(201, request{method: "POST", path: "/api/charts", token: g.admin, body: pack(t, "demo", "1.0.0", "x")})
		}
	}
}

func TestReadiness(t *testing.T) {
	now := time.Now()
	g := newRig(t, func(c *Config) {
		c.Now = func() time.Time { return now }
		c.Ready = func(context.Context) error { return nil }
	})
	g.want(200, request{path: "/readyz"})
	g.store.SetFault(func(string) error { return store.ErrNoSpace })
	g.want(200, request{path: "/readyz"}) // the verdict of less than a second ago
	now = now.Add(2 * readyFor)
	w := g.want(503, request{path: "/readyz"})
	if e := decodeAs[api.Error](t, w); !strings.Contains(e.Message, "no space") || e.Code != api.CodeUnavailable {
		t.Errorf("%+v", e)
	}
	g.want(200, request{path: "/healthz"})
	g.store.SetFault(nil)
	now = now.Add(2 * readyFor)
	g.want(200, request{path: "/readyz"})
	g.server.Ready = func(context.Context) error { return storage.ErrNoSpace }
	now = now.Add(2 * readyFor)
	g.want(503, request{path: "/readyz"})
}

// Ten thousand paths are one series, and what callers send is one log line.
func TestLabelsAndLogLinesStayBounded(t *testing.T) {
	g := newRig(t, func(c *Config) { c.AnonymousRead = true })
	for i := range 300 {
		g.do(request{method: fmt.Sprintf("M%d", i), path: fmt.Sprintf("/x%d", i)})
		g.do(request{path: fmt.Sprintf("/charts/x-%d.0.0.tgz", i)})
	}
	families, err := g.server.metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "chartd_http_") && len(f.GetMetric()) > 4 {
			t.Errorf("%s has %d series", f.GetName(), len(f.GetMetric()))
		}
	}
	before := len(g.log.lines())
	w := g.do(request{path: "/index.yaml", header: map[string]string{"User-Agent": "a\r\nlevel=ERROR \x1b[31m", "X-Request-Id": "a\nb"}})
	lines := g.log.lines()
	if len(lines)-before != 1 || strings.ContainsAny(lines[len(lines)-1], "\x1b\r") {
		t.Errorf("%q", lines[before:])
	}
	if id := w.Header().Get("X-Request-Id"); id == "" || strings.Contains(id, "\n") {
		t.Errorf("request id %q", id)
	}
	if w := g.do(request{path: "/info", header: map[string]string{"X-Request-Id": "abc-1"}}); w.Header().Get("X-Request-Id") != "abc-1" {
		t.Errorf("request id %q", w.Header().Get("X-Request-Id"))
	}
}

func TestMetricsListener(t *testing.T) {
	g := newRig(t)
	g.do(request{path: "/info"})
	w := httptest.NewRecorder()
	g.server.Metrics().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if !strings.Contains(w.Body.String(), `chartd_http_requests_total{method="GET",route="/info",status="200"} 1`) {
		t.Error(w.Body)
	}
}

// Naming an image while publishing is binding it, and needs that scope too.
func TestPublishingWithAnImageNeedsBind(t *testing.T) {
	g := newRig(t)
	body, header := form(t, field{"chart", pack(t, "demo", "1.0.0", "x")}, field{"image", []byte("hub=quay.io/a/b:1")})
	r := request{method: "POST", path: "/api/v1/charts", token: g.token("ci", "publish:demo"), body: body, header: header}
	if w := g.want(403, r); !strings.Contains(w.Body.String(), "bind") {
		t.Errorf("the refusal does not name the scope: %s", w.Body)
	}
	if _, err := g.lock.FindVersion(t.Context(), "demo", "1.0.0"); !errors.Is(err, lock.ErrNotFound) {
		t.Errorf("something was stored: %v", err)
	}
}
