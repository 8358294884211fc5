package locktest

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"chartd.dev/chartd/lock/store"
)

// counter has many goroutines add to one number: none is lost.
func counter(t *testing.T, k Kind) {
	s := k.Open(t)
	const workers, each = 16, 25
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				if err := s.Update(t.Context(), increment); err != nil {
					t.Errorf("Update: %v", err)
				}
			}
		})
	}
	wg.Wait()
	view(t, s, func(tx store.Tx) error {
		v, err := tx.Get("b", "counter")
		if err != nil || string(v) != strconv.Itoa(workers*each) || tx.Revision() != workers*each {
			t.Errorf("counter %q, %v, revision %d", v, err, tx.Revision())
		}
		return nil
	})
}

// increment also writes one key for each revision, which must be new.
func increment(tx store.Txn) error {
	n := 0
	v, err := tx.Get("b", "counter")
	if err == nil {
		n, err = strconv.Atoi(string(v))
	} else if errors.Is(err, store.ErrNoKey) {
		err = nil
	}
	if err != nil {
		return err
	}
	if uint64(n) != tx.Revision() {
		return fmt.Errorf("counter %d at revision %d", n, tx.Revision())
	}
	if _, err := tx.Get("b", fmt.Sprintf("at/%06d", n)); !errors.Is(err, store.ErrNoKey) {
		return fmt.Errorf("revision %d was used before: %v", n, err)
	}
	return errors.Join(tx.Put("b", "counter", []byte(strconv.Itoa(n+1))), tx.Put("b", fmt.Sprintf("at/%06d", n), nil))
}

// neighbours mixes updates that fail, panic and refuse with good ones: the
// bad ones leave no trace and do no harm.
func neighbours(t *testing.T, k Kind) {
	s := k.Open(t)
	own := errors.New("refused")
	var wg sync.WaitGroup
	for i := range 160 {
		wg.Go(func() {
			err := s.Update(t.Context(), func(tx store.Txn) error {
				if err := tx.Put("b", fmt.Sprintf("%03d", i), []byte(strconv.Itoa(i))); err != nil {
					return err
				}
				switch i % 4 {
				case 1:
					return own
				case 2:
					panic("closure panics")
				}
				return nil
			})
			want := map[int]error{1: own, 2: store.ErrPanic}[i%4]
			if !errors.Is(err, want) {
				t.Errorf("update %d: %v, want %v", i, err, want)
			}
		})
	}
	wg.Wait()
	view(t, s, func(tx store.Tx) error {
		n := 0
		err := tx.Scan("b", store.ScanOptions{}, func(key string, _ []byte) error {
			if i, err := strconv.Atoi(key); err != nil || i%4 == 1 || i%4 == 2 {
				t.Errorf("key %q was left", key)
			}
			n++
			return nil
		})
		if n != 80 || err != nil || tx.Revision() != 80 {
			t.Errorf("%d keys, %v, revision %d", n, err, tx.Revision())
		}
		return nil
	})
}

// states has views look on while one key moves: each sees one state.
func states(t *testing.T, k Kind) {
	s := k.Open(t)
	const moves = 300
	at := func(n int) string { return fmt.Sprintf("%04d", n) }
	over := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for last := uint64(0); ; {
				if err := s.View(t.Context(), func(tx store.Tx) error {
					if tx.Revision() < last {
						return fmt.Errorf("revision %d after %d", tx.Revision(), last)
					}
					last = tx.Revision()
					return moved(tx)
				}); err != nil {
					t.Errorf("View: %v", err)
					return
				}
				select {
				case <-over:
					return
				default:
				}
			}
		})
	}
	for n := 1; n <= moves; n++ {
		update(t, s, func(tx store.Txn) error {
			if err := moved(tx); err != nil {
				return err
			}
			return errors.Join(tx.Delete("moving", at(n-1)), tx.Put("moving", at(n), make([]byte, 300)), tx.Put("place", "n", []byte(at(n))))
		})
	}
	close(over)
	wg.Wait()
}

// moved checks that a key of its own is all there is, at the right place.
func moved(tx store.Tx) error {
	want := fmt.Sprintf("%04d", tx.Revision())
	if tx.Revision() == 0 {
		return nil
	}
	for _, reverse := range []bool{false, true} {
		var found []string
		if err := tx.Scan("moving", store.ScanOptions{Reverse: reverse}, func(key string, _ []byte) error {
			found = append(found, key)
			return nil
		}); err != nil || len(found) != 1 || found[0] != want {
			return fmt.Errorf("keys %q at revision %s: %w", found, want, err)
		}
	}
	if n, err := tx.Count("moving"); n != 1 || err != nil {
		return fmt.Errorf("count %d: %w", n, err)
	}
	if v, err := tx.Get("place", "n"); err != nil || string(v) != want {
		return fmt.Errorf("place %q at revision %s: %w", v, want, err)
	}
	return nil
}
