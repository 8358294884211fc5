package server

import (
	"fmt"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/transport"
	"github.com/prometheus/client_golang/prometheus"
)

// hand is a clock that tests set.
type hand struct{ at atomic.Int64 }

func newHand() *hand {
	h := new(hand)
	h.at.Store(time.Now().UnixNano())
	return h
}

func (h *hand) now() time.Time          { return time.Unix(0, h.at.Load()) }
func (h *hand) advance(d time.Duration) { h.at.Add(int64(d)) }

// newLimited is a server with limits, and its clock.
func newLimited(t *testing.T, l Limits, change ...func(*Config)) (*rig, *hand) {
	clock := newHand()
	return newRig(t, append(change, func(c *Config) { c.Limits, c.Now = l, clock.now })...), clock
}

// countReads counts the transactions that read the lock database from here on.
func (g *rig) countReads() *atomic.Int64 {
	var n atomic.Int64
	g.store.SetFault(func(step string) error {
		if step == "view" {
			n.Add(1)
		}
		return nil
	})
	return &n
}

// from does a request from an address.
func (g *rig) from(addr, method, path, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(""))
	r.RemoteAddr = addr
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	g.server.ServeHTTP(w, r)
	return w
}

// stranger is a token of the right form that no server has.
func stranger(t *testing.T) string {
	t.Helper()
	_, secret, err := auth.New(auth.Request{Name: "stranger", Scopes: []string{"read"}, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return secret.Reveal()
}

// wantLimited checks an answer that refuses for a limit.
func wantLimited(t *testing.T, w *httptest.ResponseRecorder, after int, words ...string) {
	t.Helper()
	e := decodeAs[api.Error](t, w)
	if w.Code != 429 || e.Code != api.CodeRateLimited || e.RequestID == "" || w.Header().Get("Retry-After") != strconv.Itoa(after) {
		t.Fatalf("%d %s, Retry-After %q, want 429 after %d s", w.Code, w.Body, w.Header().Get("Retry-After"), after)
	}
	if w.Header().Get("WWW-Authenticate") != "" {
		t.Error("it asks for a credential")
	}
	for _, word := range words {
		if !strings.Contains(e.Message, word) {
			t.Errorf("%q does not say %q", e.Message, word)
		}
	}
}

const (
	here      = "192.0.2.7:1000"
	elsewhere = "192.0.2.8:1000"
)

var tenAMinute = Limits{FailedAuth: transport.Rate{N: 10, Per: time.Minute}}

// Limits: failed authentications, by address.
func TestWrongCredentialsAreLimited(t *testing.T) {
	g, clock := newLimited(t, tenAMinute)
	bad := stranger(t)
	for i := range 10 {
		if w := g.from(here, "GET", "/index.yaml", bad); w.Code != 401 || w.Header().Get("Retry-After") != "" {
			t.Fatalf("wrong credential %d: %d %s", i, w.Code, w.Body)
		}
	}
	for _, wrong := range []string{bad, bad, stranger(t), "x", g.admin + "x"} {
		wantLimited(t, g.from(here, "GET", "/index.yaml", wrong), 6, "--limit-failed-auth is 10/m", "192.0.2.7", "try again in 6 s")
	}
	wantLimited(t, g.from(here, "PATCH", "/index.yaml", "x"), 6) // where no route is, too
	if w := g.from(elsewhere, "GET", "/index.yaml", bad); w.Code != 401 {
		t.Errorf("another address: %d %s", w.Code, w.Body)
	}

	clock.advance(6*time.Second - 1)
	wantLimited(t, g.from(here, "GET", "/index.yaml", bad), 1)
	clock.advance(1)
	if w := g.from(here, "GET", "/index.yaml", bad); w.Code != 401 {
		t.Errorf("six seconds later: %d %s", w.Code, w.Body)
	}
	wantLimited(t, g.from(here, "GET", "/index.yaml", bad), 6)
}

// Behind one address may be one job with a wrong token and many with right
// ones, which may never have been used before.
func TestARightTokenIsNeverLimitedByWrongOnes(t *testing.T) {
	g, _ := newLimited(t, tenAMinute)
	bad := stranger(t)
	for range 50 {
		g.from(here, "GET", "/index.yaml", bad)
	}
	wantLimited(t, g.from(here, "GET", "/index.yaml", bad), 6)
	for i := range 20 {
		fresh := g.token(fmt.Sprintf("fresh-%d", i), "read")
		if w := g.from(here, "GET", "/index.yaml", fresh); w.Code != 200 {
			t.Errorf("a right token: %d %s", w.Code, w.Body)
		}
	}
	if w := g.from(here, "POST", "/api/v1/tokens", g.token("reader", "read")); w.Code != 403 {
		t.Errorf("a right token without the scope: %d %s", w.Code, w.Body)
	}
	wantLimited(t, g.from(here, "GET", "/index.yaml", bad), 6)
}

// Who sends no credential guesses nothing: a client that was not logged in is
// told so, however often it asks.
func TestNoCredentialIsNoGuess(t *testing.T) {
	g, _ := newLimited(t, tenAMinute)
	for range 30 {
		if w := g.from(here, "GET", "/index.yaml", ""); w.Code != 401 {
			t.Fatalf("anonymous: %d %s", w.Code, w.Body)
		}
	}
	for i := range 30 {
		if w := g.from(here, "POST", "/api/v1/tokens", g.token(fmt.Sprint("r", i), "read")); w.Code != 403 {
			t.Fatalf("without the scope: %d %s", w.Code, w.Body)
		}
	}
	if w := g.from(here, "GET", "/index.yaml", "x"); w.Code != 401 {
		t.Errorf("the first wrong credential: %d %s", w.Code, w.Body)
	}
	for range 20 {
		g.from(here, "GET", "/index.yaml", "x")
	}
	for _, path := range []string{"/healthz", "/"} {
		if w := g.from(here, "GET", path, "x"); w.Code != 200 {
			t.Errorf("%s looks at no credential: %d %s", path, w.Code, w.Body)
		}
	}
	if w := g.from(here, "GET", "/index.yaml", ""); w.Code != 401 {
		t.Errorf("anonymous, among wrong credentials: %d %s", w.Code, w.Body)
	}
}

// A refused credential that comes again is not looked up, and one that can be
// no token never is.
func TestRepeatedWrongCredentialsReadNothing(t *testing.T) {
	g, clock := newLimited(t, tenAMinute)
	bad := stranger(t)
	for range 11 {
		g.from(here, "GET", "/index.yaml", bad)
	}
	n := g.countReads()
	for range 100 {
		wantLimited(t, g.from(here, "GET", "/index.yaml", bad), 6)
		wantLimited(t, g.from(here, "GET", "/index.yaml", bad[1:]), 6)
	}
	if n.Load() != 0 {
		t.Errorf("%d reads of the database, want none", n.Load())
	}
	g.from(elsewhere, "GET", "/index.yaml", bad)
	if n.Load() != 1 {
		t.Errorf("%d reads for another address, want 1", n.Load())
	}
	clock.advance(6 * time.Second)
	if w := g.from(here, "GET", "/index.yaml", bad); w.Code != 401 || n.Load() != 2 {
		t.Errorf("%d, %d reads; once it is answered 401 again it is looked up", w.Code, n.Load())
	}
}

func TestABrokenStoreIsNoWrongCredential(t *testing.T) {
	g, _ := newLimited(t, tenAMinute)
	tok := g.token("ci", "read")
	g.store.SetFault(func(string) error { return fmt.Errorf("no disk") })
	for range 20 {
		if w := g.from(here, "GET", "/index.yaml", tok); w.Code != 500 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	g.store.SetFault(nil)
	if w := g.from(here, "GET", "/index.yaml", "x"); w.Code != 401 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// The header is the caller's to write, so it names no address.
func TestForwardedAddressesAreNotTrusted(t *testing.T) {
	g, _ := newLimited(t, tenAMinute)
	w := httptest.NewRecorder()
	for i := range 11 {
		r := httptest.NewRequest("GET", "/index.yaml", nil)
		for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded"} {
			r.Header.Set(name, fmt.Sprintf("203.0.113.%d", i))
		}
		r.Header.Set("Authorization", "Bearer x")
		w = httptest.NewRecorder()
		g.server.ServeHTTP(w, r)
	}
	wantLimited(t, w, 6)
}

// At one moment exactly as many are counted as the limit has, and right tokens
// go through all the while.
func TestLimitsHoldTogether(t *testing.T) {
	g, _ := newLimited(t, Limits{FailedAuth: transport.Rate{N: 10, Per: time.Minute}, Pin: transport.Rate{N: 7, Per: time.Hour}})
	good, pinner := g.token("good", "read"), g.token("pinner", "pin:*")
	bad := []string{stranger(t), stranger(t), "x"}
	var status [3]sync.Map // kind of request, then status to *atomic.Int64
	count := func(kind, code int) *atomic.Int64 {
		n, _ := status[kind].LoadOrStore(code, new(atomic.Int64))
		return n.(*atomic.Int64)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 25 {
				count(0, g.from(here, "GET", "/index.yaml", bad[(i+j)%len(bad)]).Code).Add(1)
				count(1, g.from(here, "GET", "/index.yaml", good).Code).Add(1)
				count(2, g.from(here, "POST", "/api/v1/environments/own/dev/pins", pinner).Code).Add(1)
			}
		})
	}
	wg.Wait()
	for _, want := range []struct{ kind, code, n int }{{0, 401, 10}, {0, 429, 190}, {1, 200, 200}, {2, 429, 193}} {
		if n := count(want.kind, want.code).Load(); n != int64(want.n) {
			t.Errorf("kind %d: %d answers %d, want %d", want.kind, n, want.code, want.n)
		}
	}
	if a, b := g.limitedBy(t, "failed-auth"), g.limitedBy(t, "pin"); a != 190 || b != 193 {
		t.Errorf("the metric says %v and %v", a, b)
	}
}

// limitedBy reads the metric of refused requests.
func (g *rig) limitedBy(t *testing.T, limit string) float64 {
	t.Helper()
	families, err := prometheus.Gatherers{g.server.metrics.Registry}.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "chartd_rate_limited_total" && m.GetLabel()[0].GetValue() == limit {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("there is no chartd_rate_limited_total of %q", limit)
	return 0
}

// Limits: publish, pin and read, each by itself, by token or else by address.
func TestRequestsAreLimited(t *testing.T) {
	const pins = "/api/v1/environments/own/dev/pins"
	all := Limits{Publish: transport.Rate{N: 2, Per: time.Minute}, Pin: transport.Rate{N: 2, Per: time.Hour}, Read: transport.Rate{N: 2, Per: time.Minute}}
	for name, c := range map[string]struct {
		method string
		paths  []string // counted together
		after  int
		rate   string
	}{
		"publish": {"POST", []string{"/api/charts", "/api/prov", "/api/v1/charts", "/api/v1/import", "/api/v1/imports"}, 30, "2/m"},
		"pin":     {"POST", []string{pins, "/api/v1/pinsets", pins + "/by-key/k/fence"}, 1800, "2/h"},
		"read":    {"GET", []string{"/index.yaml", "/api/v1/charts", "/api/v1/whoami", "/api/v1/status"}, 30, "2/m"},
	} {
		t.Run(name, func(t *testing.T) {
			g, clock := newLimited(t, all)
			full := func(token string) {
				t.Helper()
				for i := range 2 {
					if w := g.from(here, c.method, c.paths[i], token); w.Code == 429 {
						t.Fatalf("%s is counted: %s", c.paths[i], w.Body)
					}
				}
				for _, path := range c.paths {
					wantLimited(t, g.from(elsewhere, c.method, path, token), c.after, "--limit-"+name+" is "+c.rate, "try again in "+strconv.Itoa(c.after)+" s", `"`)
				}
			}
			full(g.admin)
			full(g.token("other", "publish:*", "import", "pin:*"))
			for _, other := range []string{"/healthz", "/readyz", "/"} {
				if w := g.from(here, "GET", other, g.admin); w.Code != 200 {
					t.Errorf("%s: %d %s", other, w.Code, w.Body)
				}
			}
			if w := g.from(here, "GET", "/api/v1/tokens", g.admin); w.Code != 200 {
				t.Errorf("what has no limit: %d %s", w.Code, w.Body)
			}
			for other, r := range map[string][2]string{"publish": {"POST", "/api/charts"}, "pin": {"POST", pins}, "read": {"GET", "/index.yaml"}} {
				if w := g.from(here, r[0], r[1], g.admin); (w.Code == 429) != (other == name) {
					t.Errorf("%s: %d %s", other, w.Code, w.Body)
				}
			}
			clock.advance(time.Duration(c.after) * time.Second)
			if w := g.from(here, c.method, c.paths[0], g.admin); w.Code == 429 {
				t.Errorf("after Retry-After: %s", w.Body)
			}
			wantLimited(t, g.from(here, c.method, c.paths[0], g.admin), c.after)
		})
	}
}

// Readers without a token are counted by their address, and told what to do.
func TestAnonymousReadersAreLimitedByAddress(t *testing.T) {
	g, _ := newLimited(t, Limits{Read: transport.Rate{N: 3, Per: time.Minute}}, func(c *Config) { c.AnonymousRead = true })
	for _, addr := range []string{here, elsewhere, "[2001:db8::1]:1"} {
		for range 3 {
			if w := g.from(addr, "GET", "/index.yaml", ""); w.Code != 200 {
				t.Fatalf("%s: %d %s", addr, w.Code, w.Body)
			}
		}
	}
	wantLimited(t, g.from("192.0.2.7:2", "HEAD", "/index.yaml", ""), 20, "192.0.2.7 without a token", "send a token")
	wantLimited(t, g.from("[2001:db8::2]:1", "GET", "/index.yaml", ""), 20, "2001:db8::/64")
	if w := g.from(here, "GET", "/index.yaml", g.admin); w.Code != 200 {
		t.Errorf("with a token: %d %s", w.Code, w.Body)
	}
}

// An upload over its limit is refused before its body is read.
func TestLimitedUploadsAreNotRead(t *testing.T) {
	g, _ := newLimited(t, Limits{Publish: transport.Rate{N: 1, Per: time.Hour}})
	g.from(here, "POST", "/api/charts", g.admin)
	body := &countingReader{r: neverEnding{}}
	r := httptest.NewRequest("POST", "/api/charts", body)
	r.Header.Set("Authorization", "Bearer "+g.admin)
	w := httptest.NewRecorder()
	g.server.ServeHTTP(w, r)
	wantLimited(t, w, 3600)
	if body.n != 0 {
		t.Errorf("%d bytes were read", body.n)
	}
}

func TestNoLimitCostsNothing(t *testing.T) {
	g := newRig(t)
	if g.server.guesses != nil {
		t.Error("failed authentications are counted")
	}
	for range 100 {
		if w := g.from(here, "GET", "/index.yaml", "x"); w.Code != 401 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	for _, rt := range routes() {
		if g.server.limits.of(rt.access) != nil {
			t.Errorf("%s %s has a limit", rt.method, rt.path)
		}
	}
}
