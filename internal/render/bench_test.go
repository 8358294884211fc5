package render_test

import (
	"os"
	"os/exec"
	"testing"

	"chartd.dev/chartd/internal/render"
	"chartd.dev/chartd/internal/testtools"
)

// What a trace costs, process and all, beside one "helm template" of the same.
func BenchmarkTrace(b *testing.B) {
	file := testtools.Shared(b, "data", "charts", "jupyterhub-3.3.7.tgz")
	pkg, err := os.ReadFile(file)
	if err != nil {
		b.Fatal(err)
	}
	p, err := render.New(render.Config{Program: testtools.Chartd(b)})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	b.Run("trace", func(b *testing.B) {
		scalars := map[string]bool{}
		for b.Loop() {
			tr, err := p.Trace(b.Context(), "k", pkg, nil)
			if err != nil || tr.Verdict != render.Traced {
				b.Fatal(err, tr.Attempts)
			}
			for _, i := range tr.Images {
				for _, f := range i.Feeds {
					scalars[f.File+f.String()] = true
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N)/float64(len(scalars)), "ms/scalar")
	})
	b.Run("render", func(b *testing.B) {
		for b.Loop() {
			if m, err := p.Render(b.Context(), "k", pkg, nil); err != nil || m.Failure != nil {
				b.Fatal(err, m.Failure)
			}
		}
	})
	b.Run("helm template", func(b *testing.B) {
		helm := testtools.Helm(b, 3)
		for b.Loop() {
			if out, err := exec.Command(helm, "template", file).CombinedOutput(); err != nil {
				b.Fatalf("%v: %s", err, out)
			}
		}
	})
}
