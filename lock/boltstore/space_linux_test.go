package boltstore_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"chartd.dev/chartd/internal/durable/durabletest"
	"chartd.dev/chartd/lock/boltstore"
	"chartd.dev/chartd/lock/store"
)

// TestNoSpace fills a small file system. Updates fail with ErrNoSpace and
// leave nothing, reads go on, and updates work again once there is space:
// whether the log finds no room, or what is in it cannot be flushed.
func TestNoSpace(t *testing.T) {
	t.Run("log", func(t *testing.T) { noSpace(t, boltstore.Unflushed(boltstore.Options{})) })
	t.Run("flushes", func(t *testing.T) { noSpace(t, boltstore.Small(boltstore.Options{})) })
}

// TestNoSpaceTogether fills a small file system with many updates at once: just
// those are there that were acknowledged, though groups form on top of groups
// that then find no space.
func TestNoSpaceTogether(t *testing.T) {
	t.Run("log", func(t *testing.T) { noSpaceTogether(t, boltstore.Unflushed(boltstore.Options{})) })
	t.Run("flushes", func(t *testing.T) { noSpaceTogether(t, boltstore.Small(boltstore.Options{})) })
}

func noSpaceTogether(t *testing.T, o boltstore.Options) {
	path := filepath.Join(smallDisk(t), "lock.db")
	o.OnBroken = func(err error) { t.Errorf("broken: %v", err) }
	s := openWith(t, path, o)
	var mu sync.Mutex
	acked, full := make(map[string]bool), 0
	var wg sync.WaitGroup
	for worker := range 16 {
		wg.Go(func() {
			for n, refused := 0, 0; refused < 5 && n < 1000; n++ {
				key := fmt.Sprintf("%02d/%04d", worker, n)
				err := s.Update(t.Context(), func(tx store.Txn) error { return tx.Put("b", key, make([]byte, 5_000)) })
				mu.Lock()
				if err == nil {
					acked[key] = true
				} else if refused++; errors.Is(err, store.ErrNoSpace) {
					full++
				} else {
					t.Errorf("update: %v", err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if full == 0 || len(acked) == 0 {
		t.Fatalf("%d acknowledged, %d found no space", len(acked), full)
	}
	for range 2 {
		view(t, s, func(tx store.Tx) error {
			n := 0
			err := tx.Scan("b", store.ScanOptions{}, func(key string, _ []byte) error {
				if n++; !acked[key] {
					t.Errorf("%s is there and was refused", key)
				}
				return nil
			})
			if err != nil || n != len(acked) || tx.Revision() != uint64(n) {
				t.Errorf("%d keys, %d acknowledged, revision %d, %v", n, len(acked), tx.Revision(), err)
			}
			return nil
		})
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		s = openWith(t, path, o)
	}
}

// smallDisk returns a directory on a file system of a few megabytes.
func smallDisk(t *testing.T) string {
	dir := t.TempDir()
	durabletest.Mount(t, dir, "size=6m")
	return dir
}

func noSpace(t *testing.T, o boltstore.Options) {
	dir := smallDisk(t)
	path, ballast := filepath.Join(dir, "lock.db"), filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	o.OnBroken = func(err error) { t.Errorf("broken: %v", err) }
	s := openWith(t, path, o)
	put := func(n int) error {
		return s.Update(t.Context(), func(tx store.Txn) error {
			return tx.Put("b", fmt.Sprintf("%04d", n), make([]byte, 20_000))
		})
	}
	var err error
	n := 0
	for ; n < 1000; n++ {
		if err = put(n); err != nil {
			break
		}
	}
	if !errors.Is(err, store.ErrNoSpace) || n == 0 {
		t.Fatalf("update %d: %v", n, err)
	}
	for range 5 {
		if err := put(n); !errors.Is(err, store.ErrNoSpace) {
			t.Errorf("update on a full disk: %v", err)
		}
	}
	count := func(want int) {
		t.Helper()
		view(t, s, func(tx store.Tx) error {
			if got, err := tx.Count("b"); err != nil || got != uint64(want) || tx.Revision() != uint64(want) {
				t.Errorf("count %d, %v, revision %d, want %d", got, err, tx.Revision(), want)
			}
			return nil
		})
	}
	count(n)
	// What was acknowledged is there after a start on the full disk.
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	s = openWith(t, path, o)
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
	if _, err := boltstore.Open(path, boltstore.Options{Timeout: 1}); !errors.Is(err, store.ErrLocked) {
		t.Errorf("second Open: %v", err)
	}
	if _, err := boltstore.Open(path, boltstore.Options{Timeout: 1, ReadOnly: true}); !errors.Is(err, store.ErrLocked) {
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
		if err := s.Update(t.Context(), func(store.Txn) error { return nil }); err == nil {
			t.Error("Update: no error")
		}
	}
}
