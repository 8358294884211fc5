package dirstore_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"syscall"
	"testing"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/storage"
	"chartd.dev/chartd/storage/dirstore"
)

func read(t *testing.T, s *dirstore.Store, d ref.Digest) ([]byte, error) {
	t.Helper()
	f, err := s.File(t.Context(), d)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// F-14: a blob that is damaged in any way is never served, whether it was read
// and found right before or not, and whatever its size and date say.
func TestDamagedFileIsNeverServed(t *testing.T) {
	data := bytes.Repeat([]byte("chart"), 2000)
	flipped := bytes.Clone(data)
	flipped[5000] ^= 1
	for name, bad := range map[string][]byte{
		"flipped": flipped, "truncated": data[:9999], "longer": append(bytes.Clone(data), 0), "empty": nil, "swapped": []byte("another blob"),
	} {
		for _, known := range []bool{false, true} {
			for way, write := range map[string]func(path string) error{
				"in place": func(path string) error { return os.WriteFile(path, bad, 0o600) },
				"another file": func(path string) error {
					return errors.Join(os.WriteFile(path+".new", bad, 0o600), os.Rename(path+".new", path))
				},
			} {
				dir := t.TempDir()
				s := open(t, dir)
				d := put(t, s, string(data))
				path := blobPath(dir, d)
				fi, err := os.Stat(path)
				if err != nil {
					t.Fatal(err)
				}
				if known {
					s.Age() // as if it had been stored a while ago
					for range 2 {
						if got, err := read(t, s, d); err != nil || !bytes.Equal(got, data) {
							t.Fatalf("before it is %s: %d bytes, %v", name, len(got), err)
						}
					}
					if !s.Known(d) {
						t.Fatal("a file that was verified is not remembered")
					}
				}
				// Again until the clock of the file system has moved: a file
				// that has just been stored is not taken for known.
				for before := changed(t, path); changed(t, path) == before; {
					if err := errors.Join(write(path), os.Chtimes(path, fi.ModTime(), fi.ModTime())); err != nil {
						t.Fatal(err)
					}
				}
				for range 2 {
					if got, err := read(t, s, d); !errors.Is(err, storage.ErrMismatch) {
						t.Errorf("%s %s, known %t: served %d bytes, %v", name, way, known, len(got), err)
					}
				}
				put(t, s, string(data))
				if got, err := read(t, s, d); err != nil || !bytes.Equal(got, data) {
					t.Errorf("%s %s, known %t: after it was stored again: %d bytes, %v", name, way, known, len(got), err)
				}
			}
		}
	}
}

// changed is the time of the last change of a file, which nobody can set.
func changed(t *testing.T, path string) syscall.Timespec {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ctim
}

// F-13
func TestMissingFile(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.Age()
	d := put(t, s, "blob")
	if _, err := read(t, s, d); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(blobPath(dir, d)); err != nil {
		t.Fatal(err)
	}
	if _, err := read(t, s, d); !errors.Is(err, storage.ErrNotExist) {
		t.Errorf("File of a missing blob: %v", err)
	}
}

// A file that changed a moment ago could change again and look the same.
func TestFreshFileIsNotRemembered(t *testing.T) {
	s := open(t, t.TempDir())
	d := put(t, s, "blob")
	if _, err := read(t, s, d); err != nil || s.Known(d) {
		t.Errorf("known %t, %v", s.Known(d), err)
	}
}

func TestVerifiedFilesAreBounded(t *testing.T) {
	s := open(t, t.TempDir())
	s.Age()
	most := dirstore.MaxVerified
	for i := range 3 * most {
		s.Remember(ref.DigestOf([]byte{byte(i), byte(i >> 8), byte(i >> 16)}))
		if n := s.Remembered(); n > 2*most {
			t.Fatalf("%d files are remembered, at most %d should be", n, 2*most)
		}
	}
	d := put(t, s, "blob")
	for range 2 {
		if got, err := read(t, s, d); err != nil || string(got) != "blob" {
			t.Errorf("File: %q, %v", got, err)
		}
	}
}
