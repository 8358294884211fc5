package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/ref"
)

// policy is who may do what, written apart from the route table: the action
// that each route needs, "open" for none, "anyone" for any principal.
var policy = map[string]string{
	"GET /": "open", "GET /healthz": "open", "GET /readyz": "open", "GET /health": "open", "GET /info": "open",
	"GET /api/v1/whoami": "anyone", "GET /api/v1/openapi.json": "anyone",

	"GET /index.yaml": "read", "GET /charts/{file}": "read", "GET /artifacthub-repo.yml": "read",
	"GET /charts/{name}/index.yaml": "read", "GET /charts/{name}/charts/{file}": "read",
	"GET /api/charts": "read", "GET /api/charts/{name}": "read", "GET /api/charts/{name}/{version}": "read",
	"GET /api/charts/{name}/{version}/templates": "read", "GET /api/charts/{name}/{version}/values": "read",
	"POST /api/charts": "publish", "POST /api/charts/{name}/charts": "publish", "POST /api/prov": "publish", "DELETE /api/charts/{name}/{version}": "yank",

	"GET /api/v1/charts": "read", "GET /api/v1/charts/{name}": "read", "GET /api/v1/charts/{name}/{version}": "read",
	"POST /api/v1/charts": "publish", "POST /api/v1/import": "import", "POST /api/v1/imports": "import",
	"POST /api/v1/charts/{name}/{version}/yank": "yank", "POST /api/v1/charts/{name}/{version}/purge": "purge",
	"GET /api/v1/charts/{name}/{version}/bindings": "read", "POST /api/v1/charts/{name}/{version}/bindings": "bind",
	"GET /api/v1/bindings/{id}": "read", "GET /api/v1/bindings/{id}/sealed": "read", "GET /api/v1/bindings/{id}/seal": "read", "GET /api/v1/bindings/{id}/tags": "read",
	"POST /api/v1/bindings/{id}/revoke": "bind",

	"GET /api/v1/environments": "read", "POST /api/v1/environments": "env",
	"GET /api/v1/environments/{hub}/{stage}": "read", "POST /api/v1/environments/{hub}/{stage}/adopt": "env",
	"GET /api/v1/environments/{hub}/{stage}/pins": "read", "POST /api/v1/environments/{hub}/{stage}/pins": "pin",
	"GET /api/v1/environments/{hub}/{stage}/pins/{revision}":   "read",
	"GET /api/v1/environments/{hub}/{stage}/pins/by-key/{key}": "read",
	"POST /api/v1/pinsets":                          "pin",
	"PUT /api/v1/environments/{hub}/{stage}/policy": "env", "POST /api/v1/environments/{hub}/{stage}/gate": "read",
	"POST /api/v1/environments/{hub}/{stage}/approvals": "approve", "POST /api/v1/environments/{hub}/{stage}/halts": "override",
	"GET /api/v1/status": "read", "GET /api/v1/environments/{hub}/{stage}/status": "read",
	"GET /api/v1/halts": "read", "POST /api/v1/halts/{id}/resolve": "override",
	"GET /api/v1/environments/{hub}/{stage}/pins/{revision}/reports":  "read",
	"POST /api/v1/environments/{hub}/{stage}/pins/{revision}/reports": "report",
	"POST /api/v1/environments/{hub}/{stage}/pins/by-key/{key}/fence": "pin",

	"GET /environments/{hub}/{stage}/index.yaml":                       "read",
	"GET /environments/{hub}/{stage}/sealed/{file}":                    "read",
	"GET /environments/{hub}/{stage}/revisions/{revision}/index.yaml":  "read",
	"GET /environments/{hub}/{stage}/revisions/{revision}/values.yaml": "read",
	"GET /environments/{hub}/{stage}/revisions/{revision}/{file}":      "read",

	"GET /api/v1/journal": "audit",
	"GET /api/v1/tokens":  "admin", "POST /api/v1/tokens": "admin", "DELETE /api/v1/tokens/{id}": "admin",
	"GET /api/v1/events":   "read",
	"GET /api/v1/webhooks": "admin", "POST /api/v1/webhooks": "admin", "DELETE /api/v1/webhooks/{id}": "admin",
	"GET /api/v1/backup": "admin", "GET /api/v1/fsck": "admin",
}

// Objects of the matrix: a principal's scopes are on "own".
const (
	ownChart, otherChart = "own", "other"
	ownEnv, otherEnv     = "own/dev", "own/prod"
)

// principals hold one scope each, as issue after issue adds them; the name is
// the action, on the object after the dash.
var principals = map[string][]string{
	"reader": {"read"}, "publisher": {"publish:" + ownChart}, "importer": {"import"}, "binder": {"bind:" + ownChart},
	"pinner": {"pin:" + ownEnv}, "yanker": {"yank:" + ownChart}, "purger": {"purge:" + ownChart},
	"environments": {"env"}, "auditor": {"audit"}, "administrator": {"admin"},
	"reporter": {"report:" + ownEnv}, "approver": {"approve:" + ownEnv}, "overrider": {"override:" + ownEnv},
	"glassbreaker": {"break-glass:" + ownEnv},
	"all":          nil, // every scope on everything
}

// cell is one request of the matrix.
type cell struct {
	route, method string
	own           bool // the object that the principals' scopes are on
}

func TestAccessMatrix(t *testing.T) {
	g := newRig(t)
	for _, c := range []string{ownChart, otherChart} {
		g.publish(c, "1.0.0", "first")
	}
	g.haltBoth()
	tokens := map[string]string{"all": g.admin}
	for name, scopes := range principals {
		if scopes != nil {
			tokens[name] = g.token(name, scopes...)
		}
	}
	seen := map[string]bool{}
	cells := 0
	err := g.server.http.Routes(func(path string, methods []string) error {
		for _, m := range methods {
			key := strings.Replace(m, "HEAD", "GET", 1) + " " + openAPIPath(path)
			need, ok := policy[key]
			if !ok {
				t.Errorf("%s has no line in the policy", key)
				continue
			}
			seen[key] = true
			for _, own := range []bool{true, false} {
				cells += g.checkCell(cell{route: openAPIPath(path), method: m, own: own}, need, tokens)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for key := range policy {
		if !seen[key] {
			t.Errorf("%s is in the policy and not answered", key)
		}
	}
	t.Logf("%d cells", cells)
}

// checkCell tries every principal and every faulty credential on one route.
func (g *rig) checkCell(c cell, need string, tokens map[string]string) int {
	g.t.Helper()
	n := 0
	try := func(who, header string, want func(int) bool) {
		n++
		r := g.fill(c)
		if header != "" {
			r.header["Authorization"] = header
		}
		w := g.do(r)
		if !want(w.Code) || w.Code >= 500 {
			g.t.Errorf("%s %s (own %v) as %s: %d %s", c.method, c.route, c.own, who, w.Code, w.Body)
		}
	}
	is := func(status int) func(int) bool { return func(got int) bool { return got == status } }
	let := func(got int) bool { return got != http.StatusUnauthorized && got != http.StatusForbidden }

	refused := is(http.StatusUnauthorized)
	anonymous := refused
	switch need {
	case "open":
		refused, anonymous = let, let
	case "anyone":
		anonymous = let
	}
	try("anonymous", "", anonymous)
	for name, header := range map[string]string{
		"empty": "Bearer ", "random": "Bearer x", "damaged": "Bearer " + tokens["all"] + "x",
		"cut": "Bearer " + tokens["all"][:40], "scheme": "Digest " + tokens["all"],
	} {
		try("credential "+name, header, refused)
	}
	for who, token := range tokens {
		want := is(http.StatusForbidden)
		if may(who, need, c.own) {
			want = let
		}
		try(who, "Bearer "+token, want)
	}
	return n
}

// may is the policy for one principal.
func may(who, need string, own bool) bool {
	holds := map[string]string{
		"publisher": "publish", "importer": "import", "binder": "bind", "pinner": "pin", "yanker": "yank", "purger": "purge",
		"environments": "env", "auditor": "audit", "administrator": "admin",
		"reporter": "report", "approver": "approve", "overrider": "override",
	}
	switch need {
	case "open", "anyone", "read":
		return true
	}
	if who == "all" {
		return true
	}
	if holds[who] != need {
		return false
	}
	switch need {
	case "import", "env", "audit", "admin":
		return true // on everything
	}
	return own
}

// fill makes a request that gets past decoding, so that what is refused is
// refused for the lack of a scope. Nothing that it does changes what the next
// cell sees: versions and bindings are not there, or there already.
func (g *rig) fill(c cell) request {
	chart, env := ownChart, ownEnv
	if !c.own {
		chart, env = otherChart, otherEnv
	}
	hub, stage, _ := strings.Cut(env, "/")
	id := g.binding(chart)
	if strings.HasPrefix(c.route, "/api/v1/halts/") {
		id = g.haltID(env)
	}
	path := strings.NewReplacer("{name}", chart, "{version}", "9.9.9", "{hub}", hub, "{stage}", stage,
		"{revision}", "7", "{key}", "k", "{id}", id, "{file}", chart+"-9.9.9.tgz").Replace(c.route)
	r := request{method: c.method, path: path, header: map[string]string{}}
	if c.method != http.MethodPost && c.method != http.MethodPut {
		return r
	}
	r.header["Idempotency-Key"], r.header["If-Match"] = "matrix", `"0"`
	switch c.route {
	case "/api/charts", "/api/v1/charts", "/api/v1/import":
		r.body = pack(g.t, chart, "1.0.0", "first")
	case "/api/prov":
		r.body = []byte("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nname: " + chart + "\nversion: 1.0.0\n\n...\nfiles:\n  " +
			chart + "-1.0.0.tgz: sha256:" + strings.Repeat("1", 64) + "\n-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n")
	case "/api/v1/pinsets":
		e, err := ref.ParseEnv(env)
		if err != nil {
			g.t.Fatal(err)
		}
		r.json = api.PinSetRequest{Pins: []api.SetPin{{Env: e}}}
	case "/api/v1/bindings/{id}/revoke", "/api/v1/halts/{id}/resolve":
		r.json = map[string]any{"reason": 7} // decoded after the check, and refused
	case "/api/v1/tokens":
		r.json = api.TokenRequest{Name: "ci", Scopes: []string{"none"}}
	default:
		r.json = map[string]any{}
	}
	return r
}

// haltBoth makes both environments, and a halt in each.
func (g *rig) haltBoth() {
	g.t.Helper()
	for _, env := range []string{ownEnv, otherEnv} {
		g.want(201, request{method: "POST", path: "/api/v1/environments", token: g.admin, json: map[string]any{"environment": env, "chart": ownChart}})
		g.want(201, request{method: "POST", path: "/api/v1/environments/" + env + "/halts", token: g.admin,
			json: map[string]any{"scope": "environment", "reason": "matrix"}})
	}
}

// haltID is the open halt of an environment.
func (g *rig) haltID(env string) string {
	g.t.Helper()
	list, err := g.lock.OpenHalts(g.t.Context())
	if err != nil {
		g.t.Fatal(err)
	}
	for _, h := range list {
		if h.Env.String() == env {
			return h.ID
		}
	}
	g.t.Fatalf("%s has no open halt", env)
	return ""
}

// binding is the id of a chart's binding.
func (g *rig) binding(chart string) string {
	g.t.Helper()
	list, err := g.lock.Versions(g.t.Context(), chart)
	if err != nil || len(list) == 0 || list[0].Default.IsZero() {
		g.t.Fatalf("chart %s has no binding: %v", chart, err)
	}
	return list[0].Default.String()
}

func TestAnonymousReadsNeedTheOption(t *testing.T) {
	for _, on := range []bool{false, true} {
		g := newRig(t, func(c *Config) { c.AnonymousRead = on })
		status := map[bool]int{true: 200, false: 401}[on]
		for _, path := range []string{"/index.yaml", "/api/charts", "/api/v1/charts", "/api/v1/environments"} {
			w := g.want(status, request{path: path})
			if challenge := w.Header().Get("WWW-Authenticate"); (challenge != "") == on {
				t.Errorf("%s: WWW-Authenticate %q", path, challenge)
			}
		}
		g.want(401, request{method: "POST", path: "/api/charts", body: pack(t, "a", "1.0.0", "")})
		g.want(401, request{path: "/index.yaml", header: map[string]string{"Authorization": "Bearer x"}})
	}
}

// Authorisation is by what the package says it is, not by any name around it.
func TestPublishIsAuthorisedByTheParsedIdentity(t *testing.T) {
	g := newRig(t)
	token := g.token("ci", "publish:"+ownChart)
	body, header := form(t, field{"chart", pack(t, otherChart, "1.0.0", "")})
	g.want(403, request{method: "POST", path: "/api/charts", token: token, body: body, header: header})
	g.want(404, request{path: "/charts/" + otherChart + "-1.0.0.tgz", token: token})
	body, header = form(t, field{"chart", pack(t, ownChart, "1.0.0", "")})
	g.want(201, request{method: "POST", path: "/api/charts", token: token, body: body, header: header})
}

func TestRevocationCountsFromTheNextRequest(t *testing.T) {
	g := newRig(t)
	made := decodeAs[api.TokenSecret](t, g.want(201, request{method: "POST", path: "/api/v1/tokens", token: g.admin,
		json: api.TokenRequest{Name: "ci", Scopes: []string{"publish:*"}}}))
	if d := made.Expires.Sub(made.Created); d != auth.DefaultTTL {
		t.Errorf("expires after %v, want %v", d, auth.DefaultTTL)
	}
	g.want(200, request{path: "/index.yaml", token: made.Secret})
	g.want(204, request{method: "DELETE", path: "/api/v1/tokens/" + made.ID, token: g.admin})
	g.want(401, request{path: "/index.yaml", token: made.Secret})
	g.want(404, request{method: "DELETE", path: "/api/v1/tokens/nope", token: g.admin})
	w := g.want(200, request{path: "/api/v1/tokens", token: g.admin})
	for _, secret := range []string{made.Secret, g.admin} {
		if strings.Contains(w.Body.String()+fmt.Sprint(g.log.lines()), secret[20:]) {
			t.Error("a secret is in the list or the log")
		}
	}
}
