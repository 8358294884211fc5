package fileset_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"chartd.dev/chartd/internal/deploy/fileset"
)

func mkfifo(path string) error { return syscall.Mkfifo(path, 0o644) }

// TestReadHostile reads what a hostile checkout may hold. None of it blocks.
func TestReadHostile(t *testing.T) {
	dir := checkout(t, true, nil)
	outside := t.TempDir()
	write(t, outside, "secret", "secret")
	write(t, dir, "file", "content")
	write(t, dir, "d/e/file", "below")
	write(t, dir, "-odd\nname", "odd")
	for name, target := range map[string]string{
		"in": "file", "d/up": "../file", "dirlink": "d/e", "twice": "in", "out": outside + "/secret", "up": "../../../../../../etc/passwd",
		"abs": filepath.Join(dir, "file"), "dangling": "nothing", "loop": "loop2", "loop2": "loop", "mem": "/proc/self/mem", "zero": "/dev/zero",
		"outdir": outside, "git": ".git/HEAD", "d/e/back": "../../d/../file",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := mkfifo(filepath.Join(dir, "pipe")); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	device := syscall.Mknod(filepath.Join(dir, "device"), syscall.S_IFCHR|0o666, 1<<8|5) // /dev/zero
	f, err := os.Create(filepath.Join(dir, "huge"))
	if err != nil || f.Truncate(1<<30) != nil || f.Close() != nil {
		t.Fatal(err)
	}
	r := open(t, dir)
	for name, want := range map[string]any{
		"file": "content", "in": "content", "d/up": "content", "dirlink/file": "below", "twice": "content", "d/e/back": "content", "-odd\nname": "odd",
		"out": fileset.ErrUnsafe, "up": fileset.ErrUnsafe, "abs": fileset.ErrUnsafe, "dangling": fileset.ErrUnsafe, "loop": fileset.ErrUnsafe,
		"mem": fileset.ErrUnsafe, "zero": fileset.ErrUnsafe, "outdir/secret": fileset.ErrUnsafe, "pipe": fileset.ErrUnsafe, "socket": fileset.ErrUnsafe,
		"device": fileset.ErrUnsafe, "d": fileset.ErrUnsafe, ".": fileset.ErrUnsafe, "": fileset.ErrUnsafe, "/etc/passwd": fileset.ErrUnsafe,
		"../x": fileset.ErrUnsafe, "d/../file": fileset.ErrUnsafe, "a\x00b": fileset.ErrUnsafe, ".git/HEAD": fileset.ErrUnsafe, ".GIT/HEAD": fileset.ErrUnsafe,
		"git": fileset.ErrUnsafe, ".chartctl/journal.json": fileset.ErrUnsafe, "missing": fs.ErrNotExist, "file/below": fs.ErrNotExist, "no/file": fs.ErrNotExist,
		"huge": fileset.ErrTooLarge, strings.Repeat("x", 300): fileset.ErrIO,
	} {
		if name == "device" && device != nil {
			t.Logf("no device: %v", device)
			continue
		}
		got, err := r.Read(name, 1<<20)
		switch want := want.(type) {
		case string:
			if string(got) != want || err != nil {
				t.Errorf("Read %q: %q, %v, want %q", name, got, err, want)
			}
		case error:
			if !errors.Is(err, want) || want != fs.ErrNotExist && !strings.Contains(err.Error(), fmt.Sprintf("%q", name)) && name != "loop" {
				t.Errorf("Read %q: %q, %v, want %v", name, got, err, want)
			}
		}
	}
}

// A link inside the checkout stays, its target changes; every other path is
// refused with nothing written.
func TestStageThroughLinks(t *testing.T) {
	outside := t.TempDir()
	write(t, outside, "bashrc", "old")
	dir := checkout(t, true, nil)
	write(t, dir, "real/values.yaml", "old")
	for name, target := range map[string]string{"values.yaml": "real/values.yaml", "dir": "real", "out.yaml": outside + "/bashrc", "new.yaml": outside + "/fresh"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	r := locked(t, dir)
	for _, changes := range [][]fileset.Change{
		{{Path: "out.yaml", Old: []byte("old"), New: []byte("new")}},
		{{Path: "new.yaml", New: []byte("new")}},
		{{Path: ".git/config", New: []byte("new")}},
		{{Path: "../x", New: []byte("new")}},
		{{Path: "values.yaml", Old: []byte("old"), New: []byte("1")}, {Path: "dir/values.yaml", Old: []byte("old"), New: []byte("2")}},
	} {
		if _, err := r.Stage(changes, nil); !errors.Is(err, fileset.ErrUnsafe) {
			t.Errorf("Stage %q: %v", changes[0].Path, err)
		}
		noLeft(t, r)
	}
	if err := stage(t, r, []fileset.Change{{Path: "values.yaml", Old: []byte("old"), New: []byte("new")}}).Finish(); err != nil {
		t.Fatal(err)
	}
	link, err := os.Readlink(filepath.Join(dir, "values.yaml"))
	if got := files(t, filepath.Join(dir, "real")); link != "real/values.yaml" || err != nil || got["values.yaml"] != "new" || len(got) != 1 {
		t.Errorf("link %q, %v, files %q", link, err, got)
	}
	if got := files(t, outside); got["bashrc"] != "old" || len(got) != 1 {
		t.Errorf("outside: %q", got)
	}
}

// A parent that becomes a link during the run is refused, wherever it leads.
func TestParentSwapped(t *testing.T) {
	outside := t.TempDir()
	for name, target := range map[string]string{"outside": outside, "inside": "other"} {
		t.Run(name, func(t *testing.T) {
			dir := checkout(t, true, three())
			write(t, dir, "other/values.yaml", "tag: one\r\n")
			write(t, dir, "other/requirements.yaml", "version: 1.0.0\n")
			write(t, outside, "values.yaml", "tag: one\r\n")
			tx := stage(t, locked(t, dir), three())
			hub := filepath.Join(dir, "hub")
			if err := errors.Join(os.Rename(hub, hub+".away"), os.Symlink(target, hub)); err != nil {
				t.Fatal(err)
			}
			if err := tx.Finish(); !errors.Is(err, fileset.ErrUnsafe) {
				t.Errorf("Finish: %v", err)
			}
			for _, path := range []string{filepath.Join(outside, "values.yaml"), filepath.Join(dir, "other/values.yaml")} {
				if b, err := os.ReadFile(path); string(b) != "tag: one\r\n" || err != nil {
					t.Errorf("%q: %q, %v", path, b, err)
				}
			}
			if err := errors.Join(os.Remove(hub), os.Rename(hub+".away", hub)); err != nil {
				t.Fatal(err)
			}
			if err := tx.Finish(); err != nil {
				t.Errorf("Finish, put back: %v", err)
			}
		})
	}
}

// Names of ours that lead elsewhere are refused, and what they lead to stays.
func TestStateTraps(t *testing.T) {
	for name, trap := range map[string]func(state, victim string) error{
		"directory link": func(state, victim string) error { return os.Symlink(filepath.Dir(victim), state) },
		"directory file": func(state, _ string) error { return os.WriteFile(state, nil, 0o644) },
		"lock link": func(state, victim string) error {
			return errors.Join(os.Mkdir(state, 0o755), os.Symlink(victim, filepath.Join(state, "lock")))
		},
		"lock hard link": func(state, victim string) error {
			return errors.Join(os.Mkdir(state, 0o755), os.Link(victim, filepath.Join(state, "lock")))
		},
		"lock pipe": func(state, _ string) error {
			return errors.Join(os.Mkdir(state, 0o755), mkfifo(filepath.Join(state, "lock")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := checkout(t, false, three())
			victim := filepath.Join(t.TempDir(), "bashrc")
			if err := os.WriteFile(victim, []byte("alias"), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := trap(filepath.Join(dir, ".chartctl"), victim); err != nil {
				t.Fatal(err)
			}
			if _, err := open(t, dir).Lock(t.Context()); !errors.Is(err, fileset.ErrUnsafe) && !errors.Is(err, fileset.ErrIO) {
				t.Errorf("Lock: %v", err)
			}
			if b, err := os.ReadFile(victim); string(b) != "alias" || err != nil {
				t.Errorf("the victim: %q, %v", b, err)
			}
			if left, _ := os.ReadDir(filepath.Dir(victim)); len(left) != 1 {
				t.Errorf("beside the victim: %v", left)
			}
		})
	}
	t.Run("journal", func(t *testing.T) {
		dir := checkout(t, true, three())
		r := locked(t, dir)
		victim := filepath.Join(t.TempDir(), "bashrc")
		write(t, filepath.Dir(victim), "bashrc", "alias")
		if err := os.Symlink(victim, filepath.Join(r.StateDir(), "journal.new")); err != nil {
			t.Fatal(err)
		}
		if err := stage(t, r, three()).Finish(); err != nil {
			t.Error(err)
		}
		if err := os.Symlink(victim, filepath.Join(r.StateDir(), "journal.json")); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Pending(); !errors.Is(err, fileset.ErrJournal) {
			t.Errorf("Pending: %v", err)
		}
		if b, err := os.ReadFile(victim); string(b) != "alias" || err != nil {
			t.Errorf("the victim: %q, %v", b, err)
		}
	})
}

func TestHardLink(t *testing.T) {
	dir := checkout(t, true, three())
	other := filepath.Join(dir, "other.yaml")
	if err := os.Link(filepath.Join(dir, "hub/values.yaml"), other); err != nil {
		t.Fatal(err)
	}
	tx := stage(t, locked(t, dir), three())
	if w := tx.Warnings(); len(w) != 1 || !strings.Contains(w[0], `"hub/values.yaml" has 2 names`) {
		t.Errorf("Warnings: %q", w)
	}
	if err := tx.Finish(); err != nil {
		t.Fatal(err)
	}
	if got := files(t, dir); got["other.yaml"] != "tag: one\r\n" || got["hub/values.yaml"] != "tag: two\r\n" {
		t.Errorf("files %q", got)
	}
}

func TestFiles(t *testing.T) {
	dir := checkout(t, true, three())
	deep := strings.Repeat("d/", 80)
	write(t, dir, deep+"file", "x")
	write(t, dir, "-x\ny", "x")
	if err := errors.Join(os.Symlink("/etc", filepath.Join(dir, "link")), mkfifo(filepath.Join(dir, "pipe"))); err != nil {
		t.Fatal(err)
	}
	r := locked(t, dir)
	got, left, err := r.Files(100)
	if want := []string{"-x\ny", "hub/requirements.yaml", "hub/values.yaml"}; !slices.Equal(got, want) || err != nil {
		t.Errorf("Files: %q, %v, want %q", got, err, want)
	}
	if len(left) != 3 || !strings.Contains(left[0], "symbolic link") || !strings.Contains(left[1], "named pipe") || !strings.Contains(left[2], "deeper") {
		t.Errorf("left out: %q", left)
	}
	if got, left, err := r.Files(2); len(got) != 2 || len(left) == 0 || err != nil {
		t.Errorf("Files, two at most: %q, %q, %v", got, left, err)
	}
}

// command runs a tool that a test needs, or skips where it is not there or
// may not do it.
func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Skipf("%s %q: %v: %s", name, args, err, out)
	}
}
