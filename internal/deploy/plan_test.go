package deploy_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// tree is a deploy repo on disk.
type tree map[string]string

func (f tree) open(t *testing.T) *deploy.Repo {
	t.Helper()
	dir := t.TempDir()
	for name, text := range f {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r, err := deploy.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func digest(s string) ref.Digest { return ref.DigestOf([]byte(s)) }

func image(t *testing.T, repository, tag string) ref.Image {
	t.Helper()
	i, err := ref.ParseImage(repository + "@" + digest(repository+tag).String())
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// binding is version and the campus's image of that name, built on the chart's.
func binding(t *testing.T, version string) api.Binding {
	t.Helper()
	b := api.Binding{Name: "jupyterhub", Version: version, Package: digest(version), State: model.Verified}
	b.Images = []api.BoundImage{
		{Role: "hub", Image: image(t, "quay.io/campus/hub", "c"+version), Tag: "c" + version, Required: true,
			Base: image(t, "quay.io/jupyterhub/k8s-hub", version), BaseTag: version, Evidence: model.BaseLayers},
		{Role: "singleuser", Image: image(t, "quay.io/jupyterhub/k8s-singleuser-sample", version), Tag: version},
	}
	b.ID = ref.BindingIDOf(b.Package, map[ref.Role]ref.Image{"hub": b.Images[0].Image})
	return b
}

const server = "https://charts.example.edu"

func entry(t *testing.T, key, version string) lockfile.Entry {
	return deploy.EntryOf(key, binding(t, version), server)
}

// every is a repo with every kind of site, several of them in one file.
var every = tree{
	".chartctl.yaml": `version: 1
server: ` + server + `
sites:
  hub:
    - {kind: dependency, file: hub/Chart.yaml, name: jupyterhub}
    - {kind: image, file: hub/values.yaml, path: jupyterhub.hub.image, role: hub}
    - {kind: image-ref, file: hub/values.yaml, path: check.image, role: hub}
    - {kind: from, file: image/Dockerfile, repository: jupyterhub/k8s-hub, role: hub}
    - {kind: marker, file: deploy.sh, path: chart.version}
    - {kind: marker, file: deploy.sh, path: image.hub.tag}
  other:
    - {kind: marker, file: other.sh, path: chart.version}
environments:
  data8/prod: {chart: jupyterhub, sites: [hub]}
  stat20/prod: {chart: jupyterhub, sites: [hub]}
  other/prod: {chart: jupyterhub, sites: [other]}
`,
	"hub/Chart.yaml":   "apiVersion: v2\nname: hub\nversion: 0.0.1\ndependencies:\n- name: jupyterhub\n  version: \"3.3.7\"\n  repository: " + server + "\n",
	"hub/values.yaml":  "check: {image: 'quay.io/campus/hub:old'}\njupyterhub:\r\n  hub:\r\n    image:\r\n      name: quay.io/campus/hub # ours\r\n      tag: old\r\n",
	"image/Dockerfile": "ARG TAG=3.3.7\nFROM jupyterhub/k8s-hub:${TAG}\nRUN true",
	"deploy.sh":        "VERSION=3.3.7 # chartctl: chart.version\nTAG='old' # chartctl: image.hub.tag\n",
}

func TestPlanEverySite(t *testing.T) {
	r := every.open(t)
	p, err := r.Plan([]lockfile.Entry{entry(t, "data8/prod", "3.3.8"), entry(t, "stat20/prod", "3.3.8")})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(p.Paths(), " "); got != "chartd.lock deploy.sh hub/Chart.yaml hub/values.yaml image/Dockerfile" {
		t.Errorf("changes %s", got)
	}
	d := digest("quay.io/campus/hubc3.3.8").String()
	want := map[string]string{
		"deploy.sh":        strings.NewReplacer("=3.3.7 ", "=3.3.8 ", "'old'", "'c3.3.8'").Replace(every["deploy.sh"]),
		"hub/Chart.yaml":   strings.Replace(every["hub/Chart.yaml"], "3.3.7", "3.3.8", 1),
		"hub/values.yaml":  strings.NewReplacer("hub:old", "hub:c3.3.8@"+d, "tag: old", "tag: c3.3.8@"+d).Replace(every["hub/values.yaml"]),
		"image/Dockerfile": strings.Replace(every["image/Dockerfile"], "3.3.7", "3.3.8", 1),
		"chartd.lock":      string(lockfile.File{}.With(entry(t, "data8/prod", "3.3.8"), entry(t, "stat20/prod", "3.3.8")).Bytes()),
	}
	for _, c := range p.Changes {
		if string(c.New) != want[c.Path] {
			t.Errorf("%s is\n%q, want\n%q", c.Path, c.New, want[c.Path])
		}
		if string(c.Old) != every[c.Path] || (c.Old == nil) != (c.Path == lockfile.Name) {
			t.Errorf("%s was read as %q", c.Path, c.Old)
		}
	}
	for path := range want {
		b, err := r.Root().Read(path, 1<<20)
		if path != lockfile.Name && (err != nil || string(b) != every[path]) {
			t.Errorf("planning wrote %s: %q, %v", path, b, err)
		}
	}
	diff := p.Diff()
	for _, line := range []string{
		"--- /dev/null\n+++ b/chartd.lock\n", "--- a/deploy.sh\n+++ b/deploy.sh\n@@ -1,2 +1,2 @@\n-VERSION=3.3.7 ",
		"\n-ARG TAG=3.3.7\n+ARG TAG=3.3.8\n", "\n RUN true\n\\ No newline at end of file\n",
	} {
		if !strings.Contains(diff, line) {
			t.Errorf("diff lacks %q:\n%s", line, diff)
		}
	}
}

// What is planned and done needs nothing more, and another version goes there
// and back to the same bytes.
func TestPlanThereAndBack(t *testing.T) {
	files := tree{}
	for k, v := range every {
		files[k] = v
	}
	step := func(version string) *deploy.Plan {
		t.Helper()
		p, err := files.open(t).Plan([]lockfile.Entry{entry(t, "data8/prod", version), entry(t, "stat20/prod", version)})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range p.Changes {
			files[c.Path] = string(c.New)
		}
		return p
	}
	step("3.3.8")
	first := fmt.Sprint(files)
	if p := step("3.3.8"); len(p.Changes) > 0 || p.Diff() != "" {
		t.Errorf("once more changes %v", p.Paths())
	}
	if p := step("4.0.0"); len(p.Changes) != 5 {
		t.Errorf("another version changes %v", p.Paths())
	}
	step("3.3.8")
	if again := fmt.Sprint(files); again != first {
		t.Errorf("there and back differs:\n%s\n%s", first, again)
	}
}

func TestPlanRefused(t *testing.T) {
	both := func(a, b string) []lockfile.Entry {
		return []lockfile.Entry{entry(t, "data8/prod", a), entry(t, "stat20/prod", b)}
	}
	for name, c := range map[string]struct {
		file, text string
		entries    []lockfile.Entry
		want       string
	}{
		"half a group":  {"", "", both("3.3.8", "3.3.8")[:1], "would move stat20/prod as well"},
		"two values":    {"", "", both("3.3.8", "4.0.0"), `would say "4.0.0" and not "3.3.8"`},
		"site missing":  {"hub/values.yaml", "jupyterhub: {}\n", both("3.3.8", "3.3.8"), "hub/values.yaml"},
		"file missing":  {"image/Dockerfile", "", both("3.3.8", "3.3.8"), "image/Dockerfile"},
		"lock conflict": {lockfile.Name, "<<<<<<< HEAD\n", both("3.3.8", "3.3.8"), "chartd.lock:1"},
	} {
		t.Run(name, func(t *testing.T) {
			files := tree{}
			for k, v := range every {
				if k != c.file {
					files[k] = v
				}
			}
			if c.text != "" {
				files[c.file] = c.text
			}
			p, err := files.open(t).Plan(c.entries)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("plan is %v, %v, want an error with %q", p, err, c.want)
			}
		})
	}
}

// A preparation moves only what is built on, and the pair takes its note away.
func TestPrepare(t *testing.T) {
	files := tree{}
	for k, v := range every {
		files[k] = v
	}
	base := map[ref.Role]site.Named{"hub": {Repository: image(t, "quay.io/jupyterhub/k8s-hub", "").Repository, Tag: "4.0.0"}}
	var list []deploy.Preparation
	for _, key := range []string{"data8/prod", "stat20/prod"} {
		list = append(list, deploy.Preparation{Key: key, Source: server, Bases: base, Chart: lockfile.Chart{Name: "jupyterhub", Version: "4.0.0", Digest: digest("4.0.0")}})
	}
	for _, pinned := range []bool{false, true} {
		if pinned {
			p, err := files.open(t).Plan([]lockfile.Entry{entry(t, "data8/prod", "3.3.8"), entry(t, "stat20/prod", "3.3.8")})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range p.Changes {
				files[c.Path] = string(c.New)
			}
		}
		p, err := files.open(t).Prepare(list)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(p.Paths(), " "); got != "chartd.lock image/Dockerfile" {
			t.Errorf("changes %s", got)
		}
		if e, ok := p.Lock.Get("data8/prod"); !ok || e.Prepare == nil || e.Prepare.Version != "4.0.0" || e.Pinned() != pinned {
			t.Errorf("entry is %+v", e)
		}
		if text := string(p.Changes[1].New); !strings.Contains(text, "TAG=4.0.0\n") {
			t.Errorf("Dockerfile is %q", text)
		}
	}
	if _, err := files.open(t).Prepare(list[:1]); err == nil || !strings.Contains(err.Error(), "stat20/prod") {
		t.Errorf("half of a group is prepared: %v", err)
	}
	list[0].Key = "other/prod"
	if _, err := files.open(t).Prepare(list[:1]); err == nil || !strings.Contains(err.Error(), "nothing to prepare") {
		t.Errorf("nothing to prepare: %v", err)
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	if _, err := deploy.Open(t.Context(), dir); !errors.Is(err, deploy.ErrNoRepo) {
		t.Errorf("no repo: %v", err)
	}
	r := tree{"hub/x": "", ".chartctl.yaml": "version: 1\nserver: " + server + "\nbranches: {main: staging, prod: prod}\nsites:\n  hub:\n    - {kind: marker, file: hub/x, path: chart.version}\nenvironments:\n  data8: {chart: jupyterhub, sites: [hub]}\n"}.open(t)
	below, err := deploy.Open(t.Context(), filepath.Join(r.Root().Dir(), "hub"))
	if err != nil || below.Root().Dir() != r.Root().Dir() {
		t.Fatalf("from a directory below: %v", err)
	}
	defer below.Close()
	for _, c := range []struct {
		branch string
		forced bool
		want   string
	}{{"", false, ""}, {"main", false, "staging"}, {"prod", true, "prod"}, {"feature", false, ""}} {
		below.TargetBranch(c.branch, c.forced)
		if err := below.Reload(); err != nil {
			t.Fatal(err)
		}
		if got, err := below.Stage(t.Context()); err != nil || got != c.want {
			t.Errorf("target %q: stage %q, %v, want %q", c.branch, got, err, c.want)
		}
	}
	envs, err := below.Environments("prod")
	if err != nil || len(envs) != 1 || envs[0].String() != "data8/prod" || below.Key(envs[0]) != "data8" {
		t.Errorf("environments %v, %v", envs, err)
	}
	if _, err := below.Environments(""); err == nil {
		t.Error("environments of no stage")
	}
}
