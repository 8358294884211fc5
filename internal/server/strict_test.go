package server

import (
	"strings"
	"testing"

	"chartd.dev/chartd/internal/api"
)

func TestRequiredKeysAreNamed(t *testing.T) {
	g := newRig(t)
	binding := g.environment()
	const envs = "/api/v1/environments"
	for _, c := range []struct{ path, body, want string }{
		{envs, `{}`, "environment"}, {envs, `null`, "environment"}, {envs, `{"environment":"own/prod"}`, "chart"},
		{envs, `{"environment":null,"chart":"demo"}`, "environment"}, {envs, `{"environment":"own/prod","chart":""}`, "chart"},
		{envs + "/own/dev/pins", `{}`, "binding"}, {envs + "/own/dev/pins", `null`, "binding"}, {envs + "/own/dev/pins", `{"binding":null}`, "binding"},
		{envs + "/own/dev/adopt", `{}`, "version"}, {envs + "/own/dev/adopt", `null`, "version"}, {envs + "/own/dev/adopt", `{"version":"1.0.0"}`, "reason"},
		{"/api/v1/tokens", `{}`, "name"}, {"/api/v1/tokens", `null`, "name"}, {"/api/v1/tokens", `{"name":"a"}`, "scopes"},
		{"/api/v1/pinsets", `{}`, "pins"}, {"/api/v1/pinsets", `null`, "pins"}, {"/api/v1/pinsets", `{"pins":[]}`, "pins"},
		{"/api/v1/pinsets", `{"pins":[null]}`, "environment"}, {"/api/v1/pinsets", `{"pins":[{"environment":"own/dev","revision":0}]}`, "binding"},
	} {
		w := g.want(400, request{method: "POST", path: c.path, token: g.admin, body: []byte(c.body), header: map[string]string{"If-Match": `"0"`, "Idempotency-Key": "k"}})
		if e := decodeAs[api.Error](t, w); e.Code != api.CodeInvalid || !strings.Contains(e.Message, `"`+c.want+`"`) {
			t.Errorf("%s %s: %+v, want %q named", c.path, c.body, e, c.want)
		}
	}
	g.want(201, g.pinRequest(`"0"`, "k", map[string]any{"binding": binding}))
}

func TestKeysMatchInCaseAtEveryLevel(t *testing.T) {
	g := newRig(t)
	binding := g.environment()
	header := map[string]string{"If-Match": `"0"`, "Idempotency-Key": "k"}
	for _, c := range []struct{ path, body, want string }{
		{"/api/v1/environments/own/dev/pins", `{"Binding":"` + binding + `"}`, "Binding"},
		{"/api/v1/environments/own/dev/pins", `{"binding":"` + binding + `","BINDING":"` + binding + `"}`, "BINDING"},
		{"/api/v1/pinsets", `{"pins":[{"environment":"own/dev","Revision":0,"binding":"` + binding + `"}]}`, "Revision"},
		{"/api/v1/pinsets", `{"PINS":[]}`, "PINS"},
		{"/api/v1/charts/demo/1.0.0/yank", `{"Reason":"x"}`, "Reason"},
		{"/api/v1/charts/demo/1.0.0/bindings", `{"Images":{}}`, "Images"},
		{"/api/v1/charts/demo/1.0.0/yank", `{"":"x"}`, ""},
	} {
		w := g.want(400, request{method: "POST", path: c.path, token: g.admin, body: []byte(c.body), header: header})
		if e := decodeAs[api.Error](t, w); e.Code != api.CodeInvalid || !strings.Contains(e.Message, `unknown field "`+c.want+`"`) {
			t.Errorf("%s %s: %+v, want %q named", c.path, c.body, e, c.want)
		}
	}
	g.want(201, request{method: "POST", path: "/api/v1/pinsets", token: g.admin, header: header,
		body: []byte(`{"pins":[{"environment":"own/dev","revision":0,"binding":"` + binding + `"}]}`)})
}

// What is wrong with a body is said in the words of who sent it.
func TestWhatIsWrongWithABodyIsNamed(t *testing.T) {
	g := newRig(t)
	binding := g.environment()
	header := map[string]string{"If-Match": `"0"`, "Idempotency-Key": "k"}
	for body, want := range map[string]string{
		`{"binding":"` + binding + `","binding":"` + binding + `"}`: `key "binding" is there twice`,
		`{"binding":{"a":{"b":1,"b":2}}}`:                           `key "b" is there twice`,
		`{"binding":{}}`:                                            `"/binding" is no place for this JSON object`,
		`{"binding":"` + binding + `","downgrade":7}`:               `"/downgrade" is no place for this JSON number`,
		`{"binding":"` + binding + `","downgrade":[]}`:              `"/downgrade" is no place for this JSON array`,
		`{"binding":"` + binding + `","downgrade":["`:               "unexpected EOF",
		`{"binding":"` + binding + `"} {}`:                          "after top-level value",
		`{"binding":"` + binding + "\xff" + `"}`:                    "invalid UTF-8",
		`{"binding":"` + binding:                                    "unexpected EOF",
		``:                                                          "EOF",
		`[]`:                                                        `"" is no place for this JSON array`,
		`{"binding":"sha256:00"}`:                                   `binding "sha256:00": want "b1:"`,
	} {
		w := g.do(request{method: "POST", path: "/api/v1/environments/own/dev/pins", token: g.admin, body: []byte(body), header: header})
		e := decodeAs[api.Error](t, w)
		if (w.Code != 400 && w.Code != 422) || !strings.Contains(e.Message, want) || strings.Contains(e.Message, "Go ") {
			t.Errorf("%s: %d %+v, want %q", body, w.Code, e, want)
		}
	}
}

// A reader that takes null for an object without keys would set a policy back
// to nothing, or gate on nothing that was asked.
func TestNullIsNoBody(t *testing.T) {
	g := newRig(t)
	for _, c := range []string{ownChart, otherChart} {
		g.publish(c, "1.0.0", "first")
	}
	g.haltBoth()
	n := 0
	for _, rt := range routes() {
		if rt.body == nil {
			continue
		}
		n++
		for _, body := range []string{"null", " null\n"} {
			r := g.fill(cell{route: openAPIPath(rt.path), method: rt.method, own: true})
			r.path = strings.Replace(r.path, "9.9.9", "1.0.0", 1)
			r.token, r.json, r.body = g.admin, nil, []byte(body)
			w := g.want(400, r)
			if e := decodeAs[api.Error](t, w); e.Code != api.CodeInvalid || !strings.Contains(e.Message, "JSON body") {
				t.Errorf("%s %s with %q: %+v", rt.method, rt.path, body, e)
			}
		}
	}
	if n < 15 {
		t.Errorf("only %d routes take JSON", n)
	}
}
