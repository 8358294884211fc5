package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/render"
	"chartd.dev/chartd/internal/render/rendertest"
)

// A server renders in processes of its own program, which here is the test's.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == render.Command {
		main()
	}
	os.Exit(m.Run())
}

var pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: app}\nspec: {containers: [{name: app, image: \"{{ .Values.image.repository }}:{{ .Values.image.tag }}\"}]}\n"

// What a package shows is found once, and kept over a restart.
func TestPublishedChartIsRenderedOnce(t *testing.T) {
	dir := t.TempDir()
	pkg := rendertest.Package(t, map[string]string{"values.yaml": "image: {repository: quay.io/example/app, tag: 1.0.0}\n", "templates/pod.yaml": pod})
	for n := range 2 {
		r := start(t, dir, "--registry-mirror", "quay.io=127.0.0.1:1")
		if code, body := r.do("POST", "/api/charts", r.admin(), bytes.NewReader(pkg)); code != 201 && code != 200 {
			t.Fatalf("publish: %d %s", code, body)
		}
		if code, body := r.do("POST", "/api/v1/charts/demo/1.0.0/bindings", r.admin(), strings.NewReader("{}")); code != 503 {
			t.Errorf("bind: %d %s", code, body)
		}
		want := `chartd_render_requests_total{op="trace",result="traced"} ` + []string{"1", "0"}[n]
		if got := r.metrics(); !strings.Contains(got, want) {
			t.Errorf("start %d: no %q in %s", n+1, want, got)
		}
		if code := r.end(); code != 0 {
			t.Errorf("exit %d: %s", code, r.log)
		}
	}
}

func TestRenderingOff(t *testing.T) {
	r := start(t, t.TempDir(), "--render=off", "--registry-mirror", "quay.io=127.0.0.1:1")
	pkg := rendertest.Package(t, map[string]string{"templates/pod.yaml": pod, "values.yaml": "image: {repository: quay.io/example/app, tag: 1.0.0}\n"})
	if code, body := r.do("POST", "/api/charts", r.admin(), bytes.NewReader(pkg)); code != 201 {
		t.Fatalf("publish: %d %s", code, body)
	}
	if got := r.metrics(); !strings.Contains(got, `chartd_render_requests_total{op="trace",result="traced"} 0`) {
		t.Error(got)
	}
	if code := r.end(); code != 0 {
		t.Errorf("exit %d: %s", code, r.log)
	}
}
