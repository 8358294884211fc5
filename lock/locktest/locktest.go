// Package locktest is the conformance suite of store.Store.
package locktest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"chartd.dev/chartd/lock/store"
)

// Kind is a kind of store.
type Kind struct {
	// Open returns an empty store; the test's cleanup closes it.
	Open func(t testing.TB) store.Store
	// Reopen closes a store and opens it again; nil if it keeps nothing.
	Reopen func(t testing.TB, s store.Store) store.Store
}

// Run tests a kind of store against the contract.
func Run(t *testing.T, k Kind) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Kind)
	}{
		{"Empty", empty}, {"PutGet", putGet}, {"Scan", scan}, {"Overlay", ownWrites}, {"Revision", revision},
		{"Failure", failure}, {"Limits", limits}, {"Snapshot", snapshot}, {"Context", cancelled},
		{"Close", closing}, {"Counter", counter}, {"Neighbours", neighbours}, {"States", states}, {"Model", model}, {"Group", group},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, k) })
	}
}

func update(t testing.TB, s store.Store, fn func(store.Txn) error) {
	t.Helper()
	if err := s.Update(t.Context(), fn); err != nil {
		t.Fatalf("Update: %v", err)
	}
}

func view(t testing.TB, s store.Store, fn func(store.Tx) error) {
	t.Helper()
	if err := s.View(t.Context(), fn); err != nil {
		t.Fatalf("View: %v", err)
	}
}

func put(t testing.TB, s store.Store, bucket string, keys ...string) {
	t.Helper()
	update(t, s, func(tx store.Txn) error {
		for _, key := range keys {
			if err := tx.Put(bucket, key, []byte("value of "+key)); err != nil {
				return err
			}
		}
		return nil
	})
}

// keys returns what a scan finds, joined by spaces.
func keys(tx store.Tx, bucket string, o store.ScanOptions) (string, error) {
	var found []string
	err := tx.Scan(bucket, o, func(key string, value []byte) error {
		if want := "value of " + key; string(value) != want {
			return fmt.Errorf("key %q has %q", key, value)
		}
		found = append(found, key)
		return nil
	})
	return strings.Join(found, " "), err
}

func empty(t *testing.T, k Kind) {
	s := k.Open(t)
	view(t, s, func(tx store.Tx) error {
		if _, err := tx.Get("bucket", "key"); !errors.Is(err, store.ErrNoKey) {
			t.Errorf("Get: %v", err)
		}
		if n, err := tx.Count("bucket"); n != 0 || err != nil {
			t.Errorf("Count: %d, %v", n, err)
		}
		if found, err := keys(tx, "bucket", store.ScanOptions{}); found != "" || err != nil {
			t.Errorf("Scan: %q, %v", found, err)
		}
		if tx.Revision() != 0 {
			t.Errorf("Revision: %d", tx.Revision())
		}
		return nil
	})
	update(t, s, func(tx store.Txn) error { return tx.Delete("bucket", "key") })
}

func putGet(t *testing.T, k Kind) {
	s := k.Open(t)
	big := []byte(strings.Repeat("x", 500_000))
	update(t, s, func(tx store.Txn) error {
		return errors.Join(tx.Put("b", "big", big), tx.Put("b", "empty", nil), tx.Put("b", "\x00\xff", []byte{0}),
			tx.Put("c", "big", []byte("another bucket")))
	})
	update(t, s, func(tx store.Txn) error { return tx.Put("b", "empty", []byte("no more")) })
	if k.Reopen != nil {
		s = k.Reopen(t, s)
	}
	view(t, s, func(tx store.Tx) error {
		for _, want := range []struct{ bucket, key, value string }{
			{"b", "big", string(big)}, {"b", "empty", "no more"}, {"b", "\x00\xff", "\x00"}, {"c", "big", "another bucket"},
		} {
			if v, err := tx.Get(want.bucket, want.key); err != nil || string(v) != want.value {
				t.Errorf("Get %s/%q: %d bytes, %v", want.bucket, want.key, len(v), err)
			}
		}
		if n, err := tx.Count("b"); n != 3 || err != nil {
			t.Errorf("Count: %d, %v", n, err)
		}
		if tx.Revision() != 2 {
			t.Errorf("Revision: %d", tx.Revision())
		}
		return nil
	})
	for _, bad := range [][2]string{{"", "key"}, {"bucket", ""}} {
		if err := s.Update(t.Context(), func(tx store.Txn) error { return tx.Put(bad[0], bad[1], nil) }); err == nil {
			t.Errorf("Put %q: no error", bad)
		}
	}
}

// scans are all shapes of a scan over the keys a, b/, b/1 … b/3, b\xff, c.
var scans = []struct {
	o    store.ScanOptions
	want string
}{
	{store.ScanOptions{}, "a b/ b/1 b/2 b/3 b\xff c"},
	{store.ScanOptions{Reverse: true}, "c b\xff b/3 b/2 b/1 b/ a"},
	{store.ScanOptions{Prefix: "b/"}, "b/ b/1 b/2 b/3"},
	{store.ScanOptions{Prefix: "b/", Reverse: true}, "b/3 b/2 b/1 b/"},
	{store.ScanOptions{Prefix: "b"}, "b/ b/1 b/2 b/3 b\xff"},
	{store.ScanOptions{Prefix: "b\xff", Reverse: true}, "b\xff"},
	{store.ScanOptions{Prefix: "\xff", Reverse: true}, ""},
	{store.ScanOptions{Prefix: "d"}, ""},
	{store.ScanOptions{From: "b/2"}, "b/2 b/3 b\xff c"},
	{store.ScanOptions{From: "b/2", Reverse: true}, "b/1 b/ a"},
	{store.ScanOptions{From: "b/15"}, "b/2 b/3 b\xff c"},
	{store.ScanOptions{From: "d"}, ""},
	{store.ScanOptions{From: "d", Reverse: true}, "c b\xff b/3 b/2 b/1 b/ a"},
	{store.ScanOptions{From: "a", Reverse: true}, ""},
	{store.ScanOptions{Prefix: "b/", From: "b/2"}, "b/2 b/3"},
	{store.ScanOptions{Prefix: "b/", From: "b/2", Reverse: true}, "b/1 b/"},
	{store.ScanOptions{Prefix: "b/", From: "a"}, "b/ b/1 b/2 b/3"},
	{store.ScanOptions{Prefix: "b/", From: "c"}, ""},
	{store.ScanOptions{Prefix: "b/", From: "a", Reverse: true}, ""},
	{store.ScanOptions{Prefix: "b/", From: "c", Reverse: true}, "b/3 b/2 b/1 b/"},
}

func scan(t *testing.T, k Kind) {
	s := k.Open(t)
	put(t, s, "z", "unseen")
	put(t, s, "k", "c", "b/3", "b/1", "a", "b/2", "b/", "b\xff")
	put(t, s, "0", "unseen")
	check := func(tx store.Tx) error {
		for _, test := range scans {
			if got, err := keys(tx, "k", test.o); got != test.want || err != nil {
				t.Errorf("Scan %+v: %q, %v, want %q", test.o, got, err, test.want)
			}
		}
		return nil
	}
	view(t, s, check)
	update(t, s, func(tx store.Txn) error { return check(tx) })
	view(t, s, func(tx store.Tx) error {
		n, own := 0, errors.New("enough")
		for _, end := range []error{own, store.ErrStop, fmt.Errorf("wrapped: %w", store.ErrStop)} {
			n = 0
			err := tx.Scan("k", store.ScanOptions{}, func(string, []byte) error {
				if n++; n == 2 {
					return end
				}
				return nil
			})
			if n != 2 || errors.Is(err, own) != (end == own) || (err != nil) != (end == own) {
				t.Errorf("Scan ended by %v: %v after %d", end, err, n)
			}
		}
		return nil
	})
}

// ownWrites checks that a closure sees its own writes merged into the state.
func ownWrites(t *testing.T, k Kind) {
	s := k.Open(t)
	put(t, s, "k", "a", "b/1", "b/3", "b/4", "d")
	update(t, s, func(tx store.Txn) error {
		err := errors.Join(tx.Delete("k", "b/4"), tx.Delete("k", "d"), tx.Delete("k", "nothing"),
			tx.Put("k", "a", []byte("value of a")), tx.Put("k", "x", nil), tx.Delete("k", "x"))
		for _, key := range []string{"b/", "b/2", "b\xff", "c"} {
			err = errors.Join(err, tx.Put("k", key, []byte("value of "+key)))
		}
		if err != nil {
			return err
		}
		for _, test := range scans {
			if got, err := keys(tx, "k", test.o); got != test.want || err != nil {
				t.Errorf("Scan %+v: %q, %v, want %q", test.o, got, err, test.want)
			}
		}
		if n, err := tx.Count("k"); n != 7 || err != nil {
			t.Errorf("Count: %d, %v", n, err)
		}
		if _, err := tx.Get("k", "d"); !errors.Is(err, store.ErrNoKey) {
			t.Errorf("Get of a deleted key: %v", err)
		}
		for _, stop := range []string{"a", "b/", "b/1", "c"} {
			last := ""
			if err := tx.Scan("k", store.ScanOptions{}, func(key string, _ []byte) error {
				if last = key; key == stop {
					return store.ErrStop
				}
				return nil
			}); err != nil || last != stop {
				t.Errorf("Scan stopped at %q: at %q, %v", stop, last, err)
			}
		}
		return nil
	})
	view(t, s, func(tx store.Tx) error {
		if got, err := keys(tx, "k", store.ScanOptions{}); got != scans[0].want || err != nil {
			t.Errorf("Scan after commit: %q, %v", got, err)
		}
		if n, err := tx.Count("k"); n != 7 || err != nil {
			t.Errorf("Count after commit: %d, %v", n, err)
		}
		return nil
	})
}
