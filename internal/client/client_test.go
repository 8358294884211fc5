package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/ref"
)

// wire is a server that records requests and answers from a list, the last
// answer again and again.
type wire struct {
	*httptest.Server
	mu      sync.Mutex
	got     []sent
	answers []answer
}

type sent struct {
	method, uri, body string
	header            http.Header
}

type answer struct {
	status int
	body   string
	header map[string]string
	drop   bool // close the connection instead
}

func newWire(t *testing.T, answers ...answer) *wire {
	w := &wire{answers: answers}
	w.Server = httptest.NewServer(w)
	t.Cleanup(w.Close)
	return w
}

func (w *wire) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	a := w.answers[min(len(w.got), len(w.answers)-1)]
	w.got = append(w.got, sent{r.Method, r.RequestURI, string(b), r.Header.Clone()})
	w.mu.Unlock()
	if a.drop {
		conn, _, err := rw.(http.Hijacker).Hijack()
		if err == nil {
			conn.Close()
		}
		return
	}
	for k, v := range a.header {
		rw.Header().Set(k, v)
	}
	rw.WriteHeader(a.status)
	io.WriteString(rw, a.body)
}

// sent returns what has arrived so far.
func (w *wire) sent() []sent {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.got
}

func (w *wire) client(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{Server: w.URL + "/base", Token: "chartd_t_1_secret", Backoff: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func errorBody(code api.Code) string {
	b, _ := json.Marshal(api.Error{Message: "no", Code: code})
	return string(b)
}

func wantCode(t *testing.T, err error, want api.Code) *api.Error {
	t.Helper()
	var e *api.Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %T %v, want *api.Error with code %q", err, err, want)
	}
	if e.Code != want {
		t.Fatalf("code of %q is %q, want %q", e.Message, e.Code, want)
	}
	return e
}

var (
	chart   = parse(ref.ParseImported("jupyterhub", "0.9.0-n078.ha6fb810+x"))
	env     = parse1(ref.ParseEnv("data8/prod"))
	binding = ref.BindingIDOf(ref.DigestOf([]byte("x")), nil)
)

func parse(v ref.ChartVersion, err error) ref.ChartVersion {
	if err != nil {
		panic(err)
	}
	return v
}

func parse1(v ref.Env, err error) ref.Env {
	if err != nil {
		panic(err)
	}
	return v
}

// Each method asks for its route, and each write carries a key.
func TestRoutes(t *testing.T) {
	ctx := context.Background()
	ignore := func(_ any, err error) error { return err }
	cv, b := "/base/api/v1/charts/jupyterhub/0.9.0-n078.ha6fb810+x", binding.String()
	for _, tt := range []struct {
		want string
		body string
		call func(c *client.Client) error
	}{
		{"GET /base/api/v1/whoami", "", func(c *client.Client) error { return ignore(c.WhoAmI(ctx)) }},
		{"GET /base/api/v1/charts?all=true&bound=false&limit=5&name=a", "", func(c *client.Client) error {
			return ignore(c.Charts(ctx, client.ChartQuery{Name: "a", All: true, Unbound: true, Limit: 5}))
		}},
		{"GET /base/api/v1/charts/a%2Fb", "", func(c *client.Client) error { return ignore(c.Versions(ctx, "a/b")) }},
		{"GET /base/api/v1/charts/a/latest", "", func(c *client.Client) error { return ignore(c.Chart(ctx, "a", "latest")) }},
		{"POST " + cv + "/yank", `{"reason":"r"}`, func(c *client.Client) error { return ignore(c.Yank(ctx, chart, "r")) }},
		{"POST " + cv + "/purge", `{"reason":"r"}`, func(c *client.Client) error { return ignore(c.Purge(ctx, chart, "r")) }},
		{"GET " + cv + "/bindings", "", func(c *client.Client) error { return ignore(c.Bindings(ctx, chart)) }},
		{"POST " + cv + "/bindings", `{"images":{"hub":"a/b:1"}}`, func(c *client.Client) error {
			_, _, err := c.Bind(ctx, chart, api.BindRequest{Images: map[ref.Role]string{"hub": "a/b:1"}})
			return err
		}},
		{"GET /base/api/v1/bindings/" + b, "", func(c *client.Client) error { return ignore(c.Binding(ctx, binding)) }},
		{"POST /base/api/v1/bindings/" + b + "/revoke", `{"reason":"r"}`, func(c *client.Client) error { return ignore(c.Revoke(ctx, binding, "r")) }},
		{"GET /base/api/v1/bindings/" + b + "/seal", "", func(c *client.Client) error { return ignore(c.Seal(ctx, binding)) }},
		{"GET /base/api/v1/bindings/" + b + "/tags", "", func(c *client.Client) error { return ignore(c.TagsNow(ctx, binding)) }},
		{"GET /base/api/v1/environments", "", func(c *client.Client) error { return ignore(c.Environments(ctx)) }},
		{"POST /base/api/v1/environments", `{"environment":"data8/prod","chart":"a"}`, func(c *client.Client) error {
			return ignore(c.CreateEnvironment(ctx, api.CreateEnvironment{Env: env, Chart: "a"}))
		}},
		{"GET /base/api/v1/environments/data8/prod", "", func(c *client.Client) error { return ignore(c.Environment(ctx, env)) }},
		{"POST /base/api/v1/environments/data8/prod/adopt", `{"version":"1","reason":"r"}`, func(c *client.Client) error {
			return ignore(c.Adopt(ctx, env, api.AdoptRequest{Version: "1", Reason: "r"}))
		}},
		{"POST /base/api/v1/environments/data8/prod/pins", `{"binding":"` + b + `"}`, func(c *client.Client) error {
			return ignore(c.Pin(ctx, client.PinCall{Env: env, Base: 17, Pin: api.PinRequest{Binding: binding}}))
		}},
		{"GET /base/api/v1/environments/data8/prod/pins?before=9&limit=3", "", func(c *client.Client) error { return ignore(c.Pins(ctx, env, 9, 3)) }},
		{"GET /base/api/v1/environments/data8/prod/pins/4", "", func(c *client.Client) error { return ignore(c.Revision(ctx, env, 4)) }},
		{"GET /base/api/v1/environments/data8/prod/pins/by-key/k%2F1", "", func(c *client.Client) error { return ignore(c.PinByKey(ctx, env, "k/1")) }},
		{"POST /base/api/v1/pinsets", `{"pins":[{"environment":"data8/prod","revision":2,"binding":"` + b + `"}]}`, func(c *client.Client) error {
			return ignore(c.PinSet(ctx, api.PinSetRequest{Pins: []api.SetPin{{Env: env, Revision: 2, Binding: binding}}}, ""))
		}},
		{"GET /base/api/v1/journal?after=7&limit=2", "", func(c *client.Client) error { return ignore(c.Journal(ctx, 7, 2)) }},
		{"GET /base/api/v1/tokens", "", func(c *client.Client) error { return ignore(c.Tokens(ctx)) }},
		{"POST /base/api/v1/tokens", `{"name":"ci","scopes":["read"]}`, func(c *client.Client) error {
			return ignore(c.CreateToken(ctx, api.TokenRequest{Name: "ci", Scopes: []string{"read"}}))
		}},
		{"DELETE /base/api/v1/tokens/t1", "", func(c *client.Client) error { return c.RevokeToken(ctx, "t1") }},
		{"GET /base/api/v1/fsck", "", func(c *client.Client) error { return ignore(c.Fsck(ctx)) }},
		{"GET /base/api/v1/openapi.json", "", func(c *client.Client) error { return ignore(c.OpenAPI(ctx)) }},
		{"GET /base/api/v1/backup", "", func(c *client.Client) error { return c.Backup(ctx, io.Discard) }},
	} {
		w := newWire(t, answer{status: 200, body: `{"environment":"data8/prod","id":"` + b + `"}`})
		if err := tt.call(w.client(t)); err != nil {
			t.Errorf("%s: %v", tt.want, err)
			continue
		}
		r := w.sent()[0]
		if got := r.method + " " + r.uri; got != tt.want {
			t.Errorf("request is %q, want %q", got, tt.want)
		}
		if r.body != tt.body {
			t.Errorf("%s: body is %s, want %s", tt.want, r.body, tt.body)
		}
		if key := r.header.Get("Idempotency-Key"); (key != "") == (r.method == "GET") {
			t.Errorf("%s: Idempotency-Key is %q", tt.want, key)
		}
		if got := r.header.Get("Authorization"); got != "Bearer chartd_t_1_secret" {
			t.Errorf("%s: Authorization is %q", tt.want, got)
		}
		wantMatch := ""
		if strings.HasSuffix(tt.want, "prod/pins") {
			wantMatch = `"17"`
		}
		if got := r.header.Get("If-Match"); got != wantMatch {
			t.Errorf("%s: If-Match is %q, want %q", tt.want, got, wantMatch)
		}
	}
}

func TestUpload(t *testing.T) {
	ctx := context.Background()
	w := newWire(t, answer{status: 201, body: `{"saved":true}`})
	c := w.client(t)
	pub, err := c.Publish(ctx, client.PublishRequest{Package: []byte("P"), Provenance: []byte("S"),
		Images: map[ref.Role]string{"hub": "a/b:1"}, RequireBinding: true})
	if err != nil || !pub.Saved {
		t.Fatalf("publish: %+v, %v", pub, err)
	}
	created := time.Date(2017, 5, 1, 2, 3, 4, 500, time.UTC)
	if _, err := c.Import(ctx, client.ImportRequest{Package: []byte("P"), Created: created}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Import(ctx, client.ImportRequest{Package: []byte("P"), OrderUnknown: true}); err != nil {
		t.Fatal(err)
	}
	want := []map[string]string{
		{"chart": "P", "prov": "S", "image": "hub=a/b:1", "require_binding": "true"},
		{"chart": "P", "created": "2017-05-01T02:03:04.0000005Z", "order": "known"},
		{"chart": "P", "order": "unknown"},
	}
	for i, r := range w.sent() {
		_, params, err := mime.ParseMediaType(r.header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for mr := multipart.NewReader(strings.NewReader(r.body), params["boundary"]); ; {
			part, err := mr.NextPart()
			if err != nil {
				break
			}
			b, _ := io.ReadAll(part)
			got[part.FormName()] = string(b)
		}
		if d := cmp.Diff(want[i], got); d != "" {
			t.Errorf("form %d (-want +got):\n%s", i, d)
		}
	}
}

func TestDownloads(t *testing.T) {
	ctx := context.Background()
	ch := api.Chart{Name: "a", Version: "1.0.0+b", Package: ref.DigestOf([]byte("bytes"))}
	w := newWire(t, answer{status: 200, body: "bytes"}, answer{status: 200, body: "other"})
	c := w.client(t)
	if b, err := c.Package(ctx, ch); err != nil || string(b) != "bytes" {
		t.Fatalf("package is %q, %v", b, err)
	}
	if want := "/base/charts/a-1.0.0+b.tgz"; w.sent()[0].uri != want {
		t.Errorf("path is %q, want %q", w.sent()[0].uri, want)
	}
	_, err := c.Package(ctx, ch)
	wantCode(t, err, api.CodeMismatch)
	_, err = c.Sealed(ctx, api.Binding{ID: binding, Sealed: ref.DigestOf([]byte("sealed"))})
	wantCode(t, err, api.CodeMismatch)
	_, err = c.Sealed(ctx, api.Binding{ID: binding, Unsealed: "no site"})
	if e := wantCode(t, err, api.CodeNotFound); !strings.Contains(e.Message, "no site") {
		t.Errorf("message is %q", e.Message)
	}
}

// A body that ends early is asked for again.
func TestShortBody(t *testing.T) {
	w := newWire(t, answer{status: 200, body: "byt", header: map[string]string{"Content-Length": "5"}}, answer{status: 200, body: "bytes"})
	b, err := w.client(t).Package(context.Background(), api.Chart{Name: "a", Version: "1.0.0", Package: ref.DigestOf([]byte("bytes"))})
	if err != nil || string(b) != "bytes" || len(w.sent()) != 2 {
		t.Errorf("got %q, %v after %d tries", b, err, len(w.sent()))
	}
}

func TestAllCharts(t *testing.T) {
	page := func(next string, names ...string) answer {
		p := api.Charts{Next: next}
		for _, n := range names {
			p.Charts = append(p.Charts, api.Chart{Name: n})
		}
		b, _ := json.Marshal(p)
		return answer{status: 200, body: string(b)}
	}
	w := newWire(t, page("x", "a", "b"), page("", "c"))
	var got []string
	for ch, err := range w.client(t).AllCharts(context.Background(), client.ChartQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, ch.Name)
	}
	if d := cmp.Diff([]string{"a", "b", "c"}, got); d != "" {
		t.Error(d)
	}
	if want := "/base/api/v1/charts?after=x"; w.sent()[1].uri != want {
		t.Errorf("second page is %q, want %q", w.sent()[1].uri, want)
	}
	loop := newWire(t, page("x", "a"))
	n := 0
	for _, err := range loop.client(t).AllCharts(context.Background(), client.ChartQuery{}) {
		if n++; err != nil {
			wantCode(t, err, api.CodeInvalid)
		}
	}
	if n != 2 {
		t.Errorf("a page that repeats gave %d steps, want 2", n)
	}
}

func TestServerAddress(t *testing.T) {
	for in, want := range map[string]string{
		"http://H.example:80/a/": "http://h.example:80/a", "https://h": "https://h",
		"h.example": "", "ftp://h": "", "https://u:p@h": "", "https://h?a": "", "https://h#a": "", "": "", "http://": "", ":": "",
	} {
		c, err := client.New(client.Options{Server: in})
		if want == "" {
			e := wantCode(t, err, api.CodeUsage)
			if strings.Contains(e.Message, "u:p@") {
				t.Errorf("message %q shows a password", e.Message)
			}
			continue
		}
		if err != nil || c.Server() != want {
			t.Errorf("server %q: %v, %v, want %q", in, c, err, want)
		}
	}
	_, err := client.New(client.Options{Server: "http://h", Token: "a\nb"})
	if e := wantCode(t, err, api.CodeUnauthorized); strings.Contains(e.Message, "a\nb") {
		t.Errorf("message %q shows the token", e.Message)
	}
}

func TestBackupBreaksOff(t *testing.T) {
	w := newWire(t, answer{status: 200, body: "half", header: map[string]string{"Content-Length": "8"}})
	var b strings.Builder
	err := w.client(t).Backup(context.Background(), &b)
	wantCode(t, err, api.CodeUnavailable)
	if b.String() != "half" || len(w.sent()) != 1 {
		t.Errorf("wrote %q in %d tries; a stream must not be started again", b.String(), len(w.sent()))
	}
}

func ExampleClient_AllCharts() {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"charts":[{"name":"jupyterhub","version":"3.3.7"}]}`)
	}))
	defer s.Close()
	c, err := client.New(client.Options{Server: s.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	for ch, err := range c.AllCharts(context.Background(), client.ChartQuery{}) {
		fmt.Println(ch.Name, ch.Version, err)
	}
	// Output: jupyterhub 3.3.7 <nil>
}
