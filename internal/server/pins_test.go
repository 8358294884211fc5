package server

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/model"
)

// environment makes own/dev with one chart version and returns its binding.
func (g *rig) environment() string {
	g.t.Helper()
	g.publish("demo", "1.0.0", "x")
	g.want(201, request{method: "POST", path: "/api/v1/environments", token: g.admin, json: map[string]any{"environment": "own/dev", "chart": "demo"}})
	return g.binding("demo")
}

func (g *rig) pinRequest(base, key string, body any) request {
	h := map[string]string{}
	if base != "" {
		h["If-Match"] = base
	}
	if key != "" {
		h["Idempotency-Key"] = key
	}
	return request{method: "POST", path: "/api/v1/environments/own/dev/pins", token: g.admin, header: h, json: body}
}

func TestPinPreconditions(t *testing.T) {
	g := newRig(t)
	body := map[string]any{"binding": g.environment(), "reason": "first"}
	g.want(428, g.pinRequest("", "k", body))
	g.want(400, g.pinRequest(`"0"`, "", body))
	for _, base := range []string{"0", `W/"0"`, "*", `""`, `"-1"`, `"x"`, `"0", "1"`, `"99999999999999999999"`, strings.Repeat("x", 1<<16)} {
		g.want(400, g.pinRequest(base, "k", body))
	}
	for _, key := range []string{"a b", "a\x7f", "ü", strings.Repeat("k", 129)} {
		g.want(400, g.pinRequest(`"0"`, key, body))
	}
	for _, binding := range []string{"b1:x", "latest", "quay.io/a/b:1", "sha1:" + strings.Repeat("1", 40), "sha256:" + strings.Repeat("0", 64)} {
		g.want(422, g.pinRequest(`"0"`, "k", map[string]any{"binding": binding}))
	}
	g.want(404, g.pinRequest(`"0"`, "k0", map[string]any{"binding": "b1:" + strings.Repeat("A", 43)}))

	first := decodeAs[api.Pin](t, g.want(201, g.pinRequest(`"0"`, "k1", body)))
	again := decodeAs[api.Pin](t, g.want(201, g.pinRequest(`"0"`, "k1", body)))
	if first.Revision != 1 || again.Revision != 1 || first.By != "admin" {
		t.Errorf("pinned %+v, and again %+v", first, again)
	}
	g.want(422, g.pinRequest(`"1"`, "k1", body)) // the key belongs to another request
	e := decodeAs[api.Error](t, g.want(412, g.pinRequest(`"0"`, "k2", body)))
	if e.Code != api.CodeStale || e.Revision != 1 || e.Current == nil || e.Current.By != "admin" {
		t.Errorf("stale: %+v", e)
	}
	byKey := decodeAs[api.Pin](t, g.want(200, request{path: "/api/v1/environments/own/dev/pins/by-key/k1", token: g.admin}))
	if byKey.Revision != 1 {
		t.Errorf("by key: %+v", byKey)
	}
	g.want(404, request{path: "/api/v1/environments/own/dev/pins/by-key/k9", token: g.admin})
	for _, rev := range []string{"0", "2", "01", "99999999999999999999"} {
		g.want(404, request{path: "/api/v1/environments/own/dev/pins/" + rev, token: g.admin})
	}
	g.want(200, request{path: "/api/v1/environments/own/dev/pins/1", token: g.admin})
	if w := g.do(request{path: "/api/v1/environments/OWN/dev", token: g.admin}); w.Code != 422 {
		t.Errorf("upper case: %d", w.Code)
	}
}

func TestConcurrentPinsLeaveNoGap(t *testing.T) {
	g := newRig(t)
	body := map[string]any{"binding": g.environment()}
	const clients = 16
	var mu sync.Mutex
	got := map[uint64]int{}
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			base := uint64(0)
			for {
				w := g.do(g.pinRequest(fmt.Sprintf(`"%d"`, base), fmt.Sprintf("k%d-%d", i, base), body))
				switch w.Code {
				case http.StatusCreated:
					rev := decodeAs[api.Pin](t, w).Revision
					mu.Lock()
					got[rev]++
					mu.Unlock()
					if rev != base+1 {
						t.Errorf("revision %d on base %d", rev, base)
					}
					return
				case http.StatusPreconditionFailed:
					base = decodeAs[api.Error](t, w).Revision
				default:
					t.Errorf("%d %s", w.Code, w.Body)
					return
				}
			}
		})
	}
	wg.Wait()
	for rev := uint64(1); rev <= clients; rev++ {
		if got[rev] != 1 {
			t.Errorf("revision %d was answered %d times", rev, got[rev])
		}
	}
}

func TestPinSetNeedsTheScopeOnEveryEnvironment(t *testing.T) {
	g := newRig(t)
	binding := g.environment()
	g.want(201, request{method: "POST", path: "/api/v1/environments", token: g.admin, json: map[string]any{"environment": "own/prod", "chart": "demo"}})
	set := func(token, key string) request {
		return request{method: "POST", path: "/api/v1/pinsets", token: token, header: map[string]string{"Idempotency-Key": key},
			json: map[string]any{"pins": []map[string]any{{"environment": "own/dev", "revision": 0, "binding": binding}, {"environment": "own/prod", "revision": 0, "binding": binding}}}}
	}
	g.want(403, set(g.token("dev", "pin:own/dev"), "k1"))
	g.want(400, set(g.admin, ""))
	made := decodeAs[api.PinSetResult](t, g.want(201, set(g.admin, "k2")))
	if len(made.Pins) != 2 || made.Set == "" {
		t.Errorf("%+v", made)
	}
	g.want(412, set(g.admin, "k3"))
}

func TestEnvironmentRepository(t *testing.T) {
	g := newRig(t)
	binding := g.environment()
	g.want(201, g.pinRequest(`"0"`, "k1", map[string]any{"binding": binding}))
	read := func(status int, path string) string {
		t.Helper()
		return g.want(status, request{path: path, token: g.admin}).Body.String()
	}
	if s := read(200, "/environments/own/dev/revisions/1/index.yaml"); !strings.Contains(s, "demo") {
		t.Errorf("revision index: %s", s)
	}
	read(200, "/environments/own/dev/revisions/1/demo-1.0.0.tgz")
	read(200, "/environments/own/dev/revisions/1/values.yaml")
	read(404, "/environments/own/dev/revisions/1/demo-2.0.0.tgz")
	read(404, "/environments/own/dev/revisions/2/index.yaml")
	read(404, "/environments/own/none/index.yaml")
	read(404, "/environments/own/dev/sealed/demo-1.0.0.tgz")
	list := decodeAs[api.Environments](t, g.want(200, request{path: "/api/v1/environments", token: g.admin}))
	if len(list.Environments) != 1 || list.Environments[0].Pin == nil || list.Environments[0].Binding == nil {
		t.Errorf("%+v", list)
	}
	pins := decodeAs[api.Pins](t, g.want(200, request{path: "/api/v1/environments/own/dev/pins?limit=1", token: g.admin}))
	if len(pins.Pins) != 1 {
		t.Errorf("%+v", pins)
	}
	journal := decodeAs[api.Journal](t, g.want(200, request{path: "/api/v1/journal?limit=1000", token: g.admin}))
	last := journal.Lines[len(journal.Lines)-1]
	if last.By != "admin" || last.Object != "own/dev" && !strings.HasPrefix(last.Object, "own/dev") {
		t.Errorf("last line %+v", last)
	}
}

// An environment that is not there yet is made by adopting, of the chart named.
func TestAdoptMakesTheEnvironment(t *testing.T) {
	g := newRig(t)
	g.publish("demo", "1.0.0", "x")
	adopt := func(key string, body map[string]any) request {
		return request{method: "POST", path: "/api/v1/environments/own/new/adopt", token: g.admin, header: map[string]string{"Idempotency-Key": key}, json: body}
	}
	g.want(404, adopt("k1", map[string]any{"version": "1.0.0", "reason": "it runs"}))
	g.want(404, adopt("k2", map[string]any{"chart": "none", "version": "1.0.0", "reason": "it runs"}))
	p := decodeAs[api.Pin](t, g.want(201, adopt("k3", map[string]any{"chart": "demo", "version": "1.0.0", "reason": "it runs"})))
	if p.Revision != 1 || p.Name != "demo" || p.Kind != model.Adopt {
		t.Errorf("adopted %+v", p)
	}
	e := decodeAs[api.Environment](t, g.want(200, request{path: "/api/v1/environments/own/new", token: g.admin}))
	if e.Chart != "demo" || e.Revision != 1 || e.Policy.Halt != model.ScopeHub {
		t.Errorf("made %+v", e)
	}
	g.want(409, adopt("k4", map[string]any{"chart": "demo", "version": "1.0.0", "reason": "it runs"}))
	g.publish("other", "1.0.0", "x")
	g.want(201, request{method: "POST", path: "/api/v1/environments", token: g.admin, json: map[string]any{"environment": "own/dev", "chart": "demo"}})
	wrong := adopt("k5", map[string]any{"chart": "other", "version": "1.0.0", "reason": "it runs"})
	wrong.path = "/api/v1/environments/own/dev/adopt"
	g.want(422, wrong)
}
