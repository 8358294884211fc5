package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/api"
)

// A halt is set free by those who could have raised one of its scope by hand,
// and by nobody else: whatever raised it, and wherever its holder may halt.
func TestAHaltIsResolvedByWhoCouldHaveRaisedIt(t *testing.T) {
	g := newRig(t)
	g.publish(ownChart, "1.0.0", "first")
	g.want(201, request{method: "POST", path: "/api/v1/environments", token: g.admin, json: map[string]any{"environment": ownEnv, "chart": ownChart}})
	holders := map[string]string{}
	for name, glob := range map[string]string{"one": ownEnv, "hub": "own/*", "stage": "*/dev", "most": "*/*", "all": "*", "other": otherEnv} {
		holders[name] = g.token(name, "override:"+glob)
	}
	may := map[string]string{"environment": "one hub stage most all", "hub": "hub most all", "everything": "all"}
	const halts = "/api/v1/environments/" + ownEnv + "/halts"
	for scope, allowed := range may {
		for name, token := range holders {
			want := http.StatusForbidden
			if strings.Contains(allowed, name) {
				want = http.StatusCreated
			}
			raise := request{method: "POST", path: halts, token: token, json: map[string]any{"scope": scope, "reason": "look"}}
			if w := g.do(raise); w.Code != want {
				t.Errorf("%s raises a halt of scope %s: %d %s, want %d", name, scope, w.Code, w.Body, want)
			}
			raise.token = g.admin
			h := decodeAs[api.Halt](t, g.want(201, raise))
			if want == http.StatusCreated {
				want = http.StatusOK
			}
			resolve := request{method: "POST", path: "/api/v1/halts/" + h.ID + "/resolve", token: token, json: map[string]any{"reason": "seen"}}
			if w := g.do(resolve); w.Code != want {
				t.Errorf("%s resolves a halt of scope %s: %d %s, want %d", name, scope, w.Code, w.Body, want)
			}
			g.resolveAll()
		}
	}
}

// A failed report halts by the policy; to set that free takes no less.
func TestAHaltByReportIsResolvedByWhoCouldHaveRaisedIt(t *testing.T) {
	g := newRig(t)
	g.publish(ownChart, "1.0.0", "first")
	g.want(201, request{method: "POST", path: "/api/v1/environments", token: g.admin, json: map[string]any{"environment": ownEnv, "chart": ownChart}})
	g.want(200, request{method: "PUT", path: "/api/v1/environments/" + ownEnv + "/policy", token: g.admin, json: map[string]any{"halt": "everything"}})
	g.want(201, request{method: "POST", path: "/api/v1/environments/" + ownEnv + "/pins", token: g.admin,
		header: map[string]string{"If-Match": `"0"`, "Idempotency-Key": "first"}, json: map[string]any{"binding": g.binding(ownChart)}})
	r := decodeAs[api.Report](t, g.want(201, request{method: "POST", path: "/api/v1/environments/" + ownEnv + "/pins/1/reports", token: g.token("reporter", "report:"+ownEnv),
		json: map[string]any{"state": "failed"}}))
	resolve := request{method: "POST", path: "/api/v1/halts/" + r.Halt + "/resolve", token: g.token("small", "override:"+ownEnv), json: map[string]any{"reason": "seen"}}
	g.want(403, resolve)
	resolve.token = g.token("large", "override:*")
	g.want(200, resolve)
}

// resolveAll ends the halts that are left.
func (g *rig) resolveAll() {
	g.t.Helper()
	list, err := g.lock.OpenHalts(g.t.Context())
	if err != nil {
		g.t.Fatal(err)
	}
	for _, h := range list {
		g.want(200, request{method: "POST", path: "/api/v1/halts/" + h.ID + "/resolve", token: g.admin, json: map[string]any{"reason": "next"}})
	}
}

// The answer under one principal's key is no deed of another: it is not
// approved, reported or pinned by who only repeats the request.
func TestAnIdempotencyKeyBelongsToItsPrincipal(t *testing.T) {
	g := newRig(t)
	g.publish(ownChart, "1.0.0", "first")
	g.want(201, request{method: "POST", path: "/api/v1/environments", token: g.admin, json: map[string]any{"environment": ownEnv, "chart": ownChart}})
	scopes := []string{"pin:" + ownEnv, "report:" + ownEnv, "approve:" + ownEnv, "override:" + ownEnv}
	alice, bob := g.token("alice", scopes...), g.token("bob", scopes...)
	const env = "/api/v1/environments/" + ownEnv
	for name, r := range []request{
		{method: "POST", path: env + "/pins", json: map[string]any{"binding": g.binding(ownChart)}},
		{method: "POST", path: env + "/approvals", json: map[string]any{"binding": g.binding(ownChart)}},
		{method: "POST", path: env + "/halts", json: map[string]any{"reason": "look"}},
	} {
		r.header = map[string]string{"If-Match": `"0"`, "Idempotency-Key": fmt.Sprint("key-of-alice-", name)}
		r.token = alice
		first := g.want(201, r).Body.String()
		if again := g.want(201, r).Body.String(); again != first {
			t.Errorf("%d: alice's own repetition is answered %s, was %s", name, again, first)
		}
		r.token = bob
		if w := g.want(422, r); !strings.Contains(w.Body.String(), "belongs to alice") {
			t.Errorf("%d: bob repeats alice's key: %s", name, w.Body)
		}
	}
	fence := request{method: "POST", path: env + "/pins/by-key/key-of-alice-0/fence", token: bob}
	if f := decodeAs[api.Fence](t, g.want(200, fence)); !f.Pinned || f.Pin.By != "alice" {
		t.Errorf("bob fences what alice pinned: %+v", f)
	}
}
