package memstore_test

import (
	"errors"
	"testing"

	"chartd.dev/chartd/lock/locktest"
	"chartd.dev/chartd/lock/memstore"
	"chartd.dev/chartd/lock/store"
)

func TestMemory(t *testing.T) {
	locktest.Run(t, locktest.Kind{
		Open: func(t testing.TB) store.Store {
			s := memstore.New()
			t.Cleanup(func() { _ = s.Close() })
			return s
		},
	})
}

// Each step of an update fails once. Only where the answer alone is lost is
// anything written.
func TestMemoryFaults(t *testing.T) {
	for n := 1; ; n++ {
		s, step, last := memstore.New(), 0, ""
		fault := errors.New("fault")
		s.SetFault(func(name string) error {
			if step++; step == n {
				last = name
				return fault
			}
			return nil
		})
		err := s.Update(t.Context(), func(tx store.Txn) error { return tx.Put("b", "k", nil) })
		if last == "" {
			if n != 4 || err != nil {
				t.Fatalf("Update took %d steps: %v", n-1, err)
			}
			return
		}
		if !errors.Is(err, fault) {
			t.Fatalf("fault at %s: %v", last, err)
		}
		s.SetFault(nil)
		if err := s.View(t.Context(), func(tx store.Tx) error {
			if written := tx.Revision() == 1; written != (last == "committed") {
				t.Errorf("fault at %s: written %t", last, written)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}
