package server

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"

	"chartd.dev/chartd/internal/api"
)

func (g *rig) imports(body []byte, header map[string]string) []api.ImportResult {
	g.t.Helper()
	w := g.want(200, request{method: "POST", path: "/api/v1/imports", token: g.admin, body: body, header: header})
	return decodeAs[api.ImportResults](g.t, w).Results
}

func text(name, value string) field { return field{name, []byte(value)} }

// Each package of an import has the answer that it would have had alone, in
// the order in which they were sent.
func TestImportOfSeveralPackages(t *testing.T) {
	g := newRig(t)
	chart := func(version, extra string) field { return field{"chart", pack(t, "x", version, extra)} }
	body, header := form(t,
		text("created", "2020-01-01T00:00:00Z"), chart("2.0.0", ""),
		text("created", "yesterday"), chart("3.0.0", ""),
		text("created", "2020-01-02T00:00:00Z"), chart("1.0.0", ""),
		chart("2.0.0", "other"),
		field{"chart", bytes.Repeat([]byte{0}, 2<<20)},
		field{"chart", []byte("no package")},
		text("order", "unknown"), text("requirements", "unlisted"), text("prov", "stale"), text("provenance", "optional"), chart("4.0.0", ""),
		text("prov", "stale"), chart("5.0.0", ""),
	)
	got := g.imports(body, header)
	for n, want := range []struct {
		status int
		code   api.Code
	}{{201, ""}, {400, api.CodeInvalid}, {201, ""}, {409, api.CodeExists}, {413, api.CodeTooLarge}, {400, api.CodeInvalid}, {201, ""}, {422, api.CodeRefused}} {
		r := got[n]
		if r.Status != want.status || (r.Error == nil) != (want.code == "") || r.Error != nil && (r.Error.Code != want.code || r.Error.Message == "") {
			t.Errorf("%d: %+v %+v, want %d", n, r, r.Error, want.status)
		}
	}
	if len(got) != 8 || got[0].Version != "2.0.0" || got[2].Seq != got[0].Seq+1 || got[0].State != "listed" || got[6].Provenance == "" {
		t.Errorf("%+v", got)
	}
	c := decodeAs[api.Chart](t, g.want(200, request{path: "/api/v1/charts/x/1.0.0", token: g.admin}))
	if !c.Imported || c.OrderUnknown || c.Created.Year() != 2020 || c.Seq != got[2].Seq || c.Package != got[2].Package {
		t.Errorf("%+v", c)
	}
	if again := g.imports(body, header); !again[0].Existed || again[0].Status != 200 || again[0].Seq != got[0].Seq || again[3].Status != 409 {
		t.Errorf("sent again: %+v", again)
	}
}

// A body that cannot be read to its end is an error; what was read is imported.
func TestImportThatBreaksOff(t *testing.T) {
	g := newRig(t)
	pkg := pack(t, "x", "1.0.0", "")
	for name, c := range map[string]struct {
		status int
		fields []field
		cut    int
	}{
		"nothing":              {400, nil, 0},
		"unknown part":         {400, []field{{"chart", pkg}, text("image", "hub=a:b")}, 0},
		"parts without chart":  {400, []field{{"chart", pkg}, text("order", "known")}, 0},
		"twice":                {400, []field{{"chart", pkg}, text("order", "known"), text("order", "known"), {"chart", pkg}}, 0},
		"cut":                  {400, []field{{"chart", pkg}, {"chart", pkg}}, 200},
		"too many of one kind": {400, append([]field{{"chart", pkg}}, many(maxParts+1, text("prov", ""))...), 0},
	} {
		body, header := form(t, c.fields...)
		w := g.do(request{method: "POST", path: "/api/v1/imports", token: g.admin, body: body[:len(body)-c.cut], header: header})
		if e := decodeAs[api.Error](t, w); w.Code != c.status || e.Message == "" {
			t.Errorf("%s: %d %+v", name, w.Code, e)
		}
	}
	g.want(200, request{path: "/api/v1/charts/x/1.0.0", token: g.admin})
	g.want(415, request{method: "POST", path: "/api/v1/imports", token: g.admin, body: pkg})
	g.declaresTooMuch()

	body, header := form(t, many(maxItems+1, field{"chart", pkg})...)
	w := g.want(413, request{method: "POST", path: "/api/v1/imports", token: g.admin, body: body, header: header})
	if e := decodeAs[api.Error](t, w); e.Code != api.CodeTooLarge {
		t.Errorf("%+v", e)
	}
}

func (g *rig) declaresTooMuch() {
	g.t.Helper()
	body, header := form(g.t, field{"chart", []byte("x")})
	req := httptest.NewRequestWithContext(g.t.Context(), http.MethodPost, "/api/v1/imports", bytes.NewReader(body))
	req.ContentLength = maxImport + 1
	req.Header.Set("Authorization", "Bearer "+g.admin)
	req.Header.Set("Content-Type", header["Content-Type"])
	w := httptest.NewRecorder()
	g.server.ServeHTTP(w, req)
	if w.Code != http.StatusRequestEntityTooLarge {
		g.t.Errorf("%d bytes declared: %d %s", req.ContentLength, w.Code, w.Body)
	}
}

func many(n int, f field) []field {
	var out []field
	for range n {
		out = append(out, f)
	}
	return out
}
