package boltstore_test

import (
	"errors"
	"path/filepath"
	"runtime"
	"testing"

	"go.etcd.io/bbolt"

	"chartd.dev/chartd/lock/boltstore"
	"chartd.dev/chartd/lock/locktest"
	"chartd.dev/chartd/lock/store"
)

func open(t testing.TB, path string) *boltstore.Store {
	t.Helper()
	return openWith(t, path, boltstore.Options{})
}

func openWith(t testing.TB, path string, o boltstore.Options) *boltstore.Store {
	t.Helper()
	s, err := boltstore.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestStore tests the store with a log that is flushed at the end, and with one
// that is flushed all the time.
func TestStore(t *testing.T) {
	t.Run("log", func(t *testing.T) { testStore(t, boltstore.Unflushed(boltstore.Options{})) })
	t.Run("flushes", func(t *testing.T) { testStore(t, boltstore.Small(boltstore.Options{})) })
}

func testStore(t *testing.T, o boltstore.Options) {
	paths := make(map[store.Store]string)
	locktest.Run(t, locktest.Kind{
		Open: func(t testing.TB) store.Store {
			path := filepath.Join(t.TempDir(), "lock.db")
			s := openWith(t, path, o)
			paths[s] = path
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
				boltCheck(t, path)
			})
			return s
		},
		Reopen: func(t testing.TB, s store.Store) store.Store {
			if err := s.(*boltstore.Store).Verify(t.Context()); err != nil {
				t.Errorf("Verify: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			next := openWith(t, paths[s], o)
			paths[next] = paths[s]
			return next
		},
	})
}

// TestGoexit ends the goroutine that a closure runs in; the store goes on.
func TestGoexit(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "lock.db"))
	for range 3 {
		putNumbered(t, s, 1, 1)
		err := s.Update(t.Context(), func(tx store.Txn) error {
			if err := tx.Put("b", "lost", nil); err != nil {
				return err
			}
			runtime.Goexit()
			return nil
		})
		if !errors.Is(err, store.ErrPanic) {
			t.Errorf("Update: %v", err)
		}
	}
	view(t, s, func(tx store.Tx) error {
		if _, err := tx.Get("b", "lost"); !errors.Is(err, store.ErrNoKey) || tx.Revision() != 3 {
			t.Errorf("Get: %v, revision %d", err, tx.Revision())
		}
		return nil
	})
}

// boltCheck runs bbolt's own check, the second opinion on what Open checks.
func boltCheck(t testing.TB, path string) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("bbolt check of %s: %v", path, err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
