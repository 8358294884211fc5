package boltstore_test

import (
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/boltstore"
	"chartd.dev/chartd/lock/locktest"
)

func open(t testing.TB, path string) *boltstore.Store {
	t.Helper()
	s, err := boltstore.Open(path, boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestStore(t *testing.T) {
	paths := make(map[lock.Store]string)
	locktest.Run(t, locktest.Kind{
		Open: func(t testing.TB) lock.Store {
			path := filepath.Join(t.TempDir(), "lock.db")
			s := open(t, path)
			paths[s] = path
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
				boltCheck(t, path)
			})
			return s
		},
		Reopen: func(t testing.TB, s lock.Store) lock.Store {
			if err := s.(*boltstore.Store).Verify(t.Context()); err != nil {
				t.Errorf("Verify: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			next := open(t, paths[s])
			paths[next] = paths[s]
			return next
		},
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
