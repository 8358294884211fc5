package server

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/lock/store"
	"github.com/klauspost/compress/zstd"
)

func TestPublishInEveryShape(t *testing.T) {
	g := newRig(t, func(c *Config) { c.BasePath = "/org/r"; c.AnonymousRead = true })
	for i, path := range []string{"/org/r/api/charts", "/api/org/r/charts", "/org/r/api/charts?force", "/api/org/r/charts?force=true"} {
		version := string(rune('1'+i)) + ".0.0"
		data := pack(t, "demo", version, "a")
		body, header := form(t, field{"chart", data})
		post := func(status int, body []byte, header map[string]string) {
			t.Helper()
			w := g.want(status, request{method: "POST", path: path, token: g.admin, body: body, header: header})
			if status < 300 && w.Body.String() != `{"saved":true}`+"\n" {
				t.Errorf("%s: body %s", path, w.Body)
			}
		}
		post(201, body, header)
		post(202, body, header)
		post(200, data, nil)
		other := pack(t, "demo", version, "b")
		w := g.want(409, request{method: "POST", path: path, token: g.admin, body: other})
		if n := strings.Count(w.Body.String(), "sha256:"); n != 2 {
			t.Errorf("%s: the refusal names %d digests, want both: %s", path, n, w.Body)
		}
		body, header = form(t, field{"chart", other})
		post(409, body, header)
		got := g.want(200, request{path: "/org/r/charts/demo-" + version + ".tgz"})
		if !bytes.Equal(got.Body.Bytes(), data) {
			t.Errorf("%s: %d bytes come back, want the %d sent", path, got.Body.Len(), len(data))
		}
	}
	g.want(404, request{path: "/charts/demo-1.0.0.tgz"})
	g.want(404, request{path: "/index.yaml"})
	g.want(200, request{path: "/healthz"})
}

func TestMuseumReads(t *testing.T) {
	g := newRig(t, func(c *Config) { c.AnonymousRead = true; c.ArtifactHub = []byte("repositoryID: x\n") })
	for _, v := range []string{"1.0.0", "1.1.0", "2.0.0-rc.1"} {
		g.publish("demo", v, "x")
	}
	g.publish("another", "0.1.0", "x")
	all := decodeAs[map[string][]map[string]any](t, g.want(200, request{path: "/api/charts"}))
	if len(all) != 2 || len(all["demo"]) != 3 {
		t.Errorf("all charts: %v", all)
	}
	page := decodeAs[map[string][]map[string]any](t, g.want(200, request{path: "/api/charts?offset=1&limit=1"}))
	if len(page) != 1 || page["demo"] == nil {
		t.Errorf("second page: %v", page)
	}
	latest := decodeAs[map[string]any](t, g.want(200, request{path: "/api/charts/demo/latest"}))
	if latest["version"] != "1.1.0" {
		t.Errorf("latest is %v", latest["version"])
	}
	files := decodeAs[[]templateFile](t, g.want(200, request{path: "/api/charts/demo/1.0.0/templates"}))
	if len(files) != 1 || files[0].Name != "templates/note.yaml" || string(files[0].Data) != "kind: ConfigMap\n" {
		t.Errorf("templates: %v", files)
	}
	if w := g.want(200, request{path: "/api/charts/demo/1.0.0/values"}); w.Body.String() != "note: \"x\"\n" || w.Header().Get("Content-Type") != "application/yaml" {
		t.Errorf("values: %q %v", w.Body, w.Header())
	}
	g.want(200, request{path: "/artifacthub-repo.yml"})
	for _, path := range []string{"/api/charts/none", "/api/charts/demo/3.0.0", "/api/charts/demo/x", "/api/charts/none/latest",
		"/charts/demo-1.0.0.tgz.prov", "/charts/demo-1.0.0.zip", "/charts/demo-9.0.0.tgz", "/charts/DEMO-1.0.0.tgz", "/charts/demo-1.0.0.tgz.", "/charts/demo-1.0.0.tgz/",
		"/api/charts/demo/3.0.0/values", "/api/charts/demo/3.0.0/templates", "/api/v1/charts/demo/3.0.0", "/api/v1/charts/none"} {
		g.want(404, request{path: path})
	}
	for _, path := range []string{"/api/charts", "/api/charts/demo", "/api/charts/demo/1.0.0", "/index.yaml", "/charts/demo-1.0.0.tgz", "/", "/info", "/health"} {
		body := g.want(200, request{path: path}).Body.Len()
		w := g.want(200, request{method: "HEAD", path: path})
		if w.Header().Get("Content-Length") == "" || body == 0 {
			t.Errorf("HEAD %s: %v", path, w.Header())
		}
	}
	g.want(200, request{method: "DELETE", path: "/api/charts/demo/1.1.0", token: g.admin})
	g.want(404, request{path: "/api/charts/demo/1.1.0"})
	g.want(200, request{path: "/charts/demo-1.1.0.tgz"})
	g.want(409, request{method: "POST", path: "/api/charts", token: g.admin, body: pack(t, "demo", "1.1.0", "new")})
	c := decodeAs[api.Chart](t, g.want(200, request{path: "/api/v1/charts/demo/1.1.0"}))
	if c.State != model.Yanked || c.Reason == "" {
		t.Errorf("after DELETE: %q, %q", c.State, c.Reason)
	}
}

func TestIndexEncodingsAndValidators(t *testing.T) {
	g := newRig(t, func(c *Config) { c.AnonymousRead = true })
	g.publish("demo", "1.0.0", "x")
	plain := g.want(200, request{path: "/index.yaml"})
	if plain.Header().Get("Content-Encoding") != "" || plain.Header().Get("Vary") != "Accept-Encoding" {
		t.Fatalf("unasked: %v", plain.Header())
	}
	if !json.Valid(plain.Body.Bytes()) || !strings.Contains(plain.Body.String(), "demo-1.0.0.tgz") {
		t.Fatalf("index: %s", plain.Body)
	}
	etags := map[string]bool{plain.Header().Get("ETag"): true}
	for accept, want := range map[string]string{
		"gzip": "gzip", "zstd": "zstd", "gzip, zstd": "zstd", "gzip;q=1.0, zstd;q=0.5": "gzip", "gzip;q=0": "", "*": "",
		"br": "", "GZIP": "gzip", "identity, gzip;q=0.1": "", "zstd;q=2": "", "gzip;q=NaN": "", "": "", "gzip ; q=0.8": "gzip",
	} {
		w := g.want(200, request{path: "/index.yaml", header: map[string]string{"Accept-Encoding": accept}})
		if got := w.Header().Get("Content-Encoding"); got != want {
			t.Errorf("Accept-Encoding %q: %q, want %q", accept, got, want)
			continue
		}
		etag := w.Header().Get("ETag")
		etags[etag] = true
		if strings.HasPrefix(etag, "W/") || !bytes.Equal(unpack(t, want, w.Body.Bytes()), plain.Body.Bytes()) {
			t.Errorf("Accept-Encoding %q: ETag %s, or another body", accept, etag)
		}
		h := map[string]string{"Accept-Encoding": accept, "If-None-Match": `"x", ` + etag}
		if w := g.want(304, request{path: "/index.yaml", header: h}); w.Body.Len() != 0 || w.Header().Get("ETag") != etag {
			t.Errorf("Accept-Encoding %q: 304 with %d bytes, ETag %s", accept, w.Body.Len(), w.Header().Get("ETag"))
		}
	}
	if len(etags) != 3 {
		t.Errorf("%d ETags of three encodings: %v", len(etags), etags)
	}
	old := plain.Header().Get("ETag")
	g.publish("demo", "1.0.1", "x")
	w := g.want(200, request{path: "/index.yaml", header: map[string]string{"If-None-Match": old}})
	if !strings.Contains(w.Body.String(), "demo-1.0.1.tgz") {
		t.Error("the next GET does not show what was published")
	}
	for _, bad := range []string{strings.Repeat("x", 20000), `W/`, `"`, `"a", "b`, `""`} {
		g.want(200, request{path: "/index.yaml", header: map[string]string{"If-None-Match": bad, "If-Match": bad}})
	}
}

func unpack(t *testing.T, encoding string, data []byte) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(data)
	var err error
	switch encoding {
	case "gzip":
		r, err = gzip.NewReader(r)
	case "zstd":
		r, err = zstd.NewReader(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPackageHeadersAndRanges(t *testing.T) {
	g := newRig(t, func(c *Config) { c.AnonymousRead = true })
	data := pack(t, "demo", "1.0.0", "x")
	g.want(201, request{method: "POST", path: "/api/charts", token: g.admin, body: data})
	const path = "/charts/demo-1.0.0.tgz"
	w := g.want(200, request{path: path})
	for name, want := range map[string]string{
		"Content-Type": "application/x-tar", "X-Content-Type-Options": "nosniff", "Accept-Ranges": "bytes",
		"Content-Disposition": "attachment; filename=demo-1.0.0.tgz",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("Content-Security-Policy: %q", csp)
	}
	etag := w.Header().Get("ETag")
	g.want(304, request{path: path, header: map[string]string{"If-None-Match": etag}})
	n := len(data)
	for spec, want := range map[string][]byte{
		"bytes=0-0": data[:1], "bytes=1-": data[1:], "bytes=-5": data[n-5:], "bytes=2-1000000000": data[2:], "bytes=-1000000000": data, "bytes=2-99999999999999999999": data[2:], "bytes=0-92233720368547758070": data, "bytes=-99999999999999999999": data, "Bytes=0-1": data[:2],
	} {
		w := g.want(206, request{path: path, header: map[string]string{"Range": spec}})
		if !bytes.Equal(w.Body.Bytes(), want) {
			t.Errorf("Range %s: %d bytes, want %d", spec, w.Body.Len(), len(want))
		}
	}
	for _, spec := range []string{"bytes=0-0,1-1", "bytes=0-0" + strings.Repeat(",1-1", 2000), "bytes=5-1", "bytes=99999999-", "bytes=-0", "bytes=x-y", "bytes=",
		"bytes=99999999999999999999-", "bytes=0-99999999999999999999x", "bytes=-99999999999999999999x", "bytes=-", "bytes=+1-2"} {
		w := g.want(416, request{path: path, header: map[string]string{"Range": spec}})
		if w.Header().Get("Content-Range") == "" || w.Header().Get("ETag") != "" {
			t.Errorf("Range %.20s: %v", spec, w.Header())
		}
	}
	for _, spec := range []string{"lines=1", "lines=1-2,4-5", "bytes", "0-1", "=0-1"} {
		w := g.want(200, request{path: path, header: map[string]string{"Range": spec}})
		if !bytes.Equal(w.Body.Bytes(), data) || w.Header().Get("Content-Range") != "" {
			t.Errorf("Range %s: %d bytes, %v", spec, w.Body.Len(), w.Header())
		}
	}
	g.want(200, request{path: path, header: map[string]string{"Range": "bytes=0-0", "If-Range": `"other"`}})
	g.want(206, request{path: path, header: map[string]string{"Range": "bytes=0-0", "If-Range": etag}})
	if w := g.want(206, request{method: "HEAD", path: path, header: map[string]string{"Range": "bytes=0-9"}}); w.Header().Get("Content-Length") != "10" {
		t.Errorf("HEAD of a range: %v", w.Header())
	}
}

func TestWelcomeNamesCommandsThatExist(t *testing.T) {
	w := newRig(t).want(200, request{path: "/"})
	if !strings.Contains(w.Body.String(), "chartctl login URL") {
		t.Errorf("front page: %s", w.Body)
	}
}

// A damaged file is an error and never bytes that are not the package's; the
// same package mends it.
func TestDamagedPackageIsNotServed(t *testing.T) {
	g := newRig(t, func(c *Config) { c.AnonymousRead = true })
	data := pack(t, "demo", "1.0.0", "x")
	g.want(201, request{method: "POST", path: "/api/charts", token: g.admin, body: data})
	cv, err := g.lock.FindVersion(t.Context(), "demo", "1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	for _, damage := range [][]byte{append([]byte("x"), data[1:]...), data[:len(data)-1], nil} {
		if damage == nil {
			if err := g.blobs.Delete(t.Context(), cv.Package); err != nil {
				t.Fatal(err)
			}
		} else {
			g.blobs.Damage(cv.Package, damage)
		}
		for _, spec := range []string{"", "bytes=0-3", "bytes=10-19", "bytes=-1"} {
			w := g.want(500, request{path: "/charts/demo-1.0.0.tgz", header: map[string]string{"Range": spec}})
			if e := decodeAs[api.Error](t, w); e.Code != api.CodeBlobMissing || w.Header().Get("Content-Range") != "" {
				t.Errorf("Range %q: code %q, %v", spec, e.Code, w.Header())
			}
		}
		g.want(200, request{method: "POST", path: "/api/charts", token: g.admin, body: data})
		g.want(200, request{path: "/charts/demo-1.0.0.tgz"})
	}
}

func TestHundredPublishersOneWinner(t *testing.T) {
	g := newRig(t, func(c *Config) { c.UploadSlots = 16 })
	srv := httptest.NewServer(g.server)
	defer srv.Close()
	var made, taken atomic.Int64
	var wg sync.WaitGroup
	for i := range 100 {
		data := pack(t, "demo", "1.0.0", strings.Repeat("x", i+1))
		wg.Go(func() {
			// A body of unknown length goes out chunked, as the push plugin's does.
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/api/charts", io.MultiReader(bytes.NewReader(data)))
			if err != nil {
				t.Error(err)
				return
			}
			req.SetBasicAuth("ci", g.admin)
			resp, err := srv.Client().Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			switch resp.StatusCode {
			case 201:
				made.Add(1)
			case 409:
				taken.Add(1)
			default:
				t.Errorf("status %d", resp.StatusCode)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 || taken.Load() != 99 {
		t.Errorf("%d made, %d taken", made.Load(), taken.Load())
	}
}

// A chart's own repository: its lines of the index, its packages, no others.
func TestRepositoryOfOneChart(t *testing.T) {
	g := newRig(t, func(c *Config) { c.AnonymousRead = true })
	g.publish("demo", "1.0.0", "x")
	g.publish("demo-two", "1.0.0", "x")
	g.publish("other", "2.0.0", "x")
	var index struct {
		Entries map[string][]struct {
			Version string
			URLs    []string
		}
	}
	w := g.want(200, request{path: "/charts/demo/index.yaml"})
	if err := json.Unmarshal(w.Body.Bytes(), &index); err != nil {
		t.Fatal(err)
	}
	if len(index.Entries) != 1 || len(index.Entries["demo"]) != 1 {
		t.Fatalf("the index of demo: %s", w.Body)
	}
	file := g.want(200, request{path: "/charts/demo/" + index.Entries["demo"][0].URLs[0]})
	if want := g.want(200, request{path: "/charts/demo-1.0.0.tgz"}); !bytes.Equal(file.Body.Bytes(), want.Body.Bytes()) {
		t.Error("its package has other bytes than the repository's")
	}
	packed := g.want(200, request{path: "/charts/demo/index.yaml", header: map[string]string{"Accept-Encoding": "gzip"}})
	if !bytes.Equal(unpack(t, packed.Header().Get("Content-Encoding"), packed.Body.Bytes()), w.Body.Bytes()) {
		t.Error("compressed, it is another index")
	}
	for _, path := range []string{
		"/charts/nothing/index.yaml", "/charts/dem/index.yaml", "/charts/demo/charts/other-2.0.0.tgz", "/charts/demo/charts/demo-two-1.0.0.tgz",
		"/charts/demo/charts/demo-9.0.0.tgz", "/charts/demo/charts/demo-1.0.0.zip", "/charts/demo/demo-1.0.0.tgz",
	} {
		g.want(404, request{path: path})
	}

	// It changes with its own chart only.
	known := map[string]string{"If-None-Match": w.Header().Get("ETag")}
	g.publish("other", "2.0.1", "x")
	g.want(304, request{path: "/charts/demo/index.yaml", header: known})
	g.publish("demo", "1.0.1", "x")
	if w := g.want(200, request{path: "/charts/demo/index.yaml", header: known}); !strings.Contains(w.Body.String(), "demo-1.0.1.tgz") {
		t.Error("the next GET does not show what was published")
	}
}

// helm cm-push posts to /api, the path of the repository without its context path,
// and charts; the body has no length and one part, whose file name is of no use.
func TestPushToTheRepositoryOfOneChart(t *testing.T) {
	for _, c := range []struct{ base, path string }{
		{"", "/api/charts/demo/charts"}, {"/org/repo", "/org/repo/api/charts/demo/charts"}, {"/org/repo", "/api/org/repo/charts/demo/charts"},
	} {
		base, path := c.base, c.path
		g := newRig(t, func(c *Config) { c.BasePath = base; c.AnonymousRead = true })
		body, header := form(t, field{"chart", pack(t, "demo", "1.0.0", "x")})
		push := request{method: "POST", path: path, token: g.admin, body: body, header: header}
		g.want(201, push)
		g.want(202, push)
		body, header = form(t, field{"chart", pack(t, "other", "1.0.0", "x")})
		w := g.want(422, request{method: "POST", path: path, token: g.admin, body: body, header: header})
		if !strings.Contains(w.Body.String(), `the package is of chart \"other\"`) {
			t.Errorf("a package of another chart: %s", w.Body)
		}
		var index struct{ ServerInfo struct{ ContextPath string } }
		data := g.want(200, request{path: base + "/charts/demo/index.yaml"}).Body.Bytes()
		if err := json.Unmarshal(data, &index); err != nil || index.ServerInfo.ContextPath != base {
			t.Errorf("the context path is %q, want %q: %v", index.ServerInfo.ContextPath, base, err)
		}
	}
}

// Argo CD sends Basic with an empty user name for a repository with a password only.
func TestBasicWithoutUser(t *testing.T) {
	g := newRig(t)
	g.publish("demo", "1.0.0", "x")
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(":"+g.admin))
	for _, path := range []string{"/index.yaml", "/charts/demo/index.yaml", "/charts/demo-1.0.0.tgz"} {
		g.want(200, request{path: path, header: map[string]string{"Authorization": basic}})
	}
}

// Renovate gives a repository up at a 503 with Retry-After; nobody knows how long a
// disk is full or a database away.
func TestNoRetryAfterWhereNobodyKnows(t *testing.T) {
	g := newRig(t)
	g.store.SetFault(func(string) error { return store.ErrLocked })
	w := g.want(503, request{path: "/index.yaml", token: g.admin})
	g.store.SetFault(nil)
	if after := w.Header().Get("Retry-After"); after != "" {
		t.Errorf("Retry-After %s", after)
	}
}
