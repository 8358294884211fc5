package compare

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/testtools"
)

// packed is one side of a diff, with the package of the small hub chart.
func packed(t *testing.T, version string) Side {
	t.Helper()
	root, err := testtools.Root()
	if err != nil {
		t.Fatal(err)
	}
	data, err := rig.Hub{Version: version}.Package(root)
	if err != nil {
		t.Fatal(err)
	}
	return Side{Name: "jupyterhub@" + version, Chart: "jupyterhub", Version: version, Package: ref.DigestOf(data), data: data}
}

func TestRenderedManifestsAreCompared(t *testing.T) {
	for _, major := range []int{3, 4} {
		t.Setenv("PATH", filepath.Dir(testtools.Helm(t, major)))
		helm := filepath.Base(testtools.Helm(t, major))
		if helm != "helm" { // the built ones may carry their version in the name
			dir := t.TempDir()
			if err := os.Symlink(testtools.Helm(t, major), filepath.Join(dir, "helm")); err != nil {
				t.Fatal(err)
			}
			t.Setenv("PATH", dir)
		}
		a, b := packed(t, "1.0.0"), packed(t, "1.1.0")
		f := Rendering{}
		if got, err := f.compare(t.Context(), nil, a, a); err != nil || got != "" {
			t.Errorf("helm %d: the same chart differs: %s, %v", major, got, err)
		}
		got, err := f.compare(t.Context(), nil, a, b)
		if err != nil || !strings.Contains(got, "hub:1.0.0") || !strings.Contains(got, "hub:1.1.0") {
			t.Errorf("helm %d: %s, %v", major, got, err)
		}

		// Under a prefix the values are those of a wrapper.
		values := filepath.Join(t.TempDir(), "values.yaml")
		if err := os.WriteFile(values, []byte("jupyterhub:\n  hub:\n    image:\n      tag: pinned\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		f = Rendering{Values: []string{values}, Prefix: "jupyterhub"}
		if got, err := f.compare(t.Context(), nil, a, b); err != nil || strings.Contains(got, "hub:1.") {
			t.Errorf("helm %d: with the hub's values: %s, %v", major, got, err)
		}
		f.Values = []string{values + ".none"}
		if _, err := f.compare(t.Context(), nil, a, b); err == nil || !strings.Contains(err.Error(), "helm template of jupyterhub@1.0.0") {
			t.Errorf("helm %d: with no values file: %v", major, err)
		}
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := (Rendering{}).compare(t.Context(), nil, Side{}, Side{}); err == nil || !strings.Contains(err.Error(), "not in PATH") {
		t.Errorf("without helm: %v", err)
	}
}

func TestWhatChangesByItselfIsLeftOut(t *testing.T) {
	a := []byte("kind: Secret\ndata:\n  cookie: abc\n  name: hub\n")
	b := []byte("kind: Secret\ndata:\n  cookie: xyz\n  name: hub\n")
	want := "kind: Secret\ndata:\n  cookie: (another one at each rendering)\n  name: hub\n"
	if got := string(steady(a, b)); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	longer := append([]byte("x\n"), b...)
	if got := string(steady(a, longer)); got != string(a) {
		t.Errorf("of another length: %q", got)
	}
}
