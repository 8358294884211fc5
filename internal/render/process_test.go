package render

import (
	"os"
	"slices"
	"testing"

	"chartd.dev/chartd/internal/render/rendertest"
	"chartd.dev/chartd/internal/testtools"
)

// The limit of memory is one of what is resident: past it, by what Go's
// runtime and the program's own pages take, no process ever gets.
func TestMemoryHolds(t *testing.T) {
	program := testtools.Chartd(t)
	info, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	hog := rendertest.Package(t, map[string]string{"templates/a.yaml": `{{ $l := list }}{{ range until 1000 }}{{ $l = append $l (repeat 1000000 "x") }}{{ end }}`})
	for _, memory := range []int64{128 << 20, 512 << 20} {
		c := Config{Program: program, Dir: t.TempDir(), Limits: Limits{Memory: memory}}.orDefault()
		p := c.process(true)
		_, f, err := p.run(t.Context(), Request{Op: OpRender, Packages: [][]byte{hog}})
		if err != nil || f == nil || f.Reason != MemoryLimit {
			t.Errorf("%d MiB: %v, %v", memory>>20, err, f)
		}
		peak := peakMemory(p.cmd.ProcessState)
		t.Logf("%d MiB: at most %d MiB were resident", memory>>20, peak>>20)
		if most := memory + 64<<20 + info.Size(); peak > most {
			t.Errorf("%d MiB: %d were resident, at most %d", memory>>20, peak, most)
		}
	}
}

// What confines a process is there on the systems that we test on.
func TestConfinement(t *testing.T) {
	c := Config{Program: testtools.Chartd(t), Dir: t.TempDir()}.orDefault()
	a, f, err := c.process(false).run(t.Context(), Request{Op: OpRender, Packages: [][]byte{rendertest.Package(t, map[string]string{})}})
	if err != nil || f != nil {
		t.Fatal(err, f)
	}
	for _, what := range []string{"processor time", "memory", "file size", "open files", "system calls"} {
		if !slices.Contains(a.Confined, what) {
			t.Errorf("not confined by %s: %v", what, a.Confined)
		}
	}
}
