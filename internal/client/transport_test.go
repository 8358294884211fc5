package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/ref"
)

func TestRetries(t *testing.T) {
	ctx := context.Background()
	busy := answer{status: 503, body: errorBody(api.CodeUnavailable)}
	fine := answer{status: 200, body: "{}"}
	yank := func(c *client.Client) error { _, err := c.Yank(ctx, chart, "r"); return err }
	who := func(c *client.Client) error { _, err := c.WhoAmI(ctx); return err }
	token := func(c *client.Client) error { _, err := c.CreateToken(ctx, api.TokenRequest{}); return err }
	publish := func(c *client.Client) error { _, err := c.Publish(ctx, client.PublishRequest{}); return err }
	imported := func(c *client.Client) error { _, err := c.Import(ctx, client.ImportRequest{}); return err }
	bind := func(c *client.Client) error { _, _, err := c.Bind(ctx, chart, api.BindRequest{}); return err }
	limited := answer{status: 429, body: errorBody(api.CodeRateLimited), header: map[string]string{"Retry-After": "0"}}
	later := answer{status: 429, body: errorBody(api.CodeRateLimited), header: map[string]string{"Retry-After": "3600"}}
	for _, tt := range []struct {
		name    string
		answers []answer
		call    func(*client.Client) error
		tries   int
		code    api.Code // "": no error
	}{
		{"unavailable, then fine", []answer{busy, busy, fine}, yank, 3, ""},
		{"connection lost, then fine", []answer{{drop: true}, {drop: true}, fine}, yank, 3, ""},
		{"a proxy's 502", []answer{{status: 502, body: "<html>"}, fine}, who, 2, ""},
		{"rate limited", []answer{limited, fine}, who, 2, ""},
		{"rate limited for ever", []answer{limited}, who, 4, api.CodeRateLimited},
		{"rate limited for an hour", []answer{later, fine}, who, 1, api.CodeRateLimited},
		{"publish waited for the registry", []answer{busy, fine}, publish, 1, api.CodeUnavailable},
		{"import waited for the registry", []answer{busy, fine}, imported, 1, api.CodeUnavailable},
		{"bind waited for the registry", []answer{busy, fine}, bind, 1, api.CodeUnavailable},
		{"publish through a proxy that gave up", []answer{{status: 502, body: "<html>"}, fine}, publish, 1, api.CodeUnavailable},
		{"publish, connection lost", []answer{{drop: true}, fine}, publish, 2, ""},
		{"bind, connection lost", []answer{{drop: true}, fine}, bind, 2, ""},
		{"publish, rate limited", []answer{limited, fine}, publish, 2, ""},
		{"bounded", []answer{busy}, yank, 4, api.CodeUnavailable},
		{"a wrong digest stays wrong", []answer{{status: 502, body: errorBody(api.CodeMismatch)}, fine}, yank, 1, api.CodeMismatch},
		{"no space is not tried again", []answer{{status: 507, body: errorBody(api.CodeNoSpace)}, fine}, yank, 1, api.CodeNoSpace},
		{"an internal error is not tried again", []answer{{status: 500, body: errorBody(api.CodeInternal)}, fine}, who, 1, api.CodeInternal},
		{"a new token is asked for once", []answer{busy, fine}, token, 1, api.CodeUnavailable},
		{"a new token is asked for once, connection lost", []answer{{drop: true}, fine}, token, 1, api.CodeUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWire(t, tt.answers...)
			err := tt.call(w.client(t))
			if tt.code == "" && err != nil {
				t.Fatal(err)
			}
			if tt.code != "" {
				wantCode(t, err, tt.code)
			}
			if len(w.sent()) != tt.tries {
				t.Fatalf("%d tries, want %d", len(w.sent()), tt.tries)
			}
			for _, r := range w.sent()[1:] {
				if k := r.header.Get("Idempotency-Key"); k != w.sent()[0].header.Get("Idempotency-Key") || r.body != w.sent()[0].body {
					t.Errorf("the retry has another key or body")
				}
			}
		})
	}
}

func TestKeysDiffer(t *testing.T) {
	w := newWire(t, answer{status: 200, body: "{}"})
	c := w.client(t)
	for range 2 {
		if _, err := c.Yank(context.Background(), chart, "r"); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := w.sent()[0].header.Get("Idempotency-Key"), w.sent()[1].header.Get("Idempotency-Key"); a == b || len(a) < 32 {
		t.Errorf("keys of two calls are %q and %q", a, b)
	}
}

// Every code and gate fact survives the wire.
func TestErrorsSurvive(t *testing.T) {
	want := api.Error{Message: "moved", Code: api.CodeStale, RequestID: "r1", Rule: "revision", Want: "look", Revision: 18,
		Current: &api.Pin{Env: env, Revision: 18, Binding: binding, By: "alice"}, Status: 412}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	w := newWire(t, answer{status: 412, body: string(b)})
	_, err = w.client(t).Pin(context.Background(), client.PinCall{Env: env})
	got := wantCode(t, err, api.CodeStale)
	if d := cmp.Diff(&want, got, cmpopts.EquateComparable(ref.Env{}, ref.BindingID{}, ref.ChartVersion{})); d != "" {
		t.Errorf("error changed on the wire (-sent +got):\n%s", d)
	}
}

// An answer of a proxy, without the API's body, still gets the right exit code.
func TestForeignErrors(t *testing.T) {
	for status, exit := range map[int]int{401: 9, 403: 9, 404: 3, 405: 8, 409: 6, 412: 6, 413: 8, 422: 8, 423: 5, 428: 6, 429: 10, 500: 1, 503: 10, 504: 10, 507: 10, 400: 8} {
		w := newWire(t, answer{status: status, body: "<html>nginx</html>", header: map[string]string{"Retry-After": "0"}})
		_, err := w.client(t).WhoAmI(context.Background())
		var e *api.Error
		if !errors.As(err, &e) || e.Code.Exit() != exit {
			t.Errorf("status %d: %v, want exit %d", status, err, exit)
		} else if !strings.Contains(e.Message, w.URL) {
			t.Errorf("status %d: message %q does not name the server", status, e.Message)
		}
	}
}

func TestNotTheAPI(t *testing.T) {
	for _, body := range []string{"<html>welcome</html>", "null", " null\n", ""} {
		w := newWire(t, answer{status: 200, body: body})
		_, err := w.client(t).WhoAmI(context.Background())
		wantCode(t, err, api.CodeInvalid)
	}
}

// What a cache or a proxy mixed up is not taken for what was asked: the next
// pin would go to another environment, or with another binding.
func TestAnswerOfAnother(t *testing.T) {
	env := parse1(ref.ParseEnv("data8/prod"))
	other := parse1(ref.ParseEnv("stat20/prod"))
	binding, another := ref.BindingIDOf(ref.DigestOf([]byte("a")), nil), ref.BindingIDOf(ref.DigestOf([]byte("b")), nil)
	body := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	w := newWire(t, answer{status: 200, body: body(api.Environment{Env: other, Revision: 3})})
	_, err := w.client(t).Environment(context.Background(), env)
	if e := wantCode(t, err, api.CodeInvalid); !strings.Contains(e.Message, "stat20/prod") {
		t.Errorf("message is %q", e.Message)
	}
	w = newWire(t, answer{status: 200, body: body(api.Binding{ID: another})})
	_, err = w.client(t).Binding(context.Background(), binding)
	if e := wantCode(t, err, api.CodeInvalid); !strings.Contains(e.Message, another.String()) {
		t.Errorf("message is %q", e.Message)
	}
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + l.Addr().String()
	l.Close()
	c, err := client.New(client.Options{Server: url, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.WhoAmI(context.Background())
	if e := wantCode(t, err, api.CodeUnavailable); !strings.Contains(e.Message, url) || strings.Contains(e.Message, "Get \"") {
		t.Errorf("message is %q, want one sentence with %s", e.Message, url)
	}
}

func TestTimeout(t *testing.T) {
	done := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-done }))
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(done) })
	c, err := client.New(client.Options{Server: s.URL, Retries: -1, Timeout: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.WhoAmI(context.Background())
	wantCode(t, err, api.CodeUnavailable)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err = c.WhoAmI(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled call returns %v", err)
	}
}

func TestTLSFailures(t *testing.T) {
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	for name, url := range map[string]string{
		"unknown authority": secure.URL,
		"plain HTTP":        strings.Replace(plain.URL, "http:", "https:", 1),
	} {
		c, err := client.New(client.Options{Server: url})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.WhoAmI(context.Background())
		if e := wantCode(t, err, api.CodeInvalid); e.Code.Exit() != api.ExitInvalid || !strings.Contains(e.Message, url) {
			t.Errorf("%s: %q, exit %d", name, e.Message, e.Code.Exit())
		}
	}
}

func TestRedirects(t *testing.T) {
	ctx := context.Background()
	other := newWire(t, answer{status: 200, body: "{}"})
	w := newWire(t, answer{status: 307, header: map[string]string{"Location": other.URL + "/x"}})
	_, err := w.client(t).WhoAmI(ctx)
	if e := wantCode(t, err, api.CodeInvalid); !strings.Contains(e.Message, other.URL) {
		t.Errorf("message %q does not name where the redirect goes", e.Message)
	}
	_, err = w.client(t).Yank(ctx, chart, "r")
	wantCode(t, err, api.CodeInvalid)
	if len(other.sent()) != 0 {
		t.Errorf("the other host was asked: %+v", other.sent())
	}

	same := newWire(t, answer{status: 302, header: map[string]string{"Location": "/elsewhere"}}, answer{status: 200, body: `{"name":"me"}`})
	if me, err := same.client(t).WhoAmI(ctx); err != nil || me.Name != "me" {
		t.Errorf("redirect within the origin: %+v, %v", me, err)
	}
	write := newWire(t, answer{status: 302, header: map[string]string{"Location": "/elsewhere"}}, answer{status: 200, body: `{}`})
	_, err = write.client(t).Yank(ctx, chart, "r")
	wantCode(t, err, api.CodeInvalid)
	if len(write.sent()) != 1 {
		t.Errorf("a redirected write was sent on")
	}
}
