package gitrepo

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// checkout makes a repository with one commit on branch "staging".
func checkout(t *testing.T) (dir string) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GIT_CONFIG_GLOBAL", filepath.Join(dir, "none"))
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		t.Setenv("GIT_"+who+"_NAME", "Ada")
		t.Setenv("GIT_"+who+"_EMAIL", "ada@example.edu")
	}
	dir = filepath.Join(dir, "repo")
	git(t, "", "init", "-q", "-b", "staging", dir)
	write(t, dir, "hub/values.yaml", "tag: one\n")
	write(t, dir, "chartd.lock", "first\n")
	git(t, dir, "add", ".")
	git(t, dir, "commit", "-q", "-m", "first")
	return dir
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimSuffix(string(out), "\n")
}

func write(t *testing.T, dir, path, content string) {
	t.Helper()
	path = filepath.Join(dir, path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string) *Repo {
	t.Helper()
	r, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestOpen(t *testing.T) {
	dir := checkout(t)
	r := open(t, filepath.Join(dir, "hub"))
	if r.Root() != dir || r.Dir() != filepath.Join(dir, ".git") {
		t.Errorf("Root %q, Dir %q", r.Root(), r.Dir())
	}
	if below, err := r.Below(filepath.Join(dir, "hub")); below != "hub" || err != nil {
		t.Errorf("Below: %q, %v", below, err)
	}
	if _, err := Open(t.Context(), t.TempDir()); !errors.Is(err, ErrNone) {
		t.Errorf("Open outside of a repository: %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := Open(t.Context(), dir); !errors.Is(err, ErrNoGit) {
		t.Errorf("Open without git: %v", err)
	}
}

// Branch and Head say what git says, in every form that refs have on disk.
func TestHead(t *testing.T) {
	dir := checkout(t)
	same := func(step, dir string) {
		t.Helper()
		r := open(t, dir)
		branch, err := r.Branch(t.Context())
		if want := git(t, dir, "branch", "--show-current"); branch != want || err != nil {
			t.Errorf("%s: Branch: %q, %v, want %q", step, branch, err, want)
		}
		head, err := r.Head(t.Context())
		if want := git(t, dir, "rev-parse", "HEAD"); head != want || err != nil {
			t.Errorf("%s: Head: %q, %v, want %q", step, head, err, want)
		}
	}
	same("loose", dir)
	git(t, dir, "pack-refs", "--all")
	same("packed", dir)
	git(t, dir, "checkout", "-q", "-b", "feature/new")
	same("slash", dir)
	git(t, dir, "checkout", "-q", "--detach")
	same("detached", dir)
	linked := filepath.Join(filepath.Dir(dir), "linked")
	git(t, dir, "worktree", "add", "-q", "-b", "prod", linked)
	same("worktree", linked)
	if r := open(t, linked); r.Dir() != filepath.Join(dir, ".git", "worktrees", "linked") {
		t.Errorf("Dir of a worktree: %q", r.Dir())
	}
	if s, err := open(t, linked).State(t.Context()); err != nil || !s.Worktree {
		t.Errorf("State of a worktree: %+v, %v", s, err)
	}
	empty := filepath.Join(filepath.Dir(dir), "empty")
	git(t, "", "init", "-q", "-b", "prod", empty)
	r := open(t, empty)
	branch, err := r.Branch(t.Context())
	head, headErr := r.Head(t.Context())
	if branch != "prod" || head != "" || err != nil || headErr != nil {
		t.Errorf("unborn: %q, %q, %v, %v", branch, head, err, headErr)
	}
	if v, err := r.FirstParents(t.Context(), "chartd.lock", 5); len(v) > 0 || err != nil {
		t.Errorf("FirstParents before the first commit: %v, %v", v, err)
	}
}

func TestDirty(t *testing.T) {
	dir := checkout(t)
	r := open(t, dir)
	if c, err := r.Dirty(t.Context()); len(c) > 0 || err != nil {
		t.Errorf("clean: %v, %v", c, err)
	}
	write(t, dir, "hub/values.yaml", "tag: two\n")
	write(t, dir, "-odd \"name\"\nof two lines", "x")
	write(t, dir, "staged", "x")
	git(t, dir, "add", "staged")
	c, err := r.Dirty(t.Context())
	want := []Change{{"hub/values.yaml", '.', 'M'}, {"staged", 'A', '.'}, {"-odd \"name\"\nof two lines", '?', '?'}}
	if !slices.Equal(c, want) || err != nil {
		t.Errorf("Dirty: %q, %v, want %q", c, err, want)
	}
	if c, err := r.Dirty(t.Context(), "chartd.lock", "h*"); len(c) > 0 || err != nil {
		t.Errorf("Dirty of a clean file and of a literal pattern: %q, %v", c, err)
	}
	if got, err := r.Tracked(t.Context(), "staged", "hub", "no", "hub/values.yaml"); !slices.Equal(got, []string{"staged", "hub/values.yaml"}) || err != nil {
		t.Errorf("Tracked: %q, %v", got, err)
	}
}

func TestState(t *testing.T) {
	dir := checkout(t)
	git(t, dir, "checkout", "-q", "-b", "other")
	write(t, dir, "chartd.lock", "theirs\n")
	git(t, dir, "commit", "-q", "-a", "-m", "theirs")
	git(t, dir, "checkout", "-q", "staging")
	write(t, dir, "chartd.lock", "ours\n")
	git(t, dir, "commit", "-q", "-a", "-m", "ours")
	r := open(t, dir)
	if s, err := r.State(t.Context()); s != (State{}) || err != nil {
		t.Errorf("plain: %+v, %v", s, err)
	}
	for _, op := range []string{"merge", "cherry-pick", "rebase"} {
		if out, err := exec.Command("git", "-C", dir, op, "other").CombinedOutput(); err == nil {
			t.Fatalf("%s did not conflict: %s", op, out)
		}
		if s, err := r.State(t.Context()); s.Operation != op || err != nil {
			t.Errorf("%s: %+v, %v", op, s, err)
		}
		if c, err := r.Dirty(t.Context(), "chartd.lock"); err != nil || len(c) != 1 || c[0].Index != 'U' && c[0].Index != 'A' {
			t.Errorf("%s: %q, %v", op, c, err)
		}
		if _, err := r.Commit(t.Context(), "x", []string{"chartd.lock"}); !errors.Is(err, ErrCommit) || !strings.Contains(err.Error(), op) {
			t.Errorf("Commit during %s: %v", op, err)
		}
		git(t, dir, op, "--abort")
	}
	write(t, dir, ".git/index.lock", "")
	if s, err := r.State(t.Context()); s.IndexLock != filepath.Join(dir, ".git/index.lock") || err != nil {
		t.Errorf("index.lock: %+v, %v", s, err)
	}
	if _, err := r.Commit(t.Context(), "x", []string{"chartd.lock"}); !errors.Is(err, ErrCommit) {
		t.Errorf("Commit with an index.lock: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, ".git/index.lock")); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "sparse-checkout", "set", "hub")
	if s, err := r.State(t.Context()); !s.Sparse || err != nil {
		t.Errorf("sparse: %+v, %v", s, err)
	}
	shallow := filepath.Join(filepath.Dir(dir), "shallow")
	git(t, "", "clone", "-q", "--depth=1", "file://"+dir, shallow)
	if s, err := open(t, shallow).State(t.Context()); !s.Shallow || err != nil {
		t.Errorf("shallow: %+v, %v", s, err)
	}
	if names, err := open(t, shallow).Branches(t.Context()); !slices.Equal(names, []string{"staging"}) || err != nil {
		t.Errorf("Branches: %q, %v", names, err)
	}
	git(t, dir, "sparse-checkout", "disable")
	git(t, dir, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", shallow, "sub")
	if s, err := r.State(t.Context()); !s.Submodules || s.Submodule || err != nil {
		t.Errorf("with a submodule: %+v, %v", s, err)
	}
	if s, err := open(t, filepath.Join(dir, "sub")).State(t.Context()); !s.Submodule || err != nil {
		t.Errorf("in a submodule: %+v, %v", s, err)
	}
}

func TestHistory(t *testing.T) {
	dir := checkout(t)
	r := open(t, dir)
	commit := func(content string) string {
		write(t, dir, "chartd.lock", content)
		git(t, dir, "commit", "-q", "-a", "-m", "lock")
		return git(t, dir, "rev-parse", "HEAD")
	}
	first := git(t, dir, "rev-parse", "HEAD")
	git(t, dir, "checkout", "-q", "-b", "prod")
	commit("side one\n")
	side := commit("side \x00 two\r\n")
	git(t, dir, "checkout", "-q", "staging")
	write(t, dir, "other", "x")
	git(t, dir, "add", ".")
	git(t, dir, "commit", "-q", "-m", "not the lock")
	git(t, dir, "merge", "-q", "--no-ff", "-m", "merge", "prod")
	merge := git(t, dir, "rev-parse", "HEAD")
	git(t, dir, "rm", "-q", "chartd.lock")
	git(t, dir, "commit", "-q", "-m", "gone")
	v, err := r.FirstParents(t.Context(), "chartd.lock", 10)
	if err != nil || len(v) != 3 {
		t.Fatalf("FirstParents: %+v, %v", v, err)
	}
	if v[0].Blob != "" || v[1].Commit != merge || string(v[1].Data) != "side \x00 two\r\n" || v[2].Commit != first || string(v[2].Data) != "first\n" {
		t.Errorf("FirstParents: %+v", v)
	}
	if v, err := r.FirstParents(t.Context(), "chartd.lock", 2); len(v) != 2 || err != nil {
		t.Errorf("two of them: %+v, %v", v, err)
	}
	if v, err := r.Ancestors(t.Context(), "chartd.lock", 10); len(v) < 5 || err != nil || !slices.ContainsFunc(v, func(v Version) bool { return string(v.Data) == "side one\n" }) {
		t.Errorf("Ancestors: %+v, %v", v, err)
	}
	if b, err := r.Show(t.Context(), side, "chartd.lock"); string(b) != "side \x00 two\r\n" || err != nil {
		t.Errorf("Show: %q, %v", b, err)
	}
	for _, c := range []struct {
		rev, path string
		want      error
	}{
		{"HEAD", "chartd.lock", fs.ErrNotExist}, {"HEAD", "hub", fs.ErrNotExist},
		{"nothing", "other", ErrRevision}, {"--batch", "other", ErrRevision}, {"", "other", ErrRevision}, {"HEAD:", "other", ErrRevision},
	} {
		if b, err := r.Show(t.Context(), c.rev, c.path); !errors.Is(err, c.want) {
			t.Errorf("Show %q %q: %q, %v, want %v", c.rev, c.path, b, err, c.want)
		}
	}
}
