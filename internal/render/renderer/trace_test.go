package renderer

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/render"
	"chartd.dev/chartd/internal/render/rendertest"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files")

// What each made chart's trace says is written down in traces.txt: images with
// their role, each place, and what feeds it.
func TestTrace(t *testing.T) {
	charts := rendertest.Charts(t, "testdata/charts.txtar")
	given := map[string][][]byte{"given": {[]byte("other: 1"), []byte("name: a")}}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(charts)) {
		fmt.Fprintf(&b, "%s: %s", name, written(traceOf(charts[name], given[name], generous)))
	}
	golden(t, "testdata/traces.txt", b.String())
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); d != "" {
		t.Errorf("%s (-) differs (+): %s", file, d)
	}
}

// written is a trace as text.
func written(tr render.Trace) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", tr.Verdict)
	for _, a := range tr.Attempts {
		if a.Failure != nil {
			fmt.Fprintf(&b, "  with %q %s\n", a.Values, a.Failure)
		}
	}
	for _, i := range tr.Images {
		fmt.Fprintf(&b, "  %q = %s", i.Role, i.Text)
		if len(i.Values) > 1 || i.Values[0] != "" {
			fmt.Fprintf(&b, " with %q", i.Values)
		}
		b.WriteString("\n")
		for _, p := range i.Places {
			fmt.Fprintf(&b, "    %s %s\n", p.Use, p)
		}
		for _, f := range i.Feeds {
			fmt.Fprintf(&b, "    < %s %s = %q", f.Part, strings.Join(f.Values, "."), f.Value)
			if f.Bare {
				b.WriteString(" without sha256:")
			}
			fmt.Fprintf(&b, " (%s: %s)\n", f.File, strings.Join(f.Path, "."))
			for _, o := range f.Other {
				fmt.Fprintf(&b, "        %s %s\n", o.Use, o)
			}
		}
	}
	for _, h := range tr.Hidden {
		fmt.Fprintf(&b, "  hidden %s = %s\n", strings.Join(h.Values, "."), h.Text)
	}
	for _, w := range tr.Twice {
		fmt.Fprintf(&b, "  twice %s in %v, equal: %v\n", w.Name, w.Files, w.Equal)
	}
	for _, p := range tr.Random {
		fmt.Fprintf(&b, "  random %s\n", p)
	}
	return b.String()
}
