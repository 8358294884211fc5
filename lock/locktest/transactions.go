package locktest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"chartd.dev/chartd/lock/store"
)

func revision(t *testing.T, k Kind) {
	s := k.Open(t)
	at := func(want uint64) {
		t.Helper()
		view(t, s, func(tx store.Tx) error {
			if tx.Revision() != want {
				t.Errorf("Revision: %d, want %d", tx.Revision(), want)
			}
			return nil
		})
	}
	put(t, s, "b", "one", "two", "three")
	at(1)
	update(t, s, func(tx store.Txn) error {
		if tx.Revision() != 1 {
			t.Errorf("Revision in Update: %d", tx.Revision())
		}
		_, err := tx.Get("b", "one")
		return err
	})
	at(1) // it wrote nothing
	update(t, s, func(tx store.Txn) error { return tx.Delete("b", "one") })
	at(2)
	_ = s.Update(t.Context(), func(tx store.Txn) error { return errors.Join(tx.Put("b", "x", nil), errors.New("no")) })
	at(2)
	if k.Reopen != nil {
		s = k.Reopen(t, s)
		at(2)
	}
}

func failure(t *testing.T, k Kind) {
	s := k.Open(t)
	put(t, s, "b", "kept")
	own := errors.New("refused")
	err := s.Update(t.Context(), func(tx store.Txn) error {
		return errors.Join(tx.Put("b", "lost", nil), tx.Delete("b", "kept"), tx.Put("new", "lost", nil), own)
	})
	if !errors.Is(err, own) {
		t.Errorf("Update: %v", err)
	}
	for _, value := range []any{"a string", errors.New("an error"), nil} {
		err := s.Update(t.Context(), func(tx store.Txn) error {
			_ = tx.Put("b", "lost", nil)
			panic(value)
		})
		if !errors.Is(err, store.ErrPanic) {
			t.Errorf("Update that panics with %v: %v", value, err)
		}
	}
	if err := s.View(t.Context(), func(store.Tx) error { return own }); !errors.Is(err, own) {
		t.Errorf("View: %v", err)
	}
	put(t, s, "b", "later") // the lock was released
	view(t, s, func(tx store.Tx) error {
		if got, err := keys(tx, "b", store.ScanOptions{}); got != "kept later" || err != nil {
			t.Errorf("Scan: %q, %v", got, err)
		}
		if n, err := tx.Count("new"); n != 0 || err != nil {
			t.Errorf("Count: %d, %v", n, err)
		}
		return nil
	})
}

func limits(t *testing.T, k Kind) {
	s := k.Open(t)
	many := func(n int) func(store.Txn) error {
		return func(tx store.Txn) error {
			for i := range n {
				// A refused write fails the update even if nobody looks.
				_ = tx.Put("b", fmt.Sprintf("%03d", i), []byte("v"))
				_ = tx.Put("b", fmt.Sprintf("%03d", i), []byte("the same key counts once"))
			}
			return nil
		}
	}
	bytes := func(n int) func(store.Txn) error {
		return func(tx store.Txn) error { return tx.Put("b", "key", make([]byte, n-len("key"))) }
	}
	for _, test := range []struct {
		name string
		fn   func(store.Txn) error
		ok   bool
	}{
		{"most keys", many(store.MaxWrites), true}, {"one key more", many(store.MaxWrites + 1), false},
		{"most bytes", bytes(store.MaxBytes), true}, {"one byte more", bytes(store.MaxBytes + 1), false},
		{"longest key", func(tx store.Txn) error { return tx.Put("b", strings.Repeat("k", store.MaxKey), nil) }, true},
		{"longer key", func(tx store.Txn) error { return tx.Put("b", strings.Repeat("k", store.MaxKey+1), nil) }, false},
	} {
		err := s.Update(t.Context(), test.fn)
		if test.ok && err != nil || !test.ok && !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	view(t, s, func(tx store.Tx) error {
		if n, err := tx.Count("b"); n != store.MaxWrites+2 || err != nil || tx.Revision() != 3 {
			t.Errorf("Count: %d, %v, revision %d", n, err, tx.Revision())
		}
		return nil
	})
}

// snapshot checks that a View sees one state while updates go on.
func snapshot(t *testing.T, k Kind) {
	s := k.Open(t)
	put(t, s, "b", "a")
	begun, written := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(written)
		<-begun
		put(t, s, "b", "b", "c")
	}()
	view(t, s, func(tx store.Tx) error {
		close(begun)
		<-written
		if got, err := keys(tx, "b", store.ScanOptions{}); got != "a" || err != nil || tx.Revision() != 1 {
			t.Errorf("Scan: %q, %v, revision %d", got, err, tx.Revision())
		}
		return nil
	})
}

func cancelled(t *testing.T, k Kind) {
	s := k.Open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.Update(ctx, func(tx store.Txn) error { return tx.Put("b", "k", nil) })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Update: %v", err)
	}
	if err := s.View(ctx, func(store.Tx) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("View: %v", err)
	}
	view(t, s, func(tx store.Tx) error {
		if tx.Revision() != 0 {
			t.Errorf("Revision: %d", tx.Revision())
		}
		return nil
	})
}

// closing checks that Close waits for a running View and ends the store.
func closing(t *testing.T, k Kind) {
	s := k.Open(t)
	put(t, s, "b", "k")
	begun, end := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	var read error
	wg.Go(func() {
		_ = s.View(t.Context(), func(tx store.Tx) error {
			close(begun)
			<-end
			_, read = tx.Get("b", "k")
			return nil
		})
	})
	<-begun
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	close(end)
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	wg.Wait()
	if read != nil {
		t.Errorf("Get while closing: %v", read)
	}
	if err := s.View(t.Context(), func(store.Tx) error { return nil }); err == nil {
		t.Error("View after Close: no error")
	}
	if err := s.Update(t.Context(), func(store.Txn) error { return nil }); err == nil {
		t.Error("Update after Close: no error")
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
}
