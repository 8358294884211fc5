//go:build linux

package fileset_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"chartd.dev/chartd/internal/deploy/fileset"
	"chartd.dev/chartd/internal/durable/durabletest"
)

// acl is a POSIX ACL as the kernel takes it: owner, user 12, group, mask and
// others, each with rw.
const acl = "\x02\x00\x00\x00" +
	"\x01\x00\x06\x00\xff\xff\xff\xff" + "\x02\x00\x06\x00\x0c\x00\x00\x00" + "\x04\x00\x04\x00\xff\xff\xff\xff" +
	"\x10\x00\x06\x00\xff\xff\xff\xff" + "\x20\x00\x04\x00\xff\xff\xff\xff"

// The new file has owner, mode, ACL and extended attributes of the old one,
// and none that its directory would give it.
func TestAttributesAreKept(t *testing.T) {
	dir := checkout(t, true, three())
	path := filepath.Join(dir, "hub/values.yaml")
	mode := fs.FileMode(0o604) | fs.ModeSetgid | fs.ModeSticky
	err := errors.Join(os.Chmod(path, mode), unix.Setxattr(path, "user.note", []byte("kept\x00as it is"), 0), unix.Setxattr(path, "user.empty", nil, 0))
	if err != nil {
		t.Skipf("no extended attributes here: %v", err)
	}
	root := os.Geteuid() == 0
	if root {
		if err := errors.Join(os.Chown(path, 12, 34), os.Chmod(path, mode), unix.Setxattr(path, "trusted.label", []byte("x"), 0)); err != nil {
			t.Fatal(err)
		}
	}
	other := filepath.Join(dir, "hub/requirements.yaml")
	if err := unix.Setxattr(other, "system.posix_acl_access", []byte(acl), 0); err != nil {
		t.Logf("no ACLs here: %v", err)
	}
	before, otherBefore := attributes(t, path), attributes(t, other)
	if err := unix.Setxattr(filepath.Join(dir, "hub"), "system.posix_acl_default", []byte(acl), 0); err != nil {
		t.Logf("no ACLs here: %v", err)
	}
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	if err := stage(t, locked(t, dir), three()).Finish(); err != nil {
		t.Fatal(err)
	}
	compare(t, "Finish", dir, want(three(), true))
	if after := attributes(t, path); after != before {
		t.Errorf("attributes %q, want %q", after, before)
	}
	if after := attributes(t, other); after != otherBefore {
		t.Errorf("attributes %q, want %q", after, otherBefore)
	}
}

func attributes(t *testing.T, path string) string {
	t.Helper()
	fi, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	st := fi.Sys().(*syscall.Stat_t)
	var b strings.Builder
	b.WriteString(strings.Join([]string{fi.Mode().String(), string(rune('0' + st.Uid)), string(rune('0' + st.Gid))}, " "))
	for _, name := range []string{"user.note", "user.empty", "trusted.label", "system.posix_acl_access"} {
		value := make([]byte, 1000)
		n, err := unix.Getxattr(path, name, value)
		if err == nil {
			b.WriteString(" " + name + "=" + string(value[:n]))
		}
	}
	return b.String()
}

// refused stages three files where the file system does not allow it.
func refused(t *testing.T, dir string) {
	t.Helper()
	r := open(t, dir)
	unlock, err := r.Lock(t.Context())
	if err == nil {
		defer unlock()
		_, err = r.Stage(three(), nil)
	}
	if class(err) != "io" {
		t.Errorf("Stage: %s", class(err))
	}
	compare(t, "refused", dir, want(three(), false))
	noLeft(t, r)
}

func TestReadOnly(t *testing.T) {
	mount := func(t *testing.T, path string) {
		if err := syscall.Mount(path, path, "", syscall.MS_BIND, ""); err != nil {
			t.Skipf("mounting needs root: %v", err)
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(path, 0); err != nil {
				t.Error(err)
			}
		})
	}
	for name, forbid := range map[string]func(t *testing.T, dir string){
		"mode": func(t *testing.T, dir string) {
			if err := os.Chmod(filepath.Join(dir, "hub/requirements.yaml"), 0o444); err != nil {
				t.Fatal(err)
			}
		},
		"immutable file":      func(t *testing.T, dir string) { chattr(t, "i", filepath.Join(dir, "hub/requirements.yaml")) },
		"append-only file":    func(t *testing.T, dir string) { chattr(t, "a", filepath.Join(dir, "hub/values.yaml")) },
		"immutable directory": func(t *testing.T, dir string) { chattr(t, "i", filepath.Join(dir, "hub")) },
		"append-only directory": func(t *testing.T, dir string) {
			chattr(t, "a", dir) // that of the new file
		},
		"file is a mount point": func(t *testing.T, dir string) { mount(t, filepath.Join(dir, "hub/values.yaml")) },
		"read-only file system": func(t *testing.T, dir string) {
			mount(t, dir)
			if err := syscall.Mount("", dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
		},
		"read-only directory by mount": func(t *testing.T, dir string) {
			hub := filepath.Join(dir, "hub")
			mount(t, hub)
			if err := syscall.Mount("", hub, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := checkout(t, true, three())
			forbid(t, dir)
			refused(t, dir)
		})
	}
}

func chattr(t *testing.T, flag, path string) {
	t.Helper()
	command(t, "chattr", "+"+flag, path)
	t.Cleanup(func() { command(t, "chattr", "-"+flag, path) })
}

// TestNoSpace fills a small file system, with bytes and with inodes, and after
// that there is room again.
func TestNoSpace(t *testing.T) {
	for name, options := range map[string]string{"bytes": "size=100k", "inodes": "size=8m,nr_inodes=12"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			durabletest.Mount(t, dir, options)
			repo := filepath.Join(dir, "repo")
			write(t, repo, ".git/HEAD", "ref: refs/heads/prod\n")
			for _, c := range three()[:2] {
				write(t, repo, c.Path, string(c.Old))
			}
			big := three()
			big[1].New = make([]byte, 60<<10)
			r := open(t, repo)
			unlock, err := r.Lock(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = r.Close() })
			if _, err := r.Stage(big, nil); class(err) != "io" {
				t.Fatalf("Stage: %s", class(err))
			}
			compare(t, "full", repo, want(three(), false))
			noLeft(t, r)
			unlock()
			if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT, "size=8m,nr_inodes=100"); err != nil {
				t.Fatal(err)
			}
			if unlock, err = r.Lock(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer unlock()
			if err := stage(t, r, three()).Finish(); err != nil {
				t.Fatal(err)
			}
			compare(t, "with room", repo, want(three(), true))
		})
	}
}

// TestFileSizeLimit stages under RLIMIT_FSIZE, which has a signal of its own.
func TestFileSizeLimit(t *testing.T) {
	if dir, ok := durabletest.Child(t); ok {
		limit := syscall.Rlimit{Cur: 700, Max: 700}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			t.Fatal(err)
		}
		r := locked(t, dir)
		_, err := r.Stage(three(), nil)
		durabletest.Say("%s", class(err))
		return
	}
	dir := checkout(t, true, three())
	r := durabletest.Again(t, dir)
	if len(r.Lines) != 1 || r.Lines[0] != "io" {
		t.Errorf("Stage: %q, exit %d\n%s%s", r.Lines, r.Exit, r.Stdout, r.Stderr)
	}
	compare(t, "limited", dir, want(three(), false))
	noLeft(t, open(t, dir))
}

// TestOtherUser works on a checkout as somebody with fewer rights than root.
func TestOtherUser(t *testing.T) {
	const nobody = 65534
	if dir, ok := durabletest.Child(t); ok {
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
			t.Fatal(err)
		}
		r := open(t, dir)
		unlock, err := r.Lock(t.Context())
		if err == nil {
			defer unlock()
			var tx *fileset.Tx
			if tx, err = r.Stage(three(), nil); err == nil {
				err = tx.Finish()
			}
		}
		durabletest.Say("%s", class(err))
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("becoming another user needs root")
	}
	for name, c := range map[string]struct {
		forbid func(dir string) error
		want   string
	}{
		"allowed":         {func(string) error { return nil }, "ok"},
		"file of another": {func(dir string) error { return os.Chown(dir+"/hub/values.yaml", 0, 0) }, "io"},
		"writable of another": {func(dir string) error {
			return errors.Join(os.Chown(dir+"/hub/values.yaml", 0, 0), os.Chmod(dir+"/hub/values.yaml", 0o666))
		}, "io"},
		"unreadable file":     {func(dir string) error { return os.Chmod(dir+"/hub/values.yaml", 0) }, "io"},
		"read-only file":      {func(dir string) error { return os.Chmod(dir+"/hub/values.yaml", 0o444) }, "io"},
		"read-only directory": {func(dir string) error { return os.Chmod(dir+"/hub", 0o555) }, "io"},
		"read-only root":      {func(dir string) error { return os.Chmod(dir, 0o555) }, "io"},
		"read-only .git":      {func(dir string) error { return os.Chmod(dir+"/.git", 0o555) }, "io"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := checkout(t, true, three())
			err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
				return errors.Join(err, os.Chown(path, nobody, nobody))
			})
			// The directories of a test are its user's alone.
			for up := filepath.Dir(dir); up != os.TempDir() && len(up) > 1; up = filepath.Dir(up) {
				err = errors.Join(err, os.Chmod(up, 0o755))
			}
			if err = errors.Join(err, c.forbid(dir)); err != nil {
				t.Fatal(err)
			}
			r := durabletest.Again(t, dir)
			if len(r.Lines) != 1 || r.Lines[0] != c.want {
				t.Errorf("%q, want %q\n%s%s", r.Lines, c.want, r.Stdout, r.Stderr)
			}
			compare(t, name, dir, want(three(), c.want == "ok"))
			noLeft(t, open(t, dir))
		})
	}
}
