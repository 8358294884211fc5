package dirstore_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/storage"
	"chartd.dev/chartd/storage/dirstore"
	"chartd.dev/chartd/storage/storagetest"
)

func open(t testing.TB, dir string) *dirstore.Store {
	t.Helper()
	s, err := dirstore.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func blobPath(dir string, d ref.Digest) string {
	return filepath.Join(dir, "sha256", d.Hex()[:2], d.Hex())
}

func TestStore(t *testing.T) {
	dirs := make(map[storage.Store]string)
	storagetest.Run(t, storagetest.Kind{
		Open: func(t *testing.T) storage.Store {
			dir := filepath.Join(t.TempDir(), "blobs")
			s := open(t, dir)
			dirs[s] = dir
			t.Cleanup(func() {
				if left, err := os.ReadDir(filepath.Join(dir, "tmp")); err != nil || len(left) > 0 {
					t.Errorf("temporary files left: %v, %v", left, err)
				}
			})
			return s
		},
		Damage: func(t *testing.T, s storage.Store, d ref.Digest, data []byte) {
			if err := os.WriteFile(blobPath(dirs[s], d), data, 0o600); err != nil {
				t.Fatal(err)
			}
		},
	})
}

func put(t *testing.T, s storage.Store, data string) ref.Digest {
	t.Helper()
	d := ref.DigestOf([]byte(data))
	if err := s.Put(t.Context(), d, bytes.NewReader([]byte(data))); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	d := put(t, open(t, dir), "blob")
	left := filepath.Join(dir, "tmp", "put-123")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(dir, "sha256", d.Hex()[:2], "README")
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("unfinished file after Open: %v", err)
	}
	if info, err := s.Stat(t.Context(), d); err != nil || info.Size != 4 {
		t.Errorf("Stat: %+v, %v", info, err)
	}
	n := 0
	if err := s.List(t.Context(), func(storage.Info) error { n++; return nil }); err != nil || n != 1 {
		t.Errorf("List: %d blobs, %v", n, err)
	}
}

// Not parallel: the umask is the process's.
func TestModes(t *testing.T) {
	for _, mask := range []int{0o000, 0o022, 0o277} {
		dir := filepath.Join(t.TempDir(), "data", "blobs")
		old := syscall.Umask(mask)
		d := put(t, open(t, dir), "blob")
		syscall.Umask(old)
		for path, want := range map[string]fs.FileMode{
			dir: 0o700, filepath.Join(dir, "tmp"): 0o700, filepath.Join(dir, "sha256"): 0o700,
			filepath.Dir(blobPath(dir, d)): 0o700, blobPath(dir, d): 0o600,
		} {
			if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != want {
				t.Errorf("umask %o: %s: %v, %v, want %v", mask, path, fi, err, want)
			}
		}
	}
}

// A store whose directory is gone or was replaced is broken, not empty.
func TestRootGone(t *testing.T) {
	for name, harm := range map[string]func(string) error{
		"removed":  os.RemoveAll,
		"moved":    func(dir string) error { return os.Rename(dir, dir+".old") },
		"replaced": func(dir string) error { return errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)) },
		"no blobs": func(dir string) error { return os.RemoveAll(filepath.Join(dir, "sha256")) },
		"other disk": func(dir string) error {
			// Keep the old one: its inode must not be given out again.
			return errors.Join(os.Rename(dir, dir+".old"), os.MkdirAll(filepath.Join(dir, "sha256"), 0o700),
				os.MkdirAll(filepath.Join(dir, "tmp"), 0o700))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "blobs")
			s := open(t, dir)
			d := put(t, s, "blob")
			if err := harm(dir); err != nil {
				t.Fatal(err)
			}
			_, getErr := s.Get(t.Context(), d, 0, -1)
			_, statErr := s.Stat(t.Context(), d)
			for verb, err := range map[string]error{
				"Get": getErr, "Stat": statErr, "Delete": s.Delete(t.Context(), d),
				"List": s.List(t.Context(), func(storage.Info) error { return nil }),
				"Put":  s.Put(t.Context(), d, bytes.NewReader([]byte("blob"))),
			} {
				if err == nil || errors.Is(err, storage.ErrNotExist) {
					t.Errorf("%s: %v", verb, err)
				}
			}
		})
	}
}

func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	d := put(t, s, "blob")
	path := blobPath(dir, d)
	for name, harm := range map[string]func() error{
		"directory": func() error { return os.Mkdir(path, 0o700) },
		"symlink":   func() error { return os.Symlink("/dev/zero", path) },
		"pipe":      func() error { return syscall.Mkfifo(path, 0o600) },
	} {
		if err := errors.Join(os.RemoveAll(path), harm()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(t.Context(), d, 0, -1); err == nil || errors.Is(err, storage.ErrNotExist) {
			t.Errorf("Get of a %s: %v", name, err)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	s := open(b, b.TempDir())
	data := make([]byte, 64<<10)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for i := 0; b.Loop(); i++ {
		data[0], data[1], data[2] = byte(i), byte(i>>8), byte(i>>16)
		if err := s.Put(b.Context(), ref.DigestOf(data), bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
}
