package server

import (
	"fmt"
	"testing"

	"chartd.dev/chartd/internal/api"
)

// A list takes as many transactions for many rows as for one, and each row
// costs a few reads.
func TestListsCostABoundedNumberOfReads(t *testing.T) {
	g := newRig(t)
	g.want(201, request{method: "POST", path: "/api/v1/environments", token: g.admin, json: map[string]any{"environment": "own/dev", "chart": "demo"}})
	lists := map[string]string{
		"pins": "/api/v1/environments/own/dev/pins?limit=1000", "charts": "/api/v1/charts?limit=1000", "versions": "/api/v1/charts/demo",
		"environments": "/api/v1/environments", "status": "/api/v1/status",
	}
	rows := 0
	grow := func(to int) {
		t.Helper()
		for ; rows < to; rows++ {
			g.publish("demo", fmt.Sprintf("1.0.%d", rows), fmt.Sprint("x", rows))
			v := decodeAs[api.Chart](t, g.want(200, request{path: fmt.Sprintf("/api/v1/charts/demo/1.0.%d", rows), token: g.admin}))
			g.want(201, g.pinRequest(fmt.Sprintf(`"%d"`, rows), fmt.Sprint("k", rows), map[string]any{"binding": v.Binding.ID.String()}))
			name := fmt.Sprintf("h%d/prod", rows)
			g.want(201, request{method: "POST", path: "/api/v1/environments", token: g.admin, json: map[string]any{"environment": name, "chart": "demo"}})
			g.want(201, request{method: "POST", path: "/api/v1/environments/" + name + "/pins", token: g.admin, json: map[string]any{"binding": v.Binding.ID.String()},
				header: map[string]string{"If-Match": `"0"`, "Idempotency-Key": "first-of-" + fmt.Sprint(rows)}})
		}
	}
	cost := func(path string) (views, reads int64) {
		t.Helper()
		g.want(200, request{path: path, token: g.admin}) // the token is known from here on
		v, r := g.store.views.Load(), g.store.reads.Load()
		g.want(200, request{path: path, token: g.admin})
		return g.store.views.Load() - v, g.store.reads.Load() - r
	}
	grow(2)
	few := map[string]int64{}
	for name, path := range lists {
		few[name], _ = cost(path)
	}
	grow(40)
	for name, path := range lists {
		views, reads := cost(path)
		if views != few[name] || views > 3 {
			t.Errorf("%s of %d rows take %d transactions, of 2 rows %d", name, rows, views, few[name])
		}
		if reads > int64(10*rows) {
			t.Errorf("%s of %d rows take %d reads", name, rows, reads)
		}
		t.Logf("%s: %d transactions, %d reads", name, views, reads)
	}
}
