package boltstore_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"chartd.dev/chartd/lock/boltstore"
	"chartd.dev/chartd/lock/store"
)

// Stats follow the log, across a flush and a crash.
func TestStats(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock.db")
	s := openWith(t, path, boltstore.Unflushed(boltstore.Options{}))
	want := func(name string, s *boltstore.Store, want boltstore.Stats) {
		t.Helper()
		if got := s.Stats(); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	want("new", s, boltstore.Stats{})
	putNumbered(t, s, 1, 3) // each in a page of its own
	want("in the log", s, boltstore.Stats{LogBytes: 3 * 4096, Unflushed: 3})
	if err := s.Snapshot(t.Context(), new(bytes.Buffer)); err != nil {
		t.Fatal(err)
	}
	want("flushed", s, boltstore.Stats{Flushes: 1})
	putNumbered(t, s, 4, 5)
	want("in the other file", s, boltstore.Stats{LogBytes: 2 * 4096, Unflushed: 2, Flushes: 1})

	killed := filepath.Join(t.TempDir(), "lock.db")
	readFiles(t, path).write(t, killed)
	next := openWith(t, killed, boltstore.Unflushed(boltstore.Options{}))
	want("after a crash", next, boltstore.Stats{LogBytes: 2 * 4096, Unflushed: 2})
	putNumbered(t, next, 6, 6)
	want("and an update", next, boltstore.Stats{LogBytes: 4096, Unflushed: 1, Flushes: 1})
}

// Flushes that find no space are counted, and what waits for them.
func TestStatsOfFailedFlushes(t *testing.T) {
	dir := smallDisk(t)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	s := openWith(t, filepath.Join(dir, "lock.db"), boltstore.Small(boltstore.Options{}))
	var err error
	for n := 0; err == nil && n < 1000; n++ {
		err = s.Update(t.Context(), func(tx store.Txn) error { return tx.Put("b", string(rune('a'+n)), make([]byte, 20_000)) })
	}
	if got := s.Stats(); !errors.Is(err, store.ErrNoSpace) || got.FlushesFailed == 0 || got.Unflushed == 0 || got.LogBytes == 0 {
		t.Errorf("on a full disk (%v): %+v", err, got)
	}
}
