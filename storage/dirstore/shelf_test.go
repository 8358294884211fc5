package dirstore_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/storage"
	"chartd.dev/chartd/storage/dirstore"
)

// openFiles counts the descriptors of the process that are files below dir.
func openFiles(t *testing.T, dir string) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	n := 0
	for _, e := range list { // the name of one that was deleted goes on after a space
		to, _ := os.Readlink("/proc/self/fd/" + e.Name())
		if ok, _ := filepath.Match(filepath.Join(dir, "sha256", "*", "*"), to); ok {
			n++
		}
	}
	return n
}

// A verified file is opened once for all its readers, each at an offset of
// its own; it is closed when it was deleted and all of them are done.
func TestVerifiedFileStaysOpen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.Age()
	d := put(t, s, "some bytes")
	var readers []*storage.File
	for range 5 {
		f, err := s.File(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		readers = append(readers, f)
	}
	if n := openFiles(t, dir); n != 1 {
		t.Errorf("%d descriptors for one file", n)
	}
	for i, f := range readers {
		f.Skip(int64(i))
		if got, err := io.ReadAll(f); err != nil || string(got) != "some bytes"[i:] {
			t.Errorf("reader %d: %q, %v", i, got, err)
		}
	}
	if err := s.Delete(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if _, err := s.File(t.Context(), d); err == nil {
		t.Error("a file that was deleted is there")
	}
	for i, f := range readers {
		if n := openFiles(t, dir); n != 1 {
			t.Errorf("%d descriptors with %d readers left", n, 5-i)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if n := openFiles(t, dir); n != 0 {
		t.Errorf("%d descriptors are left", n)
	}
}

func TestOpenFilesAreBounded(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.Age()
	blob := func(i int) string { return fmt.Sprintf("blob %d", i) }
	for i := range dirstore.MaxKept + 30 {
		put(t, s, blob(i))
	}
	often := ref.DigestOf([]byte(blob(0)))
	for i := range dirstore.MaxKept + 30 {
		for _, d := range []ref.Digest{often, ref.DigestOf([]byte(blob(i)))} {
			if _, err := read(t, s, d); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := openFiles(t, dir); n != dirstore.MaxKept {
		t.Errorf("%d files are open, want %d", n, dirstore.MaxKept)
	}
	if !s.Kept(often) || s.Kept(ref.DigestOf([]byte(blob(1)))) {
		t.Error("not those that were used last are open")
	}
}

// Readers, deletions and puts at once: who gets a file gets the right bytes,
// and in the end no descriptor is left over.
func TestOpenFilesAtOnce(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.Age()
	var digests []ref.Digest
	var all [][]byte
	for i := range dirstore.MaxKept + 5 {
		all = append(all, bytes.Repeat(fmt.Appendf(nil, "blob %d ", i), 100))
		digests = append(digests, put(t, s, string(all[i])))
	}
	var wait sync.WaitGroup
	for w := range 8 {
		wait.Go(func() {
			for i := range 400 {
				n := (i*7 + w*31) % len(all)
				if got, err := read(t, s, digests[n]); err == nil && !bytes.Equal(got, all[n]) {
					t.Errorf("blob %d: %d other bytes", n, len(got))
				}
				if n == 3 || n == 40 {
					_ = s.Delete(t.Context(), digests[n])
					_ = s.Put(t.Context(), digests[n], bytes.NewReader(all[n]))
				}
			}
		})
	}
	wait.Wait()
	for _, d := range digests {
		if err := s.Delete(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	if n := openFiles(t, dir); n != 0 {
		t.Errorf("%d descriptors are left", n)
	}
}
