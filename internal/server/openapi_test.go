package server

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

type openAPIDocument struct {
	OpenAPI    string
	Paths      map[string]map[string]struct{ OperationID string }
	Components struct{ Schemas map[string]json.RawMessage }
}

func TestOpenAPIHasEveryRouteAndNoOther(t *testing.T) {
	g := newRig(t, func(c *Config) { c.AnonymousRead = true })
	raw := g.want(http.StatusOK, request{path: "/api/v1/openapi.json"}).Body.Bytes()
	var doc openAPIDocument
	if err := json.Unmarshal(raw, &doc); err != nil || doc.OpenAPI != "3.1.0" {
		t.Fatalf("%v, version %q", err, doc.OpenAPI)
	}
	described := map[string]bool{}
	ids := map[string]bool{}
	for path, item := range doc.Paths {
		for method, op := range item {
			described[strings.ToUpper(method)+" "+path] = true
			if op.OperationID == "" || ids[op.OperationID] {
				t.Errorf("%s %s: operation id %q is empty or not unique", method, path, op.OperationID)
			}
			ids[op.OperationID] = true
		}
	}
	err := g.server.http.Routes(func(path string, methods []string) error {
		for _, m := range methods {
			key := m + " " + openAPIPath(path)
			if !described[key] {
				t.Errorf("%s is answered and not described", key)
			}
			delete(described, key)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for key := range described {
		t.Errorf("%s is described and not answered", key)
	}
	for _, ref := range strings.Split(string(raw), `"$ref": "#/components/schemas/`)[1:] {
		name, _, _ := strings.Cut(ref, `"`)
		if len(doc.Components.Schemas[name]) < 5 {
			t.Errorf("schema %q is referred to and not there", name)
		}
	}
}
