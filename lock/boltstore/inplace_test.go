package boltstore_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chartd.dev/chartd/lock/boltstore"
	"chartd.dev/chartd/lock/store"
)

// Nothing is acknowledged into a file that the next start will not find.
func TestFilesGoneWhileOpen(t *testing.T) {
	for what, gone := range map[string]func(path string) error{
		"removed": os.Remove,
		"moved":   func(path string) error { return os.Rename(path, path+".away") },
		"replaced": func(path string) error {
			b, err := os.ReadFile(path)
			return errors.Join(err, os.WriteFile(path+".copy", b, 0o600), os.Rename(path+".copy", path))
		},
		"cut off": func(path string) error { return os.Truncate(path, 4096) },
	} {
		for _, suffix := range suffixes {
			if what == "cut off" && suffix == "" {
				continue // bbolt notices, see TestTruncateWhileOpen
			}
			t.Run(what+suffix, func(t *testing.T) {
				told := make(chan error, 1)
				path := filepath.Join(t.TempDir(), "lock.db")
				s := openWith(t, path, boltstore.Unflushed(boltstore.Options{OnBroken: func(err error) { told <- err }}))
				putNumbered(t, s, 1, 2)
				if err := gone(path + suffix); err != nil {
					t.Fatal(err)
				}
				err := s.Update(t.Context(), func(tx store.Txn) error { return tx.Put("b", "k", nil) })
				if !errors.Is(err, store.ErrBroken) || !strings.Contains(err.Error(), path+suffix+" was removed") {
					t.Fatalf("Update: %v", err)
				}
				if err := <-told; !errors.Is(err, store.ErrBroken) {
					t.Errorf("OnBroken: %v", err)
				}
				if err := s.View(t.Context(), func(store.Tx) error { return nil }); !errors.Is(err, store.ErrBroken) {
					t.Errorf("View: %v", err)
				}
			})
		}
	}
}

// The log is not let go for a database file that is gone.
func TestFlushToARemovedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock.db")
	s := openWith(t, path, boltstore.Unflushed(boltstore.Options{}))
	putNumbered(t, s, 1, 2)
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	before := readFiles(t, path)
	if err := s.Close(); !errors.Is(err, store.ErrBroken) {
		t.Errorf("Close: %v", err)
	}
	if after := readFiles(t, path); string(after["-log0"]) != string(before["-log0"]) {
		t.Error("the log was changed")
	}
}
