package boltstore_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"chartd.dev/chartd/lock"
)

var updateFixture = flag.Bool("update", false, "rewrite the fixture of the current format")

// TestFormat1 opens a database that the first chartd wrote. It must open for
// ever; -update is for a new format with a fixture of its own.
func TestFormat1(t *testing.T) {
	const fixture = "testdata/format1.db"
	if *updateFixture {
		if err := os.WriteFile(fixture, damageFile(t), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(fixture)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "lock.db")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, path)
	if last, err := whole(t, s); err != nil || !last {
		t.Errorf("fixture: %v, last key there: %t", err, last)
	}
	view(t, s, func(tx lock.Tx) error {
		if n, err := tx.Count("pins"); n != damageKeys || err != nil || tx.Revision() != 9 {
			t.Errorf("count %d, %v, revision %d", n, err, tx.Revision())
		}
		return nil
	})
	if err := s.Update(t.Context(), func(tx lock.Txn) error { return tx.Put("new", "key", nil) }); err != nil {
		t.Errorf("Update: %v", err)
	}
}

// TestSnapshot copies and verifies a database under updates: each copy is the
// state after some update, whole.
func TestSnapshot(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "lock.db"))
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	started := make(chan struct{})
	for w := range 4 {
		writers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				err := s.Update(ctx, func(tx lock.Txn) error {
					return errors.Join(tx.Put("a", fmt.Sprintf("%d/%d", w, n%50), make([]byte, 2000)),
						tx.Put("b", fmt.Sprintf("%d/%d", w, n%50), nil), tx.Delete("b", fmt.Sprintf("%d/%d", w, (n+25)%50)),
						tx.Delete("a", fmt.Sprintf("%d/%d", w, (n+25)%50)))
				})
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("Update: %v", err)
				}
				if n == 20 && w == 0 {
					close(started)
				}
			}
		})
	}
	<-started
	for i := range 10 {
		if err := s.Verify(t.Context()); err != nil {
			t.Errorf("Verify under updates: %v", err)
		}
		path := filepath.Join(t.TempDir(), "copy.db")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.Snapshot(t.Context(), f), f.Close()); err != nil {
			t.Fatalf("Snapshot: %v", err)
		}
		copied := open(t, path)
		view(t, copied, func(tx lock.Tx) error {
			a, err := tx.Count("a")
			b, errB := tx.Count("b")
			if a != b || a == 0 || tx.Revision() == 0 {
				t.Errorf("copy %d: %d keys in a, %d in b, revision %d", i, a, b, tx.Revision())
			}
			return errors.Join(err, errB)
		})
		if err := copied.Close(); err != nil {
			t.Error(err)
		}
	}
	stop()
	writers.Wait()
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Snapshot(done, errWriter{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Snapshot with an ended context: %v", err)
	}
	if err := s.Snapshot(t.Context(), errWriter{}); !errors.Is(err, errFull) {
		t.Errorf("Snapshot to a full disk: %v", err)
	}
}

var errFull = errors.New("full")

type errWriter struct{}

func (errWriter) Write([]byte) (int, error) { return 0, errFull }

// TestGoexit ends the goroutine of a closure, as t.Fatal does: the update
// fails and the store goes on.
func TestGoexit(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "lock.db"))
	err := s.Update(t.Context(), func(tx lock.Txn) error {
		_ = tx.Put("b", "lost", nil)
		runtime.Goexit()
		return nil
	})
	if !errors.Is(err, lock.ErrPanic) {
		t.Errorf("Update: %v", err)
	}
	var kept lock.Tx
	if err := s.Update(t.Context(), func(tx lock.Txn) error { kept = tx; return tx.Put("b", "k", nil) }); err != nil {
		t.Errorf("next Update: %v", err)
	}
	if _, err := kept.Get("b", "other"); err == nil || errors.Is(err, lock.ErrNoKey) {
		t.Errorf("Get after the transaction ended: %v", err)
	}
	view(t, s, func(tx lock.Tx) error {
		if n, err := tx.Count("b"); n != 1 || err != nil {
			t.Errorf("Count: %d, %v", n, err)
		}
		return nil
	})
}
