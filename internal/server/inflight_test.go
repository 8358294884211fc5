package server

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
)

// underWay are requests, one for each route that writes, that get as far as
// writing. Each is refused, so all of them meet the same state.
func (g *rig) underWay() map[string]request {
	g.t.Helper()
	e := must(ref.ParseEnv(otherEnv))
	json := func(path string, v any) request {
		return request{method: http.MethodPost, path: path, json: v, header: map[string]string{}}
	}
	upload := func(path string, body []byte, header map[string]string) request {
		return request{method: http.MethodPost, path: path, body: body, header: header}
	}
	fresh := pack(g.t, ownChart, "2.0.0", "")
	single, singleForm := form(g.t, field{"chart", fresh})
	several, severalForm := form(g.t, field{"chart", fresh}, field{"chart", pack(g.t, ownChart, "3.0.0", "")})
	binding := g.binding(ownChart)
	hook := decodeAs[api.WebhookSecret](g.t, g.want(201, request{method: "POST", path: "/api/v1/webhooks", token: g.admin, json: api.WebhookRequest{URL: "https://example.org/hook"}}))
	spare := decodeAs[api.TokenSecret](g.t, g.want(201, request{method: "POST", path: "/api/v1/tokens", token: g.admin, json: api.TokenRequest{Name: "spare", Scopes: []string{"read"}}}))
	chart, env := "/api/v1/charts/"+ownChart+"/1.0.0", "/api/v1/environments/"+otherEnv
	why := api.ReasonRequest{Reason: "a test"}
	out := map[string]request{
		"POST /api/charts":                                                upload("/api/charts", fresh, map[string]string{}),
		"POST /api/charts/{name}/charts":                                  upload("/api/charts/"+ownChart+"/charts", fresh, map[string]string{}),
		"POST /api/v1/charts":                                             upload("/api/v1/charts", fresh, map[string]string{}),
		"POST /api/v1/import":                                             upload("/api/v1/import", single, singleForm),
		"POST /api/v1/imports":                                            upload("/api/v1/imports", several, severalForm),
		"POST /api/prov":                                                  upload("/api/prov", g.provenance(pack(g.t, ownChart, "1.0.0", "first")), map[string]string{}),
		"DELETE /api/charts/{name}/{version}":                             {method: http.MethodDelete, path: "/api/charts/" + ownChart + "/1.0.0", header: map[string]string{}},
		"POST /api/v1/charts/{name}/{version}/yank":                       json(chart+"/yank", why),
		"POST /api/v1/charts/{name}/{version}/purge":                      json(chart+"/purge", why),
		"POST /api/v1/charts/{name}/{version}/bindings":                   json(chart+"/bindings", api.BindRequest{}),
		"POST /api/v1/bindings/{id}/revoke":                               json("/api/v1/bindings/"+binding+"/revoke", why),
		"POST /api/v1/environments":                                       json("/api/v1/environments", map[string]any{"environment": "third/dev", "chart": ownChart}),
		"POST /api/v1/environments/{hub}/{stage}/adopt":                   json(env+"/adopt", api.AdoptRequest{Version: "1.0.0", Reason: "a test"}),
		"POST /api/v1/environments/{hub}/{stage}/pins":                    json(env+"/pins", map[string]any{"binding": binding}),
		"POST /api/v1/pinsets":                                            json("/api/v1/pinsets", map[string]any{"pins": []map[string]any{{"environment": e, "revision": 0, "binding": binding}}}),
		"PUT /api/v1/environments/{hub}/{stage}/policy":                   {method: http.MethodPut, path: env + "/policy", json: map[string]any{"approvals": 1}, header: map[string]string{}},
		"POST /api/v1/environments/{hub}/{stage}/approvals":               json(env+"/approvals", map[string]any{"binding": binding}),
		"POST /api/v1/environments/{hub}/{stage}/halts":                   json(env+"/halts", map[string]any{"scope": "environment", "reason": "another"}),
		"POST /api/v1/halts/{id}/resolve":                                 json("/api/v1/halts/"+g.haltID(otherEnv)+"/resolve", api.ResolveRequest{Reason: "a test"}),
		"POST /api/v1/environments/{hub}/{stage}/pins/{revision}/reports": json("/api/v1/environments/"+ownEnv+"/pins/1/reports", api.ReportRequest{State: model.Passed}),
		"POST /api/v1/environments/{hub}/{stage}/pins/by-key/{key}/fence": json(env+"/pins/by-key/lost/fence", nil),
		"POST /api/v1/webhooks":                                           json("/api/v1/webhooks", api.WebhookRequest{URL: "https://example.org/other"}),
		"DELETE /api/v1/webhooks/{id}":                                    {method: http.MethodDelete, path: "/api/v1/webhooks/" + hook.ID, header: map[string]string{}},
		"POST /api/v1/tokens":                                             json("/api/v1/tokens", api.TokenRequest{Name: "more", Scopes: []string{"read"}}),
		"DELETE /api/v1/tokens/{id}":                                      {method: http.MethodDelete, path: "/api/v1/tokens/" + spare.ID, header: map[string]string{}},
	}
	for route, r := range out {
		if strings.HasSuffix(route, "/pins") || strings.HasSuffix(route, "/pinsets") || strings.HasSuffix(route, "/adopt") {
			r.header["If-Match"], r.header["Idempotency-Key"] = `"0"`, route[strings.LastIndex(route, "/")+1:]
		}
	}
	return out
}

// A token that ends while its request is under way writes nothing, on any
// route, and the journal has nothing by it behind the line that ended it.
func TestTokenThatEndsUnderWay(t *testing.T) {
	for _, how := range []string{"revoked", "expired"} {
		t.Run(how, func(t *testing.T) {
			g := newRig(t)
			for _, c := range []string{ownChart, otherChart} {
				g.publish(c, "1.0.0", "first")
			}
			g.want(201, request{method: "POST", path: "/api/v1/environments", token: g.admin, json: map[string]any{"environment": ownEnv, "chart": ownChart}})
			g.want(201, request{method: "POST", path: "/api/v1/environments/" + ownEnv + "/pins", token: g.admin, header: map[string]string{"If-Match": `"0"`, "Idempotency-Key": "first"},
				json: map[string]any{"binding": g.binding(ownChart)}})
			g.want(201, request{method: "POST", path: "/api/v1/environments", token: g.admin, json: map[string]any{"environment": otherEnv, "chart": ownChart}})
			g.want(201, request{method: "POST", path: "/api/v1/environments/" + otherEnv + "/halts", token: g.admin, json: map[string]any{"scope": "environment", "reason": "matrix"}})
			requests := g.underWay()
			err := g.server.http.Routes(func(path string, methods []string) error {
				for _, m := range methods {
					route := m + " " + openAPIPath(path)
					isRead := m == http.MethodGet || m == http.MethodHead || strings.HasSuffix(route, "/gate")
					if _, ok := requests[route]; !ok && !isRead {
						t.Errorf("%s writes and is not tried", route)
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for route, r := range requests {
				g.endUnderWay(how, route, r)
			}
		})
	}
}

func (g *rig) endUnderWay(how, route string, r request) {
	g.t.Helper()
	var scopes []string
	for _, s := range auth.AllScopes() {
		scopes = append(scopes, s.String())
	}
	tok, secret, err := auth.New(auth.Request{Name: strings.NewReplacer(" ", "-", "{", "", "}", "").Replace(route), Scopes: scopes, TTL: time.Hour, Now: time.Now()})
	if err == nil {
		err = g.lock.CreateToken(g.t.Context(), lock.Op{Actor: lock.Actor{Name: "test"}}, tok)
	}
	if err != nil {
		g.t.Fatal(err)
	}
	r.token = secret.Reveal()
	g.want(200, request{path: "/api/v1/whoami", token: r.token})
	for { // the note of its use is written beside, and is no part of the request
		now, err := g.lock.Token(g.t.Context(), tok.ID)
		if err != nil {
			g.t.Fatal(err)
		}
		if !now.LastUsed.IsZero() {
			break
		}
		time.Sleep(time.Millisecond)
	}
	ended := false
	end := func() {
		ended = true
		if how == "expired" {
			g.ahead.Store(int64(2 * time.Hour))
		} else if err := g.lock.RevokeToken(g.t.Context(), lock.Op{Actor: lock.Actor{Name: "test"}}, tok.ID); err != nil {
			g.t.Error(err)
		}
	}
	g.store.before.Store(&end)
	w := g.do(r)
	g.ahead.Store(0)
	g.store.before.Store(nil)
	if !ended {
		g.t.Errorf("%s got %d %s before it wrote anything: it shows nothing", route, w.Code, w.Body)
		return
	}
	if w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), how) || !strings.Contains(w.Body.String(), "under way") {
		g.t.Errorf("%s with a token that was %s under way: %d %s", route, how, w.Code, w.Body)
	}
	lines, _, err := g.lock.Journal(g.t.Context(), 0, 1000)
	if err != nil {
		g.t.Fatal(err)
	}
	for _, l := range lines {
		if l.By.TokenID == tok.ID {
			g.t.Errorf("%s wrote %s %s", route, l.Verb, l.Object)
		}
	}
}

// provenance is a provenance file of a package, with no real signature.
func (g *rig) provenance(pkg []byte) []byte {
	return []byte("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nname: " + ownChart + "\nversion: 1.0.0\n\n...\nfiles:\n  " +
		ownChart + "-1.0.0.tgz: " + ref.DigestOf(pkg).String() + "\n-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n")
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
