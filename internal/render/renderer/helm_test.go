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

// Helm 4 renders in two ways otherwise than Helm 3, which is what we do. A value
// that the chart itself sets to null is not there: so nothing is compared that
// is null, nor checksums of what may hold it, and of texts in base64 what they
// hold. The other is in nullsDefaults.
func asHelm4(lines []string) []string {
	var out []string
	for _, line := range lines {
		place, value, _ := strings.Cut(line, " s ")
		if strings.HasSuffix(line, " 0 null") || strings.HasSuffix(line, " e {}") || strings.Contains(place, "checksum") {
			continue
		}
		if text, ok := decoded(value); ok {
			line = place + " holds " + text
			if v, ok := structure(text); ok {
				line = place + " holds " + strings.Join(asHelm4(leafLines("", manifest.Flatten(v))), "\n")
			}
		}
		out = append(out, line)
	}
	return out
}

// nullsDefaults: BinderHub sets defaults of its subchart to null, which takes
// them away in Helm 3, and in Helm 4 does not. Only images are compared.
func nullsDefaults(chart string) bool { return strings.HasPrefix(chart, "binderhub-") }

func images(lines []string) []string {
	return slices.DeleteFunc(lines, func(line string) bool { return !strings.Contains(line, ".image s ") })
}

func TestHelm4KeepsDefaults(t *testing.T) {
	pkg := rendertest.Package(t, map[string]string{"values.yaml": "sub: {a: null}\n", "charts/sub/Chart.yaml": "apiVersion: v2\nname: sub\nversion: 1.0.0\n",
		"charts/sub/values.yaml": "a: default\n", "charts/sub/templates/a.yaml": "a: {{ .Values.a | default \"none\" }}"})
	for major, want := range map[int]string{3: "a s none", 4: "a s default"} {
		lines, err := template(t, major, pkg)
		if err != nil || len(lines) != 1 || !strings.HasSuffix(lines[0], want) {
			t.Errorf("Helm %d: %v, %q, want %q", major, err, lines, want)
		}
	}
}

func TestHelm4RendersOtherwise(t *testing.T) {
	pkg := rendertest.Package(t, map[string]string{"values.yaml": "a: null\nb: 1\n", "templates/a.yaml": "a: {{ .Values | toJson }}"})
	for major, want := range map[int]string{3: "a.a 0 null", 4: "a.b n 1"} {
		lines, err := template(t, major, pkg)
		if err != nil || !strings.HasSuffix(lines[0], want) {
			t.Errorf("Helm %d: %v, %q, want %q", major, err, lines, want)
		}
	}
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
			mine := ours
			if major == 4 {
				theirs, mine = asHelm4(theirs), asHelm4(ours)
			}
			if major == 4 && nullsDefaults(name) {
				theirs, mine = images(theirs), images(mine)
			}
			if (said != nil) != (fault != nil) {
				t.Errorf("%s: Helm %d says %v, we say %v", name, major, said, fault)
			}
			if d := cmp.Diff(theirs, mine); d != "" {
				t.Errorf("%s: Helm %d (-) and we (+) differ: %s", name, major, d)
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
			lines = append(lines, linesOf(name, text+"\n")...)
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
	return leafLines(fmt.Sprintf("%s %s/%s ", template, d.Kind, d.Name), d.Leaves)
}

func leafLines(prefix string, leaves []manifest.Leaf) []string {
	var out []string
	for _, l := range leaves {
		out = append(out, fmt.Sprintf("%s%s %c %s", prefix, strings.Join(l.Path, "."), l.Type, l.Value))
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
