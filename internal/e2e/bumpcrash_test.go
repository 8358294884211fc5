package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/durable/durabletest"
	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/testtools"
)

// The files of a deploy repo before and after the bump, with URL for the
// server's; chartd.lock, the third, differs with the environment.
var bumpFiles = []struct{ path, old, new string }{
	{"hub/requirements.yaml", "dependencies:\n- name: jupyterhub\n  version: 1.0.0 # chart\n  repository: URL\n", "dependencies:\n- name: jupyterhub\n  version: 1.1.0 # chart\n  repository: URL\n"},
	{"Dockerfile", "FROM example/hub:1.0.0\r\n", "FROM example/hub:1.1.0\r\n"},
}

// bumpLock is chartd.lock before the bump.
var bumpLock = string(lockfile.File{}.Bytes())

// bumpRig makes an environment and a deploy repo for every case.
type bumpRig struct {
	b        *rig.Bench
	chartctl string
	binding  ref.BindingID
	cases    atomic.Int64
}

// bumpCase is one deploy repo and its environment.
type bumpCase struct {
	*bumpRig
	env  ref.Env
	dir  string
	home []string // environment of chartctl
}

func (g *bumpRig) newCase(t *testing.T) bumpCase {
	t.Helper()
	env, err := ref.ParseEnv(fmt.Sprintf("hub%d/prod", g.cases.Add(1)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.b.Client.CreateEnvironment(t.Context(), api.CreateEnvironment{Env: env, Chart: "jupyterhub"}); err != nil {
		t.Fatal(err)
	}
	c := bumpCase{bumpRig: g, env: env, dir: filepath.Join(t.TempDir(), "repo")}
	if err := os.CopyFS(c.dir, os.DirFS(filepath.Join(g.b.Server.Data+".template"))); err != nil {
		t.Fatal(err)
	}
	config := "version: 1\nserver: " + g.b.Server.URL + `
sites:
  hub:
    - {kind: dependency, file: hub/requirements.yaml, name: jupyterhub}
    - {kind: from, file: Dockerfile, repository: example/hub, role: hub}
environments:
  ` + env.String() + ": {chart: jupyterhub, sites: [hub]}\n"
	put(t, c.dir, ".chartctl.yaml", config)
	home := t.TempDir()
	c.home = append(os.Environ(), "CHARTCTL_SERVER="+g.b.Server.URL, "CHARTCTL_TOKEN="+g.b.Server.Token, "HOME="+home, "XDG_CONFIG_HOME=")
	return c
}

func put(t *testing.T, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// template writes the deploy repo that every case copies, committed in git.
func (g *bumpRig) template(t *testing.T) {
	t.Helper()
	dir := g.b.Server.Data + ".template"
	for _, f := range bumpFiles {
		put(t, dir, f.path, g.fill(f.old))
	}
	put(t, dir, "chartd.lock", bumpLock)
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "-A"}, {"-c", "user.name=A", "-c", "user.email=a@example.edu", "commit", "-q", "-m", "start"}} {
		if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
	}
}

func (g *bumpRig) fill(content string) string {
	return strings.ReplaceAll(content, "URL", g.b.Server.URL)
}

func (c bumpCase) command(args ...string) *exec.Cmd {
	cmd := exec.Command(c.chartctl, args...)
	cmd.Dir, cmd.Env = c.dir, c.home
	return cmd
}

func (c bumpCase) bump() *exec.Cmd {
	return c.command("bump", c.env.String(), "--binding", c.binding.String())
}

func (c bumpCase) run(t *testing.T, step string, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", step, err, out)
	}
}

func (c bumpCase) revision(t *testing.T) uint64 {
	t.Helper()
	e, err := c.b.Client.Environment(t.Context(), c.env)
	if err != nil {
		t.Fatal(err)
	}
	return e.Revision
}

// check wants all files old, or all new, and nothing beside them.
func (c bumpCase) check(t *testing.T, step string, moved bool) {
	t.Helper()
	want := map[string]string{}
	for _, f := range bumpFiles {
		want[f.path] = c.fill(f.old)
		if moved {
			want[f.path] = c.fill(f.new)
		}
	}
	err := filepath.WalkDir(c.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() && e.Name() != ".git" {
			return err
		}
		if e.IsDir() {
			return fs.SkipDir
		}
		name, _ := filepath.Rel(c.dir, path)
		got, err := os.ReadFile(path)
		switch content, known := want[name]; {
		case name == ".chartctl.yaml":
		case name == "chartd.lock":
			lock := string(got)
			if !moved && lock != bumpLock || moved && !strings.Contains(lock, "\n"+c.env.String()+" chart: jupyterhub 1.1.0 sha256:") {
				t.Errorf("%s: moved %t, but chartd.lock is\n%s", step, moved, lock)
			}
		case !known:
			t.Errorf("%s: left over: %q", step, name)
		case content != string(got):
			t.Errorf("%s: moved %t, but %q is %q", step, moved, name, got)
		}
		delete(want, name)
		return err
	})
	if err != nil || len(want) > 0 {
		t.Errorf("%s: missing %q, %v", step, want, err)
	}
	left, err := filepath.Glob(filepath.Join(c.dir, ".git/chartctl/*"))
	if err != nil || len(left) > 1 {
		t.Errorf("%s: left in the state directory: %q, %v", step, left, err)
	}
}

// TestBumpCrash kills a bump of three files in each system call that changes
// something, or makes the call fail. After the next chartctl all files are old
// and nothing is pinned, or all are new and the pin is there.
func TestBumpCrash(t *testing.T) {
	chartctl, err := testtools.BuildProject(t.Context(), "chartctl", "onethread")
	if err != nil {
		t.Fatal(err)
	}
	g := &bumpRig{b: rig.New(t), chartctl: chartctl}
	g.binding, _ = publishHub(t, g.b, "1.1.0")
	g.template(t)
	var pinned, unpinned atomic.Int64
	t.Run("faults", func(t *testing.T) {
		s := durabletest.Sweep{
			Calls:   []string{"openat", "mkdirat", "write", "pwrite64", "fsync", "renameat", "unlinkat", "fchmod", "ftruncate", "flock"},
			Actions: []string{"signal=SIGKILL", "error=EIO", "error=ENOSPC"},
			Misses:  2, // the connection to the server is on other threads
			Skip:    pointless,
			Case: func(t *testing.T, f durabletest.Fault) durabletest.Result {
				r, moved := g.newCase(t).suffer(t, f)
				if moved {
					pinned.Add(1)
				} else {
					unpinned.Add(1)
				}
				return r
			},
		}
		if testing.Short() {
			s.Most = 2
		}
		s.Run(t)
	})
	if pinned.Load() == 0 || unpinned.Load() == 0 {
		t.Errorf("%d cases ended pinned and %d not; both have to come", pinned.Load(), unpinned.Load())
	}
	t.Logf("%d cases ended pinned, %d not", pinned.Load(), unpinned.Load())
}

// pointless leaves out errors of write, which end Go's runtime when they meet
// its own descriptors, and the second error of openat, which is the most
// frequent call and has no way of its own for it.
func pointless(call, action string) bool {
	return call == "write" && action != "signal=SIGKILL" || call == "openat" && action == "error=ENOSPC"
}

// suffer bumps with a fault, recovers, checks, and finishes what was
// discarded. It says whether the bump had come to its commit point.
func (c bumpCase) suffer(t *testing.T, f durabletest.Fault) (r durabletest.Result, moved bool) {
	t.Helper()
	if f.Syscall == "openat" {
		for _, dir := range []string{"", "hub", ".git", ".git/chartctl"} {
			f.Paths = append(f.Paths, filepath.Join(c.dir, dir))
		}
	}
	r = durabletest.Command(t, f, c.bump())
	step := f.String()
	before := c.revision(t)
	switch failed := r.Exit != 0; {
	case !r.Injected && failed:
		t.Errorf("%s: without a fault: exit %d\n%s", step, r.Exit, r.Stderr)
	case !failed && before == 0:
		t.Errorf("%s: exit 0 and nothing pinned\n%s", step, r.Stderr)
	case failed && strings.HasPrefix(f.Action, "error=") && !strings.Contains(r.Stderr, "chartctl: "):
		t.Errorf("%s: exit %d without a word:\n%s", step, r.Exit, r.Stderr)
	case r.Exit == api.ExitLocalIO && before > 0 && !strings.Contains(r.Stderr, "pinned as revision 1"):
		t.Errorf("%s: the message hides that the pin was made: %s", step, r.Stderr)
	case failed && before == 0 && strings.Contains(r.Stderr, "pinned as revision"):
		t.Errorf("%s: the message tells of a pin that was not made: %s", step, r.Stderr)
	}
	c.run(t, step+": recover", c.command("recover"))
	after := c.revision(t)
	// A killed bump's request may still be on its way; recovery waits for it.
	if after != before && strings.HasPrefix(f.Action, "error=") {
		t.Errorf("%s: revision %d became %d by recovery", step, before, after)
	}
	c.check(t, step, after > 0)
	if after == 0 {
		c.run(t, step+": bump again", c.bump())
		c.check(t, step+": bump again", true)
	}
	c.run(t, step+": verify", c.command("verify"))
	return r, after > 0
}

// Several bumps at once in one checkout wait for each other or lose (exit 6)
// and are run again: each gets its pin and its lines in the lock file that all
// of them change, and none is lost.
func TestBumpsAtOnce(t *testing.T) {
	g := &bumpRig{b: rig.New(t), chartctl: testtools.Chartctl(t)}
	g.binding, _ = publishHub(t, g.b, "1.1.0")
	g.template(t)
	c := g.newCase(t)
	config := "version: 1\nserver: " + g.b.Server.URL + "\n"
	sites, envs := "sites:\n", "environments:\n"
	var all []ref.Env
	for n := range 4 {
		env := newEnv(t, g.b, fmt.Sprintf("at-once%d/prod", n))
		all = append(all, env)
		put(t, c.dir, fmt.Sprintf("%d/requirements.yaml", n), g.fill(bumpFiles[0].old))
		sites += fmt.Sprintf("  s%d:\n    - {kind: dependency, file: %d/requirements.yaml, name: jupyterhub}\n", n, n)
		envs += fmt.Sprintf("  %s: {chart: jupyterhub, sites: [s%d]}\n", env, n)
	}
	put(t, c.dir, ".chartctl.yaml", config+sites+envs)
	var group errgroup.Group
	for _, env := range all {
		group.Go(func() error {
			for {
				cmd := c.command("bump", env.String(), "--binding", c.binding.String(), "--allow-dirty")
				out, err := cmd.CombinedOutput()
				if err == nil {
					return nil
				}
				if cmd.ProcessState.ExitCode() != api.ExitStale {
					return fmt.Errorf("bump %s: %w\n%s", env, err, out)
				}
			}
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	c.run(t, "verify", c.command("verify"))
	lock, err := os.ReadFile(filepath.Join(c.dir, "chartd.lock"))
	if err != nil {
		t.Fatal(err)
	}
	for n, env := range all {
		got, err := os.ReadFile(filepath.Join(c.dir, fmt.Sprintf("%d/requirements.yaml", n)))
		if string(got) != g.fill(bumpFiles[0].new) || err != nil || !strings.Contains(string(lock), "\n"+env.String()+" chart: jupyterhub 1.1.0 ") {
			t.Errorf("%s: %q, %v, and chartd.lock\n%s", env, got, err, lock)
		}
	}
}
