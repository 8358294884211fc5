package server

import (
	"strings"
	"testing"

	"chartd.dev/chartd/internal/api"
)

const ownReports = "/api/v1/environments/own/dev/pins/1/reports"

var longKey = strings.Repeat("k", 129)

func TestReports(t *testing.T) {
	g := newRig(t)
	body := map[string]any{"binding": g.environment()}
	report := func(status int, path string, body any) api.Report {
		t.Helper()
		w := g.want(status, request{method: "POST", path: path, token: g.admin, json: body})
		if status != 201 {
			return api.Report{}
		}
		return decodeAs[api.Report](t, w)
	}
	report(404, ownReports, map[string]any{"state": "passed"})
	g.want(201, g.pinRequest(`"0"`, "k1", body))
	for _, wrong := range []map[string]any{
		{}, {"state": "fine"}, {"state": "passed", "url": "javascript:alert(1)"}, {"state": "passed", "by": "me"},
		{"state": "failed", "checks": []map[string]any{{"name": "", "ok": true}}},
	} {
		report(400, ownReports, wrong)
	}
	report(422, ownReports, map[string]any{"state": "passed", "checks": []map[string]any{{"name": "spawn", "ok": false}}})
	report(422, ownReports, map[string]any{"state": "passed", "exit": 1})

	first := report(201, ownReports, map[string]any{"state": "started"})
	second := report(201, ownReports, map[string]any{"state": "passed", "url": "https://ci.example.edu/1", "exit": 0,
		"checks": []map[string]any{{"name": "login", "ok": true, "detail": "200 OK"}}})
	if first.N != 1 || second.N != 2 || second.By != "admin" || second.Superseded || len(second.Checks) != 1 || *second.Exit != 0 {
		t.Errorf("reported %+v and %+v", first, second)
	}
	g.want(201, g.pinRequest(`"1"`, "k2", body))
	if late := report(201, ownReports, map[string]any{"state": "passed"}); !late.Superseded {
		t.Errorf("a report about an old revision: %+v", late)
	}
	list := decodeAs[api.Reports](t, g.want(200, request{path: ownReports, token: g.admin}))
	if len(list.Reports) != 3 || list.Reports[1].URL != "https://ci.example.edu/1" {
		t.Errorf("%+v", list)
	}
	g.want(404, request{path: "/api/v1/environments/own/dev/pins/9/reports", token: g.admin})
}

func TestFence(t *testing.T) {
	g := newRig(t)
	body := map[string]any{"binding": g.environment()}
	fence := func(key string) api.Fence {
		t.Helper()
		return decodeAs[api.Fence](t, g.want(200, request{method: "POST", path: "/api/v1/environments/own/dev/pins/by-key/" + key + "/fence", token: g.admin}))
	}
	g.want(201, g.pinRequest(`"0"`, "k1", body))
	if f := fence("k1"); !f.Pinned || f.Pin == nil || f.Pin.Revision != 1 {
		t.Errorf("fence of a key that pinned: %+v", f)
	}
	if f := fence("k2"); f.Pinned || f.Pin != nil {
		t.Errorf("fence of an unknown key: %+v", f)
	}
	g.want(422, g.pinRequest(`"1"`, "k2", body)) // whoever sent it gave it up
	if f := fence("k2"); f.Pinned {
		t.Errorf("fenced twice: %+v", f)
	}
	g.want(201, g.pinRequest(`"1"`, "k3", body))
	g.want(400, request{method: "POST", path: "/api/v1/environments/own/dev/pins/by-key/" + longKey + "/fence", token: g.admin})
	g.want(404, request{method: "POST", path: "/api/v1/environments/own/none/pins/by-key/k/fence", token: g.admin})
}
