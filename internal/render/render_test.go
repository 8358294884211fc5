package render_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"chartd.dev/chartd/internal/render"
	"chartd.dev/chartd/internal/render/rendertest"
	"chartd.dev/chartd/internal/testtools"
)

func pool(t testing.TB, l render.Limits) *render.Pool {
	t.Helper()
	p, err := render.New(render.Config{Program: testtools.Chartd(t), Limits: l, Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func one(t testing.TB, template string) []byte {
	return rendertest.Package(t, map[string]string{"templates/a.yaml": template, "values.yaml": "image: {repository: quay.io/example/app, tag: 1.0.0}\n"})
}

func TestRender(t *testing.T) {
	pkg := one(t, "kind: ConfigMap\nmetadata: {name: {{ .Values.name | default .Release.Name }}}\n")
	m, err := pool(t, render.Limits{}).Render(t.Context(), "k", pkg, [][]byte{[]byte("name: a"), []byte("name: b")})
	if err != nil || m.Failure != nil || len(m.Manifests) != 1 {
		t.Fatalf("%v, %+v", err, m)
	}
	if got := m.Manifests[0]; got.Template != "demo/templates/a.yaml" || !strings.Contains(got.Text, "{name: b}") {
		t.Errorf("rendered %+v", got)
	}
}

func TestTraceAndProve(t *testing.T) {
	const pod = `kind: Pod
metadata: {name: a}
spec: {containers: [{image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"}]}
`
	const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	original := one(t, pod)
	p := pool(t, render.Limits{})
	tr, err := p.Trace(t.Context(), "k", original, nil)
	if err != nil || tr.Verdict != render.Traced || len(tr.Images) != 1 || tr.Images[0].Role != "main" || len(tr.Images[0].Feeds) != 2 {
		t.Fatalf("%v, %+v", err, tr)
	}
	for tag, ok := range map[string]bool{"1.0.0@" + digest: true, "1.0.1": false} {
		sealed := rendertest.Package(t, map[string]string{"templates/a.yaml": pod, "values.yaml": "image: {repository: quay.io/example/app, tag: \"" + tag + "\"}\n"})
		proof, err := p.Prove(t.Context(), "k", render.ProveRequest{Original: original, Sealed: sealed,
			Bound: []render.Bound{tr.Images[0].Bind("quay.io/example/app", digest)}})
		if err != nil || proof.OK != ok || (proof.Pinned == 1) != ok || (len(proof.Faults) == 0) != ok {
			t.Errorf("%s: %v, %+v", tag, err, proof)
		}
	}
}

// What a chart does wrong is a result, with the chart's own sentence.
func TestFaults(t *testing.T) {
	cases := map[string]struct {
		pkg  []byte
		want string
	}{
		"fail":        {one(t, `{{ fail "set a password" }}`), "set a password"},
		"required":    {one(t, `{{ required "name is missing" .Values.name }}`), "name is missing"},
		"no YAML":     {one(t, "a: {"), "YAML parse error on demo/templates/a.yaml"},
		"syntax":      {one(t, "{{ if }}"), "parse error at (demo/templates/a.yaml:1)"},
		"kubeVersion": {rendertest.Package(t, map[string]string{"Chart.yaml": "apiVersion: v2\nname: demo\nversion: 1.0.0\nkubeVersion: <1.20\n"}), "chart requires kubeVersion: <1.20"},
		"library":     {rendertest.Package(t, map[string]string{"Chart.yaml": "apiVersion: v2\nname: demo\nversion: 1.0.0\ntype: library\n"}), "library charts are not installable"},
		"dependency":  {rendertest.Package(t, map[string]string{"Chart.yaml": "apiVersion: v2\nname: demo\nversion: 1.0.0\ndependencies:\n- {name: sub, version: 1.0.0, repository: ''}\n"}), "missing in charts/ directory: sub"},
		"schema":      {rendertest.Package(t, map[string]string{"values.yaml": "a: 1\n", "values.schema.json": `{"properties":{"a":{"type":"string"}}}`}), "values don't meet the specifications of the schema"},
		"no package":  {[]byte("hello"), "EOF"},
	}
	p := pool(t, render.Limits{})
	for name, c := range cases {
		m, err := p.Render(t.Context(), name, c.pkg, nil)
		if err != nil || m.Failure == nil || m.Failure.Reason != render.ChartFault || !strings.Contains(m.Failure.Message, c.want) {
			t.Errorf("%s: %v, %v; want %q", name, err, m.Failure, c.want)
		}
	}
}

// Nothing that a template may call reaches out of its process. Helm itself has
// neither env nor expandenv.
func TestConfined(t *testing.T) {
	t.Setenv("CHARTD_TOKEN", "secret")
	p := pool(t, render.Limits{})
	m, err := p.Render(t.Context(), "k", one(t, `{{ env "CHARTD_TOKEN" }}`), nil)
	if err != nil || m.Failure == nil || !strings.Contains(m.Failure.Message, `function "env" not defined`) {
		t.Errorf("%v, %+v", err, m)
	}
	pkg := one(t, `host: {{ getHostByName "localhost" | quote }}
secret: {{ lookup "v1" "Secret" "default" "x" | toJson | quote }}
file: {{ .Files.Get "/etc/hostname" | quote }}`)
	m, err = p.Render(t.Context(), "k", pkg, nil)
	if err != nil || m.Failure != nil || m.Manifests[0].Text != "host: \"\"\nsecret: \"{}\"\nfile: \"\"\n" {
		t.Errorf("%v, %+v", err, m)
	}
}

func TestContext(t *testing.T) {
	endless := one(t, `{{ range untilStep 0 2147483647 1 }}{{ end }}`)
	p, err := render.New(render.Config{Program: testtools.Chartd(t), Concurrency: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	var wait sync.WaitGroup
	for range 3 { // one renders, two wait
		wait.Go(func() {
			if _, err := p.Render(ctx, "k", endless, nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
	}
	wait.Wait()
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("took %s", d)
	}
	if m, err := p.Render(t.Context(), "k", one(t, "a: 1"), nil); err != nil || m.Failure != nil {
		t.Errorf("the slot is gone: %v, %v", err, m.Failure)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestNoProgram(t *testing.T) {
	p, err := render.New(render.Config{Program: "/nowhere/chartd"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Render(t.Context(), "k", one(t, "a: 1"), nil); err == nil || !strings.Contains(err.Error(), "start renderer") {
		t.Errorf("got %v", err)
	}
}
