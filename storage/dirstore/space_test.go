package dirstore_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"chartd.dev/chartd/internal/durable/durabletest"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/storage"
)

// TestNoSpace fills a small file system, with bytes and with inodes.
func TestNoSpace(t *testing.T) {
	for name, options := range map[string]string{"bytes": "size=400k", "inodes": "size=8m,nr_inodes=8"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			durabletest.Mount(t, dir, options)
			s := open(t, filepath.Join(dir, "blobs"))
			kept := put(t, s, "kept")
			ballast := filepath.Join(dir, "ballast")
			if err := os.WriteFile(ballast, make([]byte, 200<<10), 0o600); err != nil {
				t.Fatal(err)
			}
			big := make([]byte, 300<<10)
			for range 3 {
				err := s.Put(t.Context(), ref.DigestOf(big), bytes.NewReader(big))
				if !errors.Is(err, storage.ErrNoSpace) {
					t.Fatalf("Put on a full disk: %v", err)
				}
			}
			if left, err := os.ReadDir(filepath.Join(dir, "blobs", "tmp")); err != nil || len(left) > 0 {
				t.Errorf("temporary files left: %v, %v", left, err)
			}
			if _, err := s.Stat(t.Context(), kept); err != nil {
				t.Errorf("Stat on a full disk: %v", err)
			}
			if err := errors.Join(os.Remove(ballast), s.Delete(t.Context(), kept)); err != nil {
				t.Fatal(err)
			}
			put(t, s, string(big))
		})
	}
}
