package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/registrytest"
	"chartd.dev/chartd/internal/testtools"
)

// sameAsHelm packs a directory with Helm 3 and 4, and with ours: the content is
// the same, or nobody packs it.
func sameAsHelm(t *testing.T, dir string, o archive.Options) {
	t.Helper()
	_, ours, err := archive.Pack(dir, o)
	for _, major := range []int{3, 4} {
		to := t.TempDir()
		cmd := exec.CommandContext(t.Context(), testtools.Helm(t, major), "package", dir, "-d", to)
		cmd.Env = append(os.Environ(), "HOME="+to, "HELM_CACHE_HOME="+to, "HELM_CONFIG_HOME="+to, "HELM_DATA_HOME="+to)
		said, helmErr := cmd.CombinedOutput()
		if (err == nil) != (helmErr == nil) {
			t.Errorf("%s: we say %v, Helm %d %v: %s", filepath.Base(dir), err, major, helmErr, said)
			continue
		}
		if err != nil {
			continue
		}
		files := must(filepath.Glob(filepath.Join(to, "*.tgz")))
		if len(files) != 1 {
			t.Fatalf("%s: Helm %d made %v", dir, major, files)
		}
		theirs, err := archive.Read(must(os.ReadFile(files[0])), archive.Options{Lenient: true})
		if err != nil {
			t.Errorf("%s: the package of Helm %d: %v", filepath.Base(dir), major, err)
		} else if theirs.Content != ours.Content || theirs.Chart != ours.Chart {
			t.Errorf("%s: we pack %s %s, Helm %d %s %s", filepath.Base(dir), ours.Chart, ours.Content, major, theirs.Chart, theirs.Content)
		}
	}
}

func TestPublishOfADirectoryIsHelmPackage(t *testing.T) {
	charts := must(filepath.Glob(filepath.Join(testtools.Shared(t, "data", "inputs"), "*")))
	for _, links := range [][]string{{"LICENSE", "../LICENSE"}, {"files", "../more"}, {"copy", "templates"}, {"a", "nowhere"}, {"templates/back", ".."}} {
		charts = append(charts, linked(t, links[0], links[1]))
	}
	n := 0
	for _, dir := range charts {
		if _, err := os.Stat(filepath.Join(dir, "Chart.yaml")); err == nil && filepath.Base(dir) != "dir-and-tgz" {
			sameAsHelm(t, dir, archive.Options{}) // of dir-and-tgz each rendering takes either copy
			n++
		}
	}
	if n < 10 {
		t.Errorf("only %d charts", n)
	}
}

// linked makes a chart with a link, and a file and a directory beside it.
func linked(t *testing.T, name, target string) string {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, "LICENSE", "free\n")
	put(t, dir, "more/x", "more\n")
	put(t, dir, "linkout/Chart.yaml", "apiVersion: v2\nname: linkout\nversion: 1.0.0\n")
	put(t, dir, "linkout/templates/a.yaml", "a: 1\n")
	chart := filepath.Join(dir, "linkout")
	if err := os.Symlink(target, filepath.Join(chart, name)); err != nil {
		t.Fatal(err)
	}
	return chart
}

// Real packages of every era, unpacked as tar does.
func TestRealDirectoriesAreHelmPackage(t *testing.T) {
	files := must(filepath.Glob(filepath.Join(testtools.Shared(t, "data", "charts"), "*.tgz")))
	for i := 0; i < len(files); i += 12 {
		to := t.TempDir()
		if out, err := exec.CommandContext(t.Context(), "tar", "-xzf", files[i], "-C", to).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for _, dir := range must(filepath.Glob(filepath.Join(to, "*"))) {
			sameAsHelm(t, dir, archive.Options{Lenient: true})
		}
	}
}

// chartctl prints the warnings of the directory and of the chart, and refuses
// what helm package refuses; nothing is published then.
func TestPublishWarns(t *testing.T) {
	b := rig.New(t)
	b.Image("example/app", "1.0.0", registrytest.Make("system", "app"))
	inputs := testtools.Shared(t, "data", "inputs")
	wants(t, "link", b.Ctl(0, "publish", linked(t, "LICENSE", "../LICENSE")).Text(), "warning: ", `"LICENSE" is a link out of the chart, to "../LICENSE"`)
	for dir, want := range map[string]string{
		"empty-lists":     "maintainers is empty",
		"annotation-bool": `is not quoted, and Helm reads the text "true"`,
		"duplicate-key":   `has the key "podLabels" in line`,
	} {
		r := b.Ctl(0, "publish", filepath.Join(inputs, dir))
		wants(t, dir, r.Text(), "warning: ", want)
	}
	r := b.Ctl(8, "publish", filepath.Join(inputs, "helmignore-whitelist"))
	wants(t, "helmignore", r.Text(), `.helmignore line 1: "/*" leaves Chart.yaml out`)
	b.Ctl(8, "publish", "--require-binding", filepath.Join(inputs, "helmignore-whitelist"))
	b.Ctl(3, "show", "ignored@1.0.0")
	wants(t, "show", b.Ctl(0, "show", "dupkey@1.0.0").Text(), `has the key "podLabels" in line`)
	index := string(ask(t, b.Server.URL+"/index.yaml").body)
	if !strings.Contains(index, `"artifacthub.io/prerelease":"true"`) {
		t.Errorf("the index has the annotation as %s", index)
	}
}
