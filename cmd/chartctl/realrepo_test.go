package main

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/registrytest"
	"chartd.dev/chartd/internal/testtools"
)

var realHubs = []string{"a11y", "astro", "data100", "data8", "datahub", "dev", "eecs", "julia", "r", "stat20"}

// realRepo is a copy of a real deploy repo under git, on branch staging, with
// its charts and, under their real names, its images.
type realRepo struct {
	*rig.Bench
	dir string
}

func newRealRepo(t *testing.T) *realRepo {
	t.Helper()
	from, charts := testtools.Shared(t, "data", "deploy-repo"), testtools.Shared(t, "data", "charts")
	d := &realRepo{Bench: rig.New(t), dir: t.TempDir()}
	for _, v := range []string{"3.3.7", "3.3.8"} {
		own := registrytest.Make("k8s-hub", "hub "+v)
		d.Image("jupyterhub/k8s-hub", v, own)
		tag := map[string]string{"3.3.7": "0.0.1-0.dev.git.7607.h4497642d", "3.3.8": "20240731-224556.git.8057.h9643afd4"}[v]
		d.Image("ucb-datahub-2018/jupyterhub-hub", tag, registrytest.From(own, "campus "+v))
		b, err := os.ReadFile(filepath.Join(charts, "jupyterhub-"+v+".tgz"))
		if err == nil {
			_, err = d.Client.Publish(t.Context(), client.PublishRequest{Package: b})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	d.copy(from)
	config := "version: 1\nserver: " + d.Server.URL + `
branches: {staging: staging, prod: prod}
sites:
  hub:
    - {kind: dependency, file: hub/requirements.yaml, name: jupyterhub}
    - {kind: image, file: hub/values.yaml, path: jupyterhub.hub.image, role: hub}
    - {kind: from, file: images/hub/Dockerfile, repository: jupyterhub/k8s-hub, role: hub}
environments:
`
	for _, hub := range realHubs {
		config += "  " + hub + ": {chart: jupyterhub, sites: [hub], wrapper: hub}\n"
		for _, stage := range []string{"staging", "prod"} {
			d.Ctl(0, "env", "create", hub+"/"+stage, "--chart", "jupyterhub")
		}
	}
	if err := os.WriteFile(filepath.Join(d.dir, ".chartctl.yaml"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	d.git("init", "-q", "-b", "staging")
	d.git("config", "user.name", "A")
	d.git("config", "user.email", "a@example.edu")
	d.git("add", "-A")
	d.git("commit", "-q", "-m", "start")
	return d
}

// copy takes the files of a real repo, with its chart repository already
// pointed at the server.
func (d *realRepo) copy(from string) {
	d.Helper()
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(d.dir, strings.TrimPrefix(path, from))
		if e.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, "hub/requirements.yaml") {
			b = bytes.Replace(b, []byte("https://jupyterhub.github.io/helm-chart/"), []byte(d.Server.URL), 1)
		}
		return os.WriteFile(to, b, 0o644)
	})
	if err != nil {
		d.Fatal(err)
	}
}

func (d *realRepo) git(args ...string) string {
	d.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = d.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		d.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// do runs chartctl in the repo.
func (d *realRepo) do(args ...string) rig.Result {
	d.Helper()
	return d.Ctl(0, append(args, "-C", d.dir)...)
}

// lines are those that a range of commits takes away and adds, but for
// chartd.lock, whose lines are only counted.
func (d *realRepo) lines(between string) (out []string, locked int) {
	d.Helper()
	file := ""
	for line := range strings.Lines(d.git("diff", "-U0", between)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "+++ b/"):
			file = line[6:]
		case strings.HasPrefix(line, "---"), !strings.HasPrefix(line, "+") && !strings.HasPrefix(line, "-"):
		case file == "chartd.lock":
			locked++
		default:
			out = append(out, file+": "+line)
		}
	}
	return out, locked
}

func (d *realRepo) wantLines(between string, locked int, want ...string) {
	d.Helper()
	got, n := d.lines(between)
	if n != locked || !slices.Equal(got, want) {
		d.Fatalf("%s changes %d lines of chartd.lock, want %d, and otherwise (-want +got):\n%s", between, n, locked, cmp.Diff(want, got))
	}
}

// A bump, a promotion by pin and one by merge, and a rollback of ten hubs that
// share everything: each diff is exactly the wanted lines.
func TestRealRepo(t *testing.T) {
	d := newRealRepo(t)
	old, now := "0.0.1-0.dev.git.7607.h4497642d", "20240731-224556.git.8057.h9643afd4"
	r := d.Ctl(2, "bump", "data8/staging", "--version", "3.3.7", "-C", d.dir)
	if !strings.Contains(r.Err, "data8/staging shares sites with a11y/staging, astro/staging,") {
		t.Errorf("the group is not listed: %s", r.Err)
	}
	d.do("bump", "data8/staging", "--version", "3.3.7", "--image", "hub=gcr.io/ucb-datahub-2018/jupyterhub-hub:"+old, "--group", "--commit")
	oldTag := old + "@" + d.tagDigest(old)
	nowTag := now + "@" + d.tagDigest(now)
	back := []string{
		"hub/requirements.yaml: -   version: 3.3.8", "hub/requirements.yaml: +   version: 3.3.7",
		"hub/values.yaml: -      tag: '" + now + "'", "hub/values.yaml: +      tag: '" + oldTag + "'",
		"images/hub/Dockerfile: -FROM jupyterhub/k8s-hub:3.3.8", "images/hub/Dockerfile: +FROM jupyterhub/k8s-hub:3.3.7",
	}
	d.wantLines("HEAD~..HEAD", strings.Count(d.git("show", "HEAD:chartd.lock"), "\n"), back...)

	d.do("bump", "data8/staging", "--version", "3.3.8", "--image", "hub=gcr.io/ucb-datahub-2018/jupyterhub-hub:"+now, "--group", "--commit")
	forward := []string{
		"hub/requirements.yaml: -   version: 3.3.7", "hub/requirements.yaml: +   version: 3.3.8",
		"hub/values.yaml: -      tag: '" + oldTag + "'", "hub/values.yaml: +      tag: '" + nowTag + "'",
		"images/hub/Dockerfile: -FROM jupyterhub/k8s-hub:3.3.7", "images/hub/Dockerfile: +FROM jupyterhub/k8s-hub:3.3.8",
	}
	// Chart, image, base, binding and sum of ten hubs, old and new.
	d.wantLines("HEAD~..HEAD", 10*5*2, forward...)
	d.wantLines("HEAD~2..HEAD", strings.Count(d.git("show", "HEAD:chartd.lock"), "\n"),
		"hub/values.yaml: -      tag: '"+now+"'", "hub/values.yaml: +      tag: '"+nowTag+"'")
	if got := d.git("log", "-1", "--format=%s"); got != "10 environments: jupyterhub 3.3.7 → 3.3.8, hub "+old+" → "+now+"\n" {
		t.Errorf("commit is %q", got)
	}

	// On the branch of prod, first by its own pin, then by a promotion.
	d.git("checkout", "-q", "-b", "prod", "HEAD~")
	d.do("bump", "data8/prod", "--version", "3.3.7", "--group", "--image", "hub=gcr.io/ucb-datahub-2018/jupyterhub-hub:"+old)
	if s := d.git("status", "--porcelain"); s != "" {
		t.Errorf("the files were there already, and chartctl changed %s", s)
	}
	for _, hub := range realHubs {
		d.Ctl(0, "report", hub+"/prod", "--revision", "1", "--passed")
	}
	d.do("promote", "data8/staging", "data8/prod", "--group", "--commit")
	d.wantLines("HEAD~..HEAD", 10*5*2, forward...)
	d.wantLines("staging..HEAD", 0)
	if h := d.Ctl(0, "history", "r/prod", "-o", "json"); !strings.Contains(h.Out, `"from": "r/staging#2"`) {
		t.Errorf("r was not promoted from its own staging:\n%s", h.Out)
	}
	d.do("rollback", "data8/prod", "--group", "--commit", "--reason", "hubs do not start")
	d.wantLines("HEAD~2..HEAD", 0)
	if v := d.Ctl(0, "status", "-o", "json"); strings.Count(v.Out, `"revision": 3,`) < 10 {
		t.Errorf("not all were rolled back:\n%s", v.Out)
	}
}

func (d *realRepo) tagDigest(tag string) string {
	d.Helper()
	on := map[byte]string{'0': "3.3.7", '2': "3.3.8"}[tag[0]]
	digest, err := registrytest.From(registrytest.Make("k8s-hub", "hub "+on), "campus "+on).Digest()
	if err != nil {
		d.Fatal(err)
	}
	return digest.String()
}
