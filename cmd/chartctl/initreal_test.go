package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/testtools"
)

// TestInitRealRepo sets the real repo up with one command: .chartctl.yaml is
// the one that is argued for in internal/deploy/config, twenty environments
// are made, and of all files one line changes.
func TestInitRealRepo(t *testing.T) {
	data := testtools.Shared(t, "data", "deploy-repo")
	chart := testtools.Shared(t, "data", "charts", "jupyterhub-3.3.8.tgz")
	s, err := rig.Start(t.Context(), rig.ServerConfig{Binary: testtools.Chartd(t), Data: filepath.Join(t.TempDir(), "data")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("%v", err)
		}
	})
	dir := filepath.Join(t.TempDir(), "datahub")
	copyTree(t, data, dir)
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=x", "GIT_AUTHOR_EMAIL=x@example.com", "GIT_COMMITTER_NAME=x", "GIT_COMMITTER_EMAIL=x@example.com")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	git("init", "-q", "-b", "staging")
	git("add", ".")
	git("commit", "-q", "-m", "as it is")

	env := []string{"CHARTCTL_SERVER=" + s.URL, "CHARTCTL_TOKEN=" + s.Token, "HOME=" + t.TempDir(), "XDG_CONFIG_HOME=", "PATH=" + os.Getenv("PATH")}
	ctl := func(want int, args ...string) string {
		t.Helper()
		r, err := rig.Run(t.Context(), dir, env, testtools.Chartctl(t), args...)
		if err != nil || r.Code != want {
			t.Fatalf("chartctl %v: %v, exit %d\n%s", args, err, r.Code, r.Text())
		}
		return r.Out
	}
	packed, err := os.ReadFile(chart)
	if err != nil {
		t.Fatal(err)
	}
	charts := t.TempDir()
	if err := os.WriteFile(filepath.Join(charts, filepath.Base(chart)), packed, 0o644); err != nil {
		t.Fatal(err)
	}
	ctl(0, "import", charts)
	ctl(0, "init", "--yes")
	root, err := testtools.Root()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(root, "internal/deploy/config/testdata/deploy-repo.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, ".chartctl.yaml"))
	if err != nil || string(got) != strings.ReplaceAll(string(want), "https://charts.example.edu", s.URL) {
		t.Errorf("%v\n%s", err, got)
	}
	diff := git("diff", "-U0")
	if i := strings.Index(diff, "@@"); i < 0 || diff[i:] != "@@ -8 +8 @@ dependencies:\n-   repository: https://jupyterhub.github.io/helm-chart/\n+   repository: "+s.URL+"\n" {
		t.Errorf("more or less than one line changed:\n%s", diff)
	}
	if out := git("status", "--porcelain"); out != " M hub/requirements.yaml\n?? .chartctl.yaml\n" {
		t.Errorf("changed files:\n%s", out)
	}
	if out := ctl(0, "env", "list"); strings.Count(out, "jupyterhub") != 20 {
		t.Errorf("environments:\n%s", out)
	}
}

func copyTree(t *testing.T, from, to string) {
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, path)
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestInitAdoptsRealRepo takes over what the real repo says, on both branches:
// the pair is proven by its layers, only the digest is added to the files, and
// verify has nothing to say.
func TestInitAdoptsRealRepo(t *testing.T) {
	d := newRealRepo(t)
	if err := os.Remove(filepath.Join(d.dir, ".chartctl.yaml")); err != nil {
		t.Fatal(err)
	}
	d.git("commit", "-q", "-a", "-m", "as it was before")
	d.git("branch", "prod")
	out := d.do("init", "--yes", "--adopt", "as it runs").Out
	if n := strings.Count(out, "is adopted as revision 1: jupyterhub@3.3.8, verified"); n != 20 {
		t.Errorf("%d of 20 environments are adopted and verified:\n%s", n, out)
	}
	diff := d.git("diff", "-U0")
	if i := strings.Index(diff, "@@"); i < 0 || !strings.HasPrefix(diff[i:], "@@ -244 +244 @@ jupyterhub:\n-      tag: '20240731-224556.git.8057.h9643afd4'\n+      tag: '20240731-224556.git.8057.h9643afd4@sha256:") ||
		strings.Count(diff, "\n@@") != 1 {
		t.Errorf("more or less than one line changed:\n%s", diff)
	}
	if out := d.git("status", "--porcelain"); out != " M hub/values.yaml\n?? .chartctl.yaml\n?? chartd.lock\n" {
		t.Errorf("changed files:\n%s", out)
	}
	d.do("verify")

	// The other branch gets its lock file from what is pinned by now.
	d.git("add", "-A")
	d.git("commit", "-q", "-m", "pinned")
	d.git("checkout", "-q", "prod")
	d.git("merge", "-q", "staging")
	if out := d.do("init", "--yes").Out; !strings.Contains(out, "every file is as it should be") {
		t.Errorf("after the merge, which promotes the same pair:\n%s", out)
	}
	d.do("verify")
}
