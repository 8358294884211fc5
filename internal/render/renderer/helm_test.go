package renderer

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/render/manifest"
	"chartd.dev/chartd/internal/render/rendertest"
	"chartd.dev/chartd/internal/testtools"
	"github.com/google/go-cmp/cmp"
)

// generous are limits for tests that are not about limits.
var generous = limits{cpu: 3600, memory: 512 << 20, output: 16 << 20}

// What helm template prints is what we render, for both Helms.
func TestAsHelm(t *testing.T) {
	charts := rendertest.Charts(t, "testdata/charts.txtar")
	maps.Copy(charts, rendertest.Charts(t, "testdata/helm.txtar"))
	delete(charts, "twice") // Helm takes one of the two copies, by chance
	sameAsHelm(t, charts)
}

// otherwise are charts that Helm 4 renders in another way than Helm 3, which
// is what we do.
var otherwise = map[string]string{
	"null": "a value that the chart itself sets to null is not there in Helm 4, and null in Helm 3",
}

func sameAsHelm(t *testing.T, charts map[string][]byte) {
	rendered := 0
	for _, name := range slices.Sorted(maps.Keys(charts)) {
		ours, fault := helmOf(charts[name])
		if fault == nil {
			rendered++
		} else {
			t.Logf("%s does not render: %.150s", name, fault)
		}
		for _, major := range []int{3, 4} {
			theirs, said := template(t, major, charts[name])
			why, differs := otherwise[name]
			differs = differs && major == 4
			got := cmp.Diff(theirs, ours)
			if (said != nil) != (fault != nil) {
				got = fmt.Sprintf("Helm says %v, we say %v", said, fault)
			}
			if got != "" && !differs {
				t.Errorf("%s: Helm %d (-) and we (+) differ: %s", name, major, got)
			}
			if got == "" && differs {
				t.Errorf("%s: Helm 4 renders it as we do, though %s", name, why)
			}
		}
	}
	t.Logf("%d charts, %d of them render", len(charts), rendered)
}

// helmOf renders twice and lists what stays, as lines.
func helmOf(pkg []byte) ([]string, error) {
	var twice [][]string
	for range 2 {
		docs, err := renderOnce(pkg, nil, generous)
		if err != nil {
			return nil, err
		}
		var lines []string
		for _, d := range docs {
			lines = append(lines, linesOf(d.Template, d.Text)...)
		}
		twice = append(twice, lines)
	}
	return kept(twice), nil
}

// template is helmOf by a real Helm.
func template(t *testing.T, major int, pkg []byte) ([]string, error) {
	file := rendertest.Write(t, pkg)
	var twice [][]string
	for range 2 {
		cmd := exec.Command(testtools.Helm(t, major), "template", file)
		cmd.Env = []string{"HOME=" + t.TempDir()}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			return nil, errors.New(stderr.String())
		}
		var lines []string
		for _, d := range strings.Split("\n"+string(out), "\n---\n# Source: ")[1:] {
			name, text, _ := strings.Cut(d, "\n")
			lines = append(lines, linesOf(name, text)...)
		}
		twice = append(twice, lines)
	}
	return kept(twice), nil
}

// linesOf is a document as lines of template, path and value.
func linesOf(template, text string) []string {
	d, err := manifest.Parse(template, text)
	if err != nil {
		return []string{template + ": " + err.Error()}
	}
	var out []string
	for _, l := range d.Leaves {
		out = append(out, fmt.Sprintf("%s %s/%s %s %c %s", template, d.Kind, d.Name, strings.Join(l.Path, "."), l.Type, l.Value))
	}
	return out
}

// kept leaves out the lines that change from one rendering to the next. Helm
// orders documents by kind; their order is not compared.
func kept(twice [][]string) []string {
	slices.Sort(twice[0])
	slices.Sort(twice[1])
	var out []string
	for _, line := range twice[0] {
		if _, ok := slices.BinarySearch(twice[1], line); ok {
			out = append(out, line)
		}
	}
	return out
}

// The Kubernetes that Helm takes for granted is that of the pinned client.
func TestKubernetes(t *testing.T) {
	root, err := testtools.Root()
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "k8s.io/client-go v0." + kubernetesMinor() + "."; !strings.Contains(string(mod), want) {
		t.Errorf("go.mod does not require %s", want)
	}
}
