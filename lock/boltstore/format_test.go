package boltstore_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"chartd.dev/chartd/lock/boltstore"
	"chartd.dev/chartd/lock/store"
)

var makeFormat = flag.Bool("update", false, "write the files of the newest format to testdata again")

// TestFormat1 opens a database of format 1, which becomes one of format 2 with
// its first update and no earlier.
func TestFormat1(t *testing.T) {
	old, err := os.ReadFile("testdata/format1.db")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "lock.db")
	files{"": old}.write(t, path)
	for _, o := range []boltstore.Options{{ReadOnly: true}, {}} {
		s := openWith(t, path, o)
		if err := errors.Join(s.Verify(t.Context()), s.Close()); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
		if now := readFiles(t, path); len(now) != 1 || !bytes.Equal(now[""], old) {
			t.Errorf("%+v: it was changed", o)
		}
	}
	s := open(t, path)
	var before uint64
	view(t, s, func(tx store.Tx) error {
		before = tx.Revision()
		return nil
	})
	if before == 0 {
		t.Error("it is empty")
	}
	for range 2 {
		if err := s.Update(t.Context(), func(tx store.Txn) error { return tx.Put("b", "new", nil) }); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		s = open(t, path)
	}
	view(t, s, func(tx store.Tx) error {
		if tx.Revision() != before+2 {
			t.Errorf("revision %d after %d and two updates", tx.Revision(), before)
		}
		return nil
	})
	if err := errors.Join(s.Verify(t.Context()), s.Close()); err != nil {
		t.Error(err)
	}
	boltCheck(t, path)
	if got := boltstore.FormatOf(t, path); got != "2" {
		t.Errorf("format %q", got)
	}
}

// TestFormat2 opens a database of format 2 that was not closed.
func TestFormat2(t *testing.T) {
	const kept = "testdata/format2.db"
	if *makeFormat {
		left := crashed(t)
		left[""] = left[""][:boltstore.Length(t, left[""])]
		left.write(t, kept)
	}
	path := filepath.Join(t.TempDir(), "lock.db")
	readFiles(t, kept).write(t, path)
	s := open(t, path)
	if err := numbered(s, t, logUpdates); err != nil {
		t.Error(err)
	}
	putNumbered(t, s, logUpdates+1, logUpdates+1)
	if err := errors.Join(numbered(s, t, logUpdates+1), s.Verify(t.Context()), s.Close()); err != nil {
		t.Error(err)
	}
	boltCheck(t, path)
}
