package fileset_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/deploy/fileset"
)

// three are the files of a bump: two to replace and a new one.
func three() []fileset.Change {
	return []fileset.Change{
		{Path: "hub/values.yaml", Old: []byte("tag: one\r\n"), New: []byte("tag: two\r\n")},
		{Path: "hub/requirements.yaml", Old: []byte("version: 1.0.0\n"), New: []byte("version: 2.0.0\n")},
		{Path: "chartd.lock", New: []byte("version: 1\n")},
	}
}

// checkout makes a directory with the old files, with a git directory or not.
func checkout(t testing.TB, git bool, changes []fileset.Change) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if git {
		write(t, dir, ".git/HEAD", "ref: refs/heads/prod\n")
	}
	for _, c := range changes {
		if c.Old != nil {
			write(t, dir, c.Path, string(c.Old))
		}
	}
	return dir
}

func write(t testing.TB, dir, path, content string) {
	t.Helper()
	path = filepath.Join(dir, path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, dir string) *fileset.Root {
	t.Helper()
	r, err := fileset.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func locked(t testing.TB, dir string) *fileset.Root {
	t.Helper()
	r := open(t, dir)
	unlock, err := r.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(unlock)
	return r
}

func stage(t testing.TB, r *fileset.Root, changes []fileset.Change) *fileset.Tx {
	t.Helper()
	tx, err := r.Stage(changes, json.RawMessage(`{"key":"k"}`))
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

// files are the user's files, with the content of each.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			if e.Name() == ".git" || e.Name() == ".chartctl" {
				return fs.SkipDir
			}
			return nil
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		all[rel] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// want is what files returns when all changes are in, or none.
func want(changes []fileset.Change, in bool) map[string]string {
	all := map[string]string{}
	for _, c := range changes {
		content := c.Old
		if in {
			content = c.New
		}
		if content != nil {
			all[c.Path] = string(content)
		}
	}
	return all
}

func compare(t testing.TB, step, dir string, want map[string]string) {
	t.Helper()
	if got := fmt.Sprintf("%q", files(t, dir)); got != fmt.Sprintf("%q", want) {
		t.Errorf("%s: files %s, want %q", step, got, want)
	}
}

// noLeft checks that the state directory holds the lock alone.
func noLeft(t testing.TB, r *fileset.Root) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(r.StateDir(), "journal*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left in the state directory: %q, %v", left, err)
	}
}

func TestFinishAndAbort(t *testing.T) {
	for _, git := range []bool{true, false} {
		t.Run(fmt.Sprint("git=", git), func(t *testing.T) {
			changes := append(three(), fileset.Change{Path: "old.yaml", Old: []byte("x")}, fileset.Change{Path: "same", Old: []byte("s"), New: []byte("s")})
			dir := checkout(t, git, changes)
			r := locked(t, dir)
			if where := map[bool]string{true: ".git/chartctl", false: ".chartctl"}[git]; r.StateDir() != filepath.Join(dir, where) {
				t.Errorf("state directory %q", r.StateDir())
			}
			tx := stage(t, r, changes)
			if got := tx.Changes(); len(got) != 4 || string(tx.Note()) != `{"key":"k"}` || len(tx.Warnings()) > 0 {
				t.Errorf("Changes %q, Note %s, Warnings %q", got, tx.Note(), tx.Warnings())
			}
			if _, err := r.Stage(changes, nil); !errors.Is(err, fileset.ErrPending) {
				t.Errorf("Stage twice: %v", err)
			}
			if err := tx.Abort(); err != nil {
				t.Fatal(err)
			}
			compare(t, "Abort", dir, want(changes, false))
			noLeft(t, r)
			if tx.Finish() == nil {
				t.Error("Finish after Abort")
			}
			stage(t, r, changes)
			tx, err := open(t, dir).Pending()
			if err != nil || tx == nil || string(tx.Note()) != `{"key":"k"}` || len(tx.Changes()) != 4 || string(tx.Changes()[0].New) != "tag: two\r\n" {
				t.Fatalf("Pending without the lock: %+v, %v", tx, err)
			}
			if err := tx.Finish(); err == nil {
				t.Error("Finish without the lock")
			}
			if tx, err = r.Pending(); err != nil || tx == nil {
				t.Fatal(tx, err)
			}
			if err := tx.Finish(); err != nil {
				t.Fatal(err)
			}
			compare(t, "Finish", dir, want(changes, true))
			noLeft(t, r)
			if tx, err := r.Pending(); tx != nil || err != nil {
				t.Errorf("Pending when all is done: %v, %v", tx, err)
			}
		})
	}
}

func TestNothingIsWrittenForReading(t *testing.T) {
	dir := checkout(t, false, three())
	r := open(t, dir)
	if tx, err := r.Pending(); tx != nil || err != nil {
		t.Errorf("Pending: %v, %v", tx, err)
	}
	if _, err := os.Lstat(r.StateDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("state directory: %v", err)
	}
}

// The state directory is the same for the checkout wherever it is opened, and
// a worktree and a directory below have their own.
func TestStateDir(t *testing.T) {
	dir := checkout(t, true, three())
	write(t, dir, ".git/worktrees/w/commondir", "../..\n")
	write(t, dir, "w/.git", "gitdir: ../.git/worktrees/w\n")
	if got := open(t, filepath.Join(dir, "w")).StateDir(); got != filepath.Join(dir, ".git/worktrees/w/chartctl") {
		t.Errorf("in a worktree: %q", got)
	}
	got := locked(t, filepath.Join(dir, "hub")).StateDir()
	if filepath.Dir(got) != filepath.Join(dir, ".git/chartctl") {
		t.Errorf("below: %q", got)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if a, b := open(t, dir).StateDir(), open(t, link).StateDir(); a != b {
		t.Errorf("%q and, through a link, %q", a, b)
	}
	if b, err := os.ReadFile(filepath.Join(locked(t, checkout(t, false, nil)).StateDir(), ".gitignore")); string(b) != "*\n" || err != nil {
		t.Errorf(".gitignore: %q, %v", b, err)
	}
}

func TestOldIsCompared(t *testing.T) {
	for _, edit := range []func(dir string) error{
		func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "hub/values.yaml"), []byte("mine"), 0o644)
		},
		func(dir string) error { return os.WriteFile(filepath.Join(dir, "chartd.lock"), nil, 0o644) },
		func(dir string) error { return os.Remove(filepath.Join(dir, "hub/requirements.yaml")) },
	} {
		dir := checkout(t, true, three())
		r := locked(t, dir)
		if err := edit(dir); err != nil {
			t.Fatal(err)
		}
		before := files(t, dir)
		if _, err := r.Stage(three(), nil); !errors.Is(err, fileset.ErrChanged) {
			t.Errorf("Stage: %v", err)
		}
		compare(t, "Stage", dir, before)
		noLeft(t, r)
	}
}

// Whatever a person does to a file between the commit point and the move,
// Finish leaves it and moves nothing; put back, it can be finished.
func TestEditedMeanwhile(t *testing.T) {
	for name, edit := range map[string]func(path string) error{
		"edited":    func(p string) error { return os.WriteFile(p, []byte("mine"), 0o644) },
		"removed":   os.Remove,
		"directory": func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o755)) },
		"link":      func(p string) error { return errors.Join(os.Remove(p), os.Symlink("values.yaml", p)) },
		"pipe":      func(p string) error { return errors.Join(os.Remove(p), mkfifo(p)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := checkout(t, true, three())
			r := locked(t, dir)
			tx := stage(t, r, three())
			path := filepath.Join(dir, "hub/requirements.yaml")
			if err := edit(path); err != nil {
				t.Fatal(err)
			}
			err := tx.Finish()
			if !errors.Is(err, fileset.ErrChanged) && !errors.Is(err, fileset.ErrUnsafe) || !strings.Contains(err.Error(), "hub/requirements.yaml") {
				t.Errorf("Finish: %v", err)
			}
			if b, err := os.ReadFile(filepath.Join(dir, "hub/values.yaml")); string(b) != "tag: one\r\n" || err != nil {
				t.Errorf("another file moved in: %q, %v", b, err)
			}
			if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, []byte("version: 1.0.0\n"), 0o644)); err != nil {
				t.Fatal(err)
			}
			if err := tx.Finish(); err != nil {
				t.Fatal(err)
			}
			compare(t, "Finish", dir, want(three(), true))
			noLeft(t, r)
		})
	}
}

// Once a file is in, only forward; "git clean" takes temporary files away, and
// the journal has what was in them.
func TestOnlyForward(t *testing.T) {
	dir := checkout(t, true, three())
	r := locked(t, dir)
	tx := stage(t, r, three())
	for path := range files(t, dir) {
		if strings.Contains(path, ".chartctl-") && strings.Contains(path, "values.yaml") {
			if err := os.Rename(filepath.Join(dir, path), filepath.Join(dir, "hub/values.yaml")); err != nil {
				t.Fatal(err)
			}
		} else if strings.Contains(path, ".chartctl-") {
			if err := os.Remove(filepath.Join(dir, path)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := tx.Abort(); !errors.Is(err, fileset.ErrPending) {
		t.Errorf("Abort: %v", err)
	}
	if err := tx.Finish(); err != nil {
		t.Fatal(err)
	}
	compare(t, "Finish", dir, want(three(), true))
	noLeft(t, r)
}

// The same content from another hand is no reason to go forward.
func TestAbortBesideEqualEdit(t *testing.T) {
	dir := checkout(t, true, three())
	tx := stage(t, locked(t, dir), three())
	write(t, dir, "hub/values.yaml", "tag: two\r\n")
	if err := tx.Abort(); err != nil {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	dir := checkout(t, true, three())
	r := open(t, dir)
	if err := r.Check(three()); err != nil {
		t.Errorf("files that can be replaced: %v", err)
	}
	other := three()
	other[0].Old = []byte("tag: zero\r\n")
	if err := r.Check(other); !errors.Is(err, fileset.ErrChanged) {
		t.Errorf("a file that was changed meanwhile: %v", err)
	}
	if err := os.Chmod(filepath.Join(dir, "hub/values.yaml"), 0o444); err != nil {
		t.Fatal(err)
	}
	if err := r.Check(three()); !errors.Is(err, fileset.ErrIO) || !strings.Contains(err.Error(), "chmod u+w hub/values.yaml") {
		t.Errorf("a read-only file: %v", err)
	}
	compare(t, "after Check", dir, want(three(), false))
	noLeft(t, r)
}
