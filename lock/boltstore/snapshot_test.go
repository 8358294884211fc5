package boltstore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"chartd.dev/chartd/lock/store"
)

// A copy holds its transaction in the first meta page, odd or even.
func TestVerifyASnapshot(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(filepath.Join(dir, "lock.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for n := range 4 {
		err := s.Update(t.Context(), func(tx store.Txn) error { return tx.Put("b", fmt.Sprint(n), []byte("v")) })
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, fmt.Sprint("copy", n))
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Snapshot(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		verifyCopy(t, path)
	}
}

func verifyCopy(t *testing.T, path string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Verify(ctx); err != nil {
		t.Errorf("verify %s: %v", path, err)
	}
}
