package boltstore_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/boltstore"
)

// TestNoSpace fills a small file system. Updates fail with ErrNoSpace and
// leave nothing, reads go on, and updates work again once there is space.
func TestNoSpace(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("mounting needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	path, ballast := filepath.Join(dir, "lock.db"), filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 300<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := boltstore.Open(path, boltstore.Options{OnBroken: func(err error) { t.Errorf("broken: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	put := func(n int) error {
		return s.Update(t.Context(), func(tx lock.Txn) error {
			return tx.Put("b", fmt.Sprintf("%04d", n), make([]byte, 20_000))
		})
	}
	n := 0
	for ; n < 100; n++ {
		if err = put(n); err != nil {
			break
		}
	}
	if !errors.Is(err, lock.ErrNoSpace) {
		t.Fatalf("update %d: %v", n, err)
	}
	for range 5 {
		if err := put(n); !errors.Is(err, lock.ErrNoSpace) {
			t.Errorf("update on a full disk: %v", err)
		}
	}
	count := func(want int) {
		t.Helper()
		view(t, s, func(tx lock.Tx) error {
			if got, err := tx.Count("b"); err != nil || got != uint64(want) || tx.Revision() != uint64(want) {
				t.Errorf("count %d, %v, revision %d, want %d", got, err, tx.Revision(), want)
			}
			return nil
		})
	}
	count(n)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := put(n); err != nil {
		t.Errorf("update with space again: %v", err)
	}
	count(n + 1)
	if err := s.Verify(t.Context()); err != nil {
		t.Errorf("Verify: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	boltCheck(t, path)
}

func TestLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock.db")
	open(t, path)
	if _, err := boltstore.Open(path, boltstore.Options{Timeout: 1}); !errors.Is(err, lock.ErrLocked) {
		t.Errorf("second Open: %v", err)
	}
	if _, err := boltstore.Open(path, boltstore.Options{Timeout: 1, ReadOnly: true}); !errors.Is(err, lock.ErrLocked) {
		t.Errorf("second Open for reading: %v", err)
	}
}

func TestReadOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock.db")
	if _, err := boltstore.Open(path, boltstore.Options{ReadOnly: true}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open of nothing: %v", err)
	}
	if err := os.WriteFile(path, damageFile(t), 0o400); err != nil {
		t.Fatal(err)
	}
	for range 2 { // beside each other
		s, err := boltstore.Open(path, boltstore.Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := whole(t, s); err != nil {
			t.Error(err)
		}
		if err := s.Verify(t.Context()); err != nil {
			t.Errorf("Verify: %v", err)
		}
		if err := s.Update(t.Context(), func(lock.Txn) error { return nil }); err == nil {
			t.Error("Update: no error")
		}
	}
}
