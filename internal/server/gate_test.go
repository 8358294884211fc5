package server

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/model"
)

const ownDev, ownProd = "/api/v1/environments/own/dev", "/api/v1/environments/own/prod"

// stages makes own/dev and own/prod with two chart versions, and returns the
// binding of each.
func (g *rig) stages() (first, second string) {
	g.t.Helper()
	first = g.environment()
	g.publish("demo", "1.1.0", "y")
	g.want(201, request{method: "POST", path: "/api/v1/environments", token: g.admin, json: map[string]any{"environment": "own/prod", "chart": "demo"}})
	list, err := g.lock.Versions(g.t.Context(), "demo")
	if err != nil || len(list) != 2 {
		g.t.Fatalf("%v, %v", list, err)
	}
	for _, v := range list {
		if v.Chart.Version() == "1.1.0" {
			second = v.Default.String()
		}
	}
	return first, second
}

func (g *rig) setPolicy(status int, policy any) api.Environment {
	g.t.Helper()
	w := g.want(status, request{method: "PUT", path: ownProd + "/policy", token: g.admin, json: policy})
	if status != 200 {
		return api.Environment{}
	}
	return decodeAs[api.PolicySet](g.t, w).Environment
}

func TestPolicy(t *testing.T) {
	g := newRig(t)
	g.stages()
	e := g.setPolicy(200, map[string]any{
		"upstream": []string{"dev"}, "soak": "1h30m", "approvals": 2, "halt": "everything", "deadline": "10m", "overdue": "halt",
		"accept": []string{"base-layers"},
		"freeze": []map[string]any{{"cron": "0 17 * * 5", "zone": "America/Los_Angeles", "for": "62h", "reason": "weekend"}},
	})
	p := e.Policy
	if strings.Join(p.Upstream, "") != "own/dev" || p.Soak != "1h30m" || p.Approvals != 2 || p.Halt != model.ScopeEverything || p.Deadline != "10m" ||
		p.Overdue != model.OverdueHalt || len(p.Freeze) != 1 || p.Freeze[0].For != "62h" || model.Join(p.Accept, "") != "base-layers" {
		t.Errorf("the policy is %+v", p)
	}
	for status, list := range map[int][]map[string]any{
		400: {{"soak": "1 day", "upstream": []string{"dev"}}, {"soak": "1h"}, {"halt": "all"}, {"approvals": -1}, {"approval": 1},
			{"overdue": "halt"}, {"freeze": []map[string]any{{"cron": "* * *", "zone": "UTC", "for": "1h"}}}, {"upstream": []string{"prod"}}, {"accept": []string{"hope"}}},
		404: {{"upstream": []string{"none"}}},
		422: {{"upstream": []string{"NO"}}},
	} {
		for _, wrong := range list {
			g.setPolicy(status, wrong)
		}
	}
	if back := g.setPolicy(200, map[string]any{}).Policy; back.Soak != "" || back.Halt != model.ScopeHub || len(back.Accept) != 3 {
		t.Errorf("the default policy is %+v", back)
	}
	g.want(404, request{method: "PUT", path: "/api/v1/environments/own/none/policy", token: g.admin, json: map[string]any{}})
}

// A policy is answered with what it changed, and a dry run, for which reading
// is enough, with what it would change.
func TestPolicyChanges(t *testing.T) {
	g := newRig(t)
	g.stages()
	set := func(token string, body map[string]any) api.PolicySet {
		t.Helper()
		return decodeAs[api.PolicySet](t, g.want(200, request{method: "PUT", path: ownProd + "/policy", token: token, json: body}))
	}
	dry := func(body map[string]any) map[string]any {
		body = maps.Clone(body)
		body["dry_run"] = true
		return body
	}
	lines := func() int {
		t.Helper()
		n, err := g.lock.JournalEnd(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return int(n)
	}
	reader, n := g.token("reader", "read"), lines()
	strict := map[string]any{"upstream": []string{"dev"}, "soak": "60m", "accept": []string{"values-only", "base-layers", "chart-values"}}
	want := []api.PolicyChange{{Field: "upstream", New: "own/dev"}, {Field: "soak", New: "1h"}}
	if s := set(reader, dry(strict)); !slices.Equal(s.Changes, want) || s.Policy.Soak != "1h" || lines() != n {
		t.Errorf("a dry run: %+v, %d lines", s, lines()-n)
	}
	g.want(403, request{method: "PUT", path: ownProd + "/policy", token: reader, json: strict})
	if s := set(g.admin, strict); !slices.Equal(s.Changes, want) || s.Policy.Soak != "1h" || s.Policy.Halt != model.ScopeHub || lines() != n+1 {
		t.Errorf("set: %+v, %d lines", s, lines()-n)
	}
	same := map[string]any{"upstream": []string{"own/dev"}, "soak": "3600s", "halt": "hub", "overdue": "unknown"}
	if s := set(g.admin, same); len(s.Changes) != 0 || lines() != n+1 {
		t.Errorf("the same in other words: %+v, %d lines", s.Changes, lines()-n)
	}
	g.want(400, request{method: "PUT", path: ownProd + "/policy", token: reader, json: dry(map[string]any{"soak": "1h"})})
	// What it asks of other environments is asked when it is set: they may be
	// about to change.
	missing := map[string]any{"upstream": []string{"later"}}
	set(reader, dry(missing))
	g.want(404, request{method: "PUT", path: ownProd + "/policy", token: g.admin, json: missing})
}

// ask asks the gate about a pin of own/prod.
func (g *rig) ask(token string, body map[string]any) api.GateVerdict {
	g.t.Helper()
	return decodeAs[api.GateVerdict](g.t, g.want(200, request{method: "POST", path: ownProd + "/gate", token: token, header: map[string]string{"If-Match": `"0"`}, json: body}))
}

func ruleState(v api.GateVerdict, rule model.Rule) model.RuleState {
	for _, r := range v.Rules {
		if r.Rule == rule {
			return r.State
		}
	}
	return "not asked"
}

func TestTheGateSaysWhatThePinWouldBeAnswered(t *testing.T) {
	g := newRig(t)
	binding, _ := g.stages()
	g.setPolicy(200, map[string]any{"upstream": []string{"dev"}, "approvals": 1})
	g.want(201, g.pinRequest(`"0"`, "k1", map[string]any{"binding": binding}))
	body := map[string]any{"binding": binding}
	pin := request{method: "POST", path: ownProd + "/pins", token: g.admin, header: map[string]string{"If-Match": `"0"`, "Idempotency-Key": "p1"}, json: body}

	v := g.ask(g.admin, body)
	if v.Pass || ruleState(v, model.RuleUpstream) != model.RuleUnsure || ruleState(v, model.RuleApprovals) != model.RuleRefused || ruleState(v, model.RuleFreeze) != model.RulePassed || v.Version != "1.0.0" {
		t.Fatalf("verdict %+v", v)
	}
	e := decodeAs[api.Error](t, g.want(422, pin))
	if r := v.Refusal; r == nil || e.Code != r.Code || e.Message != r.Message || e.Rule != model.RuleUpstream || e.Want != r.Want || e.Command != r.Command || len(e.Facts) != len(r.Facts) {
		t.Errorf("the pin is refused by %+v, and the gate said %+v", e, v.Refusal)
	}

	g.want(201, request{method: "POST", path: ownReports, token: g.admin, json: map[string]any{"state": "passed"}})
	g.want(201, request{method: "POST", path: ownProd + "/approvals", token: g.admin, json: body}) // one's own
	if v := g.ask(g.admin, body); v.Pass || v.Refusal.Rule != model.RuleApprovals {
		t.Errorf("with the own approval: %+v", v)
	}
	a := decodeAs[api.Approval](t, g.want(201, request{method: "POST", path: ownProd + "/approvals", token: g.token("head", "approve:own/prod"), json: map[string]any{"binding": binding, "reason": "seen"}}))
	if a.By != "head" || a.Reason != "seen" {
		t.Errorf("approval %+v", a)
	}
	if v := g.ask(g.admin, body); !v.Pass || v.Refusal != nil {
		t.Errorf("with an approval: %+v", v)
	}
	pin.header["Idempotency-Key"] = "p2"
	g.want(201, pin)
	if v := g.ask(g.admin, body); v.Pass || v.Refusal.Code != api.CodeStale || v.Refusal.Revision != 1 {
		t.Errorf("from an old revision: %+v", v)
	}
	st := decodeAs[api.EnvironmentStatus](t, g.want(200, request{path: ownProd + "/status", token: g.admin}))
	if strings.Join(st.Approved, "") != "head" || len(st.Stages) != 1 || !st.Stages[0].OK {
		t.Errorf("status %+v", st)
	}
	g.want(400, request{method: "POST", path: ownProd + "/gate", token: g.admin, json: map[string]any{}})
	g.want(404, request{method: "POST", path: ownProd + "/gate", token: g.admin, header: map[string]string{"If-Match": `"0"`}, json: map[string]any{"binding": "b1:" + strings.Repeat("A", 43)}})
}

// Without a precondition the gate judges the revision that is current, and
// says which that is.
func TestTheServerChooses(t *testing.T) {
	g := newRig(t)
	first, second := g.stages()
	reader := g.token("reader", "read")
	choose := func(status int, choice map[string]any) *httptest.ResponseRecorder {
		t.Helper()
		return g.want(status, request{method: "POST", path: ownDev + "/gate", token: reader, json: map[string]any{"choose": choice}})
	}
	verdict := func(choice map[string]any) api.GateVerdict {
		t.Helper()
		return decodeAs[api.GateVerdict](t, choose(200, choice))
	}
	v := verdict(map[string]any{"latest": true})
	if !v.Pass || v.Binding.String() != second || v.Pair.ID != v.Binding || v.Version != "1.1.0" || v.Kind != model.Bump || v.Pin != nil || v.Revision != 0 {
		t.Errorf("the latest: %+v", v)
	}
	g.want(201, g.pinRequest(`"0"`, "k1", map[string]any{"binding": second}))
	g.publish("demo", "1.0.1", "z")
	if v = verdict(map[string]any{"latest": true}); !v.Already || v.Revision != 1 || v.Pin.Revision != 1 || v.PublishedLast != "1.0.1" {
		t.Errorf("the latest again: %+v", v)
	}
	v = verdict(map[string]any{"version": "1.0.1"})
	if !v.Pass || v.Direction.Chart != model.Forward || v.ByVersion != model.Back {
		t.Errorf("to 1.0.1: %+v", v)
	}
	v = verdict(map[string]any{"version": "1.0.0"})
	if v.Pass || v.Refusal.Rule != model.RuleDirection || v.Binding.String() != first {
		t.Errorf("to 1.0.0: %+v", v)
	}
	choose(404, map[string]any{"version": "9.9.9"})
	choose(404, map[string]any{"from": "own/prod"})
	choose(400, map[string]any{})
	choose(400, map[string]any{"latest": true, "version": "1.0.0"})
	choose(422, map[string]any{"version": "1.0.0", "images": map[string]any{"main": "NO"}})
	e := decodeAs[api.Error](t, choose(422, map[string]any{"version": "1.0.0", "images": map[string]any{"main": "quay.io/my/demo:1"}}))
	if e.Code != api.CodeGate || e.Rule != model.RuleBinding || e.Chart.String() != "demo@1.0.0" {
		t.Errorf("not bound to it: %+v", e)
	}
	if e = decodeAs[api.Error](t, choose(422, map[string]any{"passed": true})); e.Code != api.CodeGate || e.Rule != model.RuleRollback {
		t.Errorf("nothing passed: %+v", e)
	}
	g.want(201, request{method: "POST", path: ownReports, token: g.admin, json: map[string]any{"state": "passed"}})
	g.want(201, g.pinRequest(`"1"`, "k2", map[string]any{"binding": v.Binding, "downgrade": "a trial"}))
	if v = verdict(map[string]any{"passed": true}); !v.Pass || v.Binding.String() != second || v.Kind != model.Rollback || v.From != "1" {
		t.Errorf("back: %+v", v)
	}
	g.want(400, request{method: "POST", path: ownDev + "/gate", token: g.admin, header: map[string]string{"If-Match": "x"}, json: map[string]any{"choose": map[string]any{"latest": true}}})
}

func TestBreakGlassNeedsItsOwnScope(t *testing.T) {
	g := newRig(t)
	binding, _ := g.stages()
	g.setPolicy(200, map[string]any{"upstream": []string{"dev"}})
	pin := func(token, key string, body map[string]any) request {
		body["binding"] = binding
		return request{method: "POST", path: ownProd + "/pins", token: token, header: map[string]string{"If-Match": `"0"`, "Idempotency-Key": key}, json: body}
	}
	glass := map[string]any{"break_glass": "the hole is exploited"}
	pinner := g.token("pinner", "pin:own/*")
	g.want(403, pin(pinner, "k1", glass))
	g.want(403, pin(g.token("glass", "break-glass:own/*"), "k1", glass)) // nor does that pin
	g.want(403, request{method: "POST", path: ownProd + "/gate", token: pinner, header: map[string]string{"If-Match": `"0"`}, json: glass})
	g.want(403, request{method: "POST", path: "/api/v1/pinsets", token: pinner, header: map[string]string{"Idempotency-Key": "k2"},
		json: map[string]any{"break_glass": "x", "pins": []map[string]any{{"environment": "own/prod", "revision": 0, "binding": binding}}}})
	both := g.token("both", "pin:own/*", "break-glass:own/prod")
	p := decodeAs[api.Pin](t, g.want(201, pin(both, "k3", glass)))
	if p.BreakGlass != "the hole is exploited" {
		t.Errorf("pin %+v", p)
	}
	st := decodeAs[api.Status](t, g.want(200, request{path: "/api/v1/status", token: pinner}))
	if len(st.Environments) != 2 || st.Environments[1].Pin.BreakGlass == "" {
		t.Errorf("status %+v", st)
	}
}

func TestHalts(t *testing.T) {
	g := newRig(t)
	binding, _ := g.stages()
	g.want(201, g.pinRequest(`"0"`, "k1", map[string]any{"binding": binding}))
	failed := decodeAs[api.Report](t, g.want(201, request{method: "POST", path: ownReports, token: g.admin, json: map[string]any{"state": "failed", "note": "502"}}))
	if failed.Halt == "" {
		t.Fatalf("report %+v", failed)
	}
	halts := func(query string) []api.Halt {
		t.Helper()
		return decodeAs[api.Halts](t, g.want(200, request{path: "/api/v1/halts" + query, token: g.admin})).Halts
	}
	if list := halts(""); len(list) != 1 || list[0].ID != failed.Halt || !list[0].Open || list[0].Scope != model.ScopeHub || list[0].Cause != model.CauseReport || list[0].Reason != "502" {
		t.Errorf("open: %+v", list)
	}
	pin := request{method: "POST", path: ownProd + "/pins", token: g.admin, header: map[string]string{"If-Match": `"0"`, "Idempotency-Key": "p1"}, json: map[string]any{"binding": binding}}
	if e := decodeAs[api.Error](t, g.want(http.StatusLocked, pin)); e.Code != api.CodeHalted || e.Rule != model.RuleHalt || e.Command == "" {
		t.Errorf("a halted pin: %+v", e)
	}

	resolve := request{method: "POST", path: "/api/v1/halts/" + failed.Halt + "/resolve", token: g.token("prod", "override:own/prod"), json: map[string]any{"reason": "it was the check"}}
	g.want(403, resolve) // the failure was in own/dev
	resolve.token = g.admin
	if h := decodeAs[api.Halt](t, g.want(200, resolve)); h.Open || h.Ended == nil || h.Ended.By != "admin" || h.Ended.Reason != "it was the check" {
		t.Errorf("resolved %+v", h)
	}
	if list := halts(""); len(list) != 0 {
		t.Errorf("still open: %+v", list)
	}
	if list := halts("?all=true&limit=1"); len(list) != 1 {
		t.Errorf("all: %+v", list)
	}
	g.want(404, request{method: "POST", path: "/api/v1/halts/halt-999/resolve", token: g.admin, json: map[string]any{"reason": "x"}})
	g.want(400, request{method: "POST", path: "/api/v1/halts/nonsense/resolve", token: g.admin, json: map[string]any{"reason": "x"}})

	// A wider scope than the policy's takes the right to all that it stops.
	dev, hub := g.token("dev", "override:own/dev"), g.token("hub", "override:own/*")
	raise := func(status int, token, scope string) {
		t.Helper()
		body := map[string]any{"reason": "by hand"}
		if scope != "" {
			body["scope"] = scope
		}
		g.want(status, request{method: "POST", path: ownDev + "/halts", token: token, json: body})
	}
	raise(403, dev, "hub")
	raise(403, dev, "everything")
	raise(403, hub, "everything")
	raise(201, dev, "environment")
	raise(201, dev, "")
	raise(201, hub, "hub")
	raise(201, g.admin, "everything")
	raise(400, g.admin, "nothing")
	g.want(400, request{method: "POST", path: ownDev + "/halts", token: g.admin, json: map[string]any{}})
}

func TestEvents(t *testing.T) {
	g := newRig(t)
	binding, _ := g.stages()
	read := func(query string) api.Events {
		t.Helper()
		return decodeAs[api.Events](t, g.want(200, request{path: "/api/v1/events" + query, token: g.admin}))
	}
	end := read("")
	if len(end.Events) != 0 || end.Next == 0 {
		t.Fatalf("the end: %+v", end)
	}
	waited := make(chan api.Events)
	go func() {
		w := g.do(request{path: "/api/v1/events?wait=30&after=" + strconv.FormatUint(end.Next, 10), token: g.admin})
		waited <- decodeAs[api.Events](t, w)
	}()
	g.want(201, g.pinRequest(`"0"`, "k1", map[string]any{"binding": binding}))
	if got := <-waited; len(got.Events) != 1 || got.Events[0].Kind != api.EventPinned || got.Events[0].Object != "own/dev#1" || got.Events[0].By != "admin" {
		t.Errorf("waited for %+v", got)
	}
	g.want(412, g.pinRequest(`"0"`, "k2", map[string]any{"binding": binding}))
	g.want(201, request{method: "POST", path: ownReports, token: g.admin, json: map[string]any{"state": "failed"}})
	kinds := ""
	for _, e := range read("?after=" + strconv.FormatUint(end.Next, 10)).Events {
		kinds += e.Kind + " "
	}
	if kinds != "pinned refused reported halted " {
		t.Errorf("events %q", kinds)
	}
	w := g.want(200, request{path: "/api/v1/events?after=0&limit=1000", token: g.admin})
	for _, private := range []string{"192.0.2.1", "token", "source"} {
		if strings.Contains(w.Body.String(), private) {
			t.Errorf("%q is in the events: %s", private, w.Body)
		}
	}
	for _, wrong := range []string{"?after=x", "?after=1&wait=31", "?after=1&limit=0"} {
		g.want(400, request{path: "/api/v1/events" + wrong, token: g.admin})
	}
}

func TestWebhooks(t *testing.T) {
	g := newRig(t)
	hook := func(status int, body map[string]any) api.WebhookSecret {
		t.Helper()
		w := g.want(status, request{method: "POST", path: "/api/v1/webhooks", token: g.admin, json: body})
		if status != 201 {
			return api.WebhookSecret{}
		}
		return decodeAs[api.WebhookSecret](t, w)
	}
	for status, urls := range map[int][]string{
		400: {"", "ftp://example.edu/x", "https://user:pw@example.edu/x", "https://", "https://example.edu/#x", "https://example.edu/" + strings.Repeat("x", 1100)},
		422: {"http://example.edu/x", "https://127.0.0.1/x", "https://[::1]/x", "https://169.254.169.254/latest", "https://10.1.2.3", "https://localhost/x", "https://db.internal/x"},
	} {
		for _, u := range urls {
			hook(status, map[string]any{"url": u})
		}
	}
	hook(400, map[string]any{"url": "https://example.edu/x", "kinds": []string{"everything"}})
	made := hook(201, map[string]any{"url": "https://example.edu/x", "kinds": []string{"halted"}})
	list := g.want(200, request{path: "/api/v1/webhooks", token: g.admin})
	if !strings.Contains(list.Body.String(), made.ID) || strings.Contains(list.Body.String(), made.Secret) || made.Secret == "" {
		t.Errorf("made %+v, the list has %s", made, list.Body)
	}
	g.want(204, request{method: "DELETE", path: "/api/v1/webhooks/" + made.ID, token: g.admin})
	g.want(404, request{method: "DELETE", path: "/api/v1/webhooks/" + made.ID, token: g.admin})
	journal := g.want(200, request{path: "/api/v1/journal?limit=1000", token: g.admin})
	if strings.Contains(journal.Body.String(), made.Secret) {
		t.Error("the secret is in the journal")
	}
}
