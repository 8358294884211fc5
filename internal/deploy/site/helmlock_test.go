package site_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/testtools"
)

// repo is a checkout in memory.
type repo map[string]string

func (r repo) files() *site.Files {
	return site.NewFiles(func(path string) ([]byte, error) {
		b, ok := r[path]
		if !ok {
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}
		return []byte(b), nil
	})
}

// edit makes the changes and returns the paths that changed.
func (r repo) edit(s site.Site, w site.Want) ([]string, error) {
	f := r.files()
	if err := f.Edit(s, w); err != nil {
		return nil, err
	}
	once, err := f.Changes()
	if err != nil {
		return nil, err
	}
	changes, err := f.Changes()
	if !cmp.Equal(once, changes) {
		return nil, errors.New("asked twice, the changes differ")
	}
	var paths []string
	for _, c := range changes {
		r[c.Path] = string(c.New)
		paths = append(paths, c.Path)
	}
	return paths, err
}

// chartRepo serves two versions of a chart, packed by helm.
func chartRepo(t *testing.T, helm string) string {
	dir := t.TempDir()
	for _, v := range []string{"1.0.0", "1.1.0"} {
		chart := filepath.Join(dir, v, "jupyterhub")
		if err := os.MkdirAll(chart, 0o755); err != nil {
			t.Fatal(err)
		}
		meta := "apiVersion: v2\nname: jupyterhub\nversion: " + v + "\n"
		if err := os.WriteFile(filepath.Join(chart, "Chart.yaml"), []byte(meta), 0o644); err != nil {
			t.Fatal(err)
		}
		run(t, dir, helm, "package", chart)
	}
	run(t, dir, helm, "repo", "index", ".")
	s := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(s.Close)
	return s.URL
}

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	home := filepath.Dir(dir)
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home+"/.cache", "HELM_CONFIG_HOME="+home+"/.config", "HELM_DATA_HOME="+home+"/.data")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func write(t *testing.T, dir string, r repo) {
	for name, text := range r {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Helm itself takes the lock files that an edit leaves, with the new version,
// and takes them for in step: "helm dependency build" refuses others.
func TestHelmTakesTheLock(t *testing.T) {
	dependencies := "dependencies:\n  - name: jupyterhub\n    version: 1.0.0 # <&>\n    repository: %s\n    condition: jupyterhub.enabled\n    tags: [a, 'b <']\n" +
		"    import-values:\n    - data\n    - child: z\n      parent: a\n"
	for _, major := range []int{3, 4} {
		helm := testtools.Helm(t, major)
		url := chartRepo(t, helm)
		for _, api := range []string{"v1", "v2"} {
			t.Run(fmt.Sprintf("helm%d/%s", major, api), func(t *testing.T) {
				r := repo{"hub/Chart.yaml": "apiVersion: " + api + "\nname: hub\nversion: 0.1.0\n"}
				file, lock := "hub/Chart.yaml", "hub/Chart.lock"
				if api == "v1" {
					file, lock = "hub/requirements.yaml", "hub/requirements.lock"
				}
				r[file] += fmt.Sprintf(dependencies, url)
				dir := t.TempDir()
				write(t, dir, r)
				run(t, filepath.Join(dir, "hub"), helm, "dependency", "update", ".")
				r[lock] = read(t, dir, lock)
				s := site.Site{Kind: site.Dependency, File: file, Name: "jupyterhub"}
				found, err := r.files().Check(s, site.Want{Version: "1.0.0", Source: url})
				if err != nil || len(found) > 0 {
					t.Fatalf("what helm wrote: %v %v", found, err)
				}

				before := maps.Clone(r)
				want := site.Want{Version: "1.1.0", Source: url + "/"}
				paths, err := r.edit(s, want)
				if err != nil || !slices.Equal(paths, []string{lock, file}) && !slices.Equal(paths, []string{file, lock}) {
					t.Fatalf("%v %v", paths, err)
				}
				write(t, dir, r)
				run(t, filepath.Join(dir, "hub"), helm, "repo", "add", "x", url)
				run(t, filepath.Join(dir, "hub"), helm, "dependency", "build", ".")
				if _, err := os.Stat(filepath.Join(dir, "hub/charts/jupyterhub-1.1.0.tgz")); err != nil {
					t.Fatal(err)
				}
				if generated(r[lock]) != generated(before[lock]) {
					t.Errorf("the time changed:\n%s", r[lock])
				}
				if _, err := r.edit(s, site.Want{Version: "1.0.0"}); err != nil || r[file] != before[file] || r[lock] != before[lock] {
					t.Errorf("there and back: %v\n%s%s", err, r[file], r[lock])
				}
			})
		}
	}
}

func generated(lock string) string {
	for line := range strings.Lines(lock) {
		if strings.HasPrefix(line, "generated:") {
			return line
		}
	}
	return "none"
}

const lockDependencies = "dependencies:\n- name: jupyterhub\n  repository: https://a\n  version: 1.0.0\n- name: b\n  repository: https://b\n  version: 2.3.4\n"

// A lock file of Helm 2 keeps its kind of digest, which Helm 3 and 4 take for
// charts of apiVersion v1.
func TestLegacyLock(t *testing.T) {
	r := repo{
		"Chart.yaml":        "apiVersion: v1\nname: hub\nversion: 0.1.0\n",
		"requirements.yaml": lockDependencies,
		"requirements.lock": lockDependencies + "digest: sha256:2f6b2ab35c3b6e3d85c7ae8ba64d0e2ae3f65b2f2f2b0d6ef3a9a1d0b0f8e1aa\ngenerated: \"2019-01-01T00:00:00Z\"\n",
	}
	s := site.Site{Kind: site.Dependency, File: "requirements.yaml", Name: "jupyterhub"}
	found, err := r.files().Check(s, site.Want{Version: "1.0.0"})
	if err != nil || len(found) != 1 || found[0].What != "digest of the dependencies" {
		t.Fatalf("a wrong digest: %v %v", found, err)
	}
	// What Helm 2.16 hashed: {"dependencies":[{"name":…,"version":…,"repository":…},…]}.
	legacy := `{"dependencies":[{"name":"jupyterhub","version":"1.0.0","repository":"https://a"},{"name":"b","version":"2.3.4","repository":"https://b"}]}`
	r["requirements.lock"] = strings.Replace(r["requirements.lock"], found[0].Found, digestOf(legacy), 1)
	if found, err := r.files().Check(s, site.Want{Version: "1.0.0"}); err != nil || len(found) > 0 {
		t.Fatalf("a digest of Helm 2: %v %v", found, err)
	}
	if _, err := r.edit(s, site.Want{Version: "1.1.0"}); err != nil {
		t.Fatal(err)
	}
	if want := digestOf(strings.Replace(legacy, "1.0.0", "1.1.0", 1)); !strings.Contains(r["requirements.lock"], want) {
		t.Errorf("want digest %s\n%s", want, r["requirements.lock"])
	}
	for _, major := range []int{3, 4} {
		helm := testtools.Helm(t, major)
		url := chartRepo(t, helm)
		one := "dependencies:\n- name: jupyterhub\n  repository: " + url + "\n  version: 1.0.0\n"
		sum := digestOf(`{"dependencies":[{"name":"jupyterhub","version":"1.0.0","repository":"` + url + `"}]}`)
		r := repo{"hub/Chart.yaml": r["Chart.yaml"], "hub/requirements.yaml": one, "hub/requirements.lock": one + "digest: " + sum + "\ngenerated: \"2019-01-01T00:00:00Z\"\n"}
		if _, err := r.edit(site.Site{Kind: site.Dependency, File: "hub/requirements.yaml", Name: "jupyterhub"}, site.Want{Version: "1.1.0"}); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		write(t, dir, r)
		run(t, filepath.Join(dir, "hub"), helm, "repo", "add", "x", url)
		run(t, filepath.Join(dir, "hub"), helm, "dependency", "build", ".")
	}
}

// A lock file that did not fit before is not given a digest that says it does.
func TestStaleLock(t *testing.T) {
	base := repo{
		"Chart.yaml": "apiVersion: v2\nname: hub\nversion: 0.1.0\n" + lockDependencies,
		"Chart.lock": lockDependencies + "digest: " + oldSum + "\ngenerated: \"2024-01-01T00:00:00Z\"\n",
	}
	s := site.Site{Kind: site.Dependency, File: "Chart.yaml", Name: "jupyterhub"}
	r := maps.Clone(base)
	if _, err := r.edit(s, site.Want{Version: "1.1.0"}); err != nil {
		t.Errorf("versions fit, only the digest is off: %v", err)
	}
	for name, change := range map[string]func(repo){
		"other version":  func(r repo) { r["Chart.lock"] = strings.Replace(r["Chart.lock"], "2.3.4", "2.3.5", 1) },
		"other name":     func(r repo) { r["Chart.lock"] = strings.Replace(r["Chart.lock"], "name: b", "name: c", 1) },
		"one more":       func(r repo) { r["Chart.yaml"] += "- {name: c, version: 1.0.0, repository: https://c}\n" },
		"two lock files": func(r repo) { r["requirements.lock"] = r["Chart.lock"] },
		"two lists":      func(r repo) { r["requirements.yaml"] = lockDependencies },
		"no digest":      func(r repo) { r["Chart.lock"] = lockDependencies },
		"number":         func(r repo) { r["Chart.yaml"] = strings.Replace(r["Chart.yaml"], "2.3.4", "2.30", 1) },
	} {
		r := maps.Clone(base)
		change(r)
		var e *site.Error
		if paths, err := r.edit(s, site.Want{Version: "1.1.0"}); !errors.As(err, &e) {
			t.Errorf("%s: %v %v", name, paths, err)
		}
	}
	// The address of a repository that helm knows by name is in the lock file.
	r = maps.Clone(base)
	r["Chart.yaml"] = strings.Replace(r["Chart.yaml"], "https://b", "'@b'", 1)
	if _, err := r.edit(s, site.Want{Version: "1.0.0", Source: "https://new"}); err != nil || !strings.Contains(r["Chart.lock"], "repository: https://new\n") {
		t.Errorf("%v\n%s", err, r["Chart.lock"])
	}
	if found, err := r.files().Check(s, site.Want{Version: "1.0.0", Source: "https://new"}); err != nil || len(found) > 0 {
		t.Errorf("%v %v", found, err)
	}
}
