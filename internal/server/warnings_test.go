package server

import (
	"net/http"
	"strings"
	"testing"
)

// A warning is in the answer, on the record and counted: once, for the version
// that brought it.
func TestWarningsAreCounted(t *testing.T) {
	g := newRig(t)
	pkg := packFiles(t, "odd",
		[2]string{"Chart.yaml", "apiVersion: v2\nname: odd\nversion: 1.0.0\nmaintainers:\nannotations:\n  a: true\n"},
		[2]string{"values.yaml", "a: 1\na: 2\n"})
	for _, status := range []int{http.StatusCreated, http.StatusOK} {
		r := request{path: "/api/v1/charts/odd/1.0.0", token: g.admin}
		if status == http.StatusCreated {
			r.method, r.path, r.body = "POST", "/api/v1/charts", pkg
		}
		if w := g.want(status, r); strings.Count(w.Body.String(), "maintainers is empty") != 1 {
			t.Errorf("%s answers %s", r.path, w.Body)
		}
	}
	g.want(http.StatusOK, request{method: "POST", path: "/api/v1/charts", token: g.admin, body: pkg})
	families, err := g.server.metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "chartd_chart_warnings_total" {
			got := map[string]float64{}
			for _, m := range f.GetMetric() {
				got[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			}
			if len(got) != 2 || got["publish"] != 3 || got["import"] != 0 {
				t.Errorf("the metric is %v", got)
			}
			return
		}
	}
	t.Error("there is no metric")
}
