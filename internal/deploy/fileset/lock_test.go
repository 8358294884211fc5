package fileset_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"chartd.dev/chartd/internal/deploy/fileset"
)

func TestDamagedJournal(t *testing.T) {
	dir := checkout(t, true, three())
	r := locked(t, dir)
	stage(t, r, three())
	path := filepath.Join(r.StateDir(), "journal.json")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before := files(t, dir)
	try := func(what string, data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := r.Pending()
		if !errors.Is(err, fileset.ErrJournal) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: Pending: %v", what, err)
		}
		if _, err := r.Stage(three(), nil); !errors.Is(err, fileset.ErrJournal) {
			t.Errorf("%s: Stage: %v", what, err)
		}
	}
	for n := range len(whole) {
		try(fmt.Sprint("cut at ", n), whole[:n])
		flipped := slices.Clone(whole)
		flipped[n] ^= 0x10
		try(fmt.Sprint("flipped at ", n), flipped)
	}
	try("with a tail", append(slices.Clone(whole), '1'))
	compare(t, "damaged", dir, before)
	if err := os.WriteFile(path, []byte(`{"version":2,"sum":"","body":{}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Pending(); !errors.Is(err, fileset.ErrJournal) || !strings.Contains(err.Error(), "newer chartctl") {
		t.Errorf("another version: %v", err)
	}
}

// A journal of version 1 opens for ever.
func TestFixture(t *testing.T) {
	dir := checkout(t, true, three())
	data, err := os.ReadFile("testdata/journal-v1.json")
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, ".git/chartctl/journal.json", string(data))
	tx, err := locked(t, dir).Pending()
	if err != nil || tx == nil {
		t.Fatalf("Pending: %v, %v", tx, err)
	}
	if err := tx.Finish(); err != nil {
		t.Fatal(err)
	}
	compare(t, "Finish", dir, want(three(), true))
}

func TestLock(t *testing.T) {
	dir := checkout(t, true, three())
	a, b := open(t, dir), open(t, dir)
	unlock, err := a.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Lock(t.Context()); !errors.Is(err, fileset.ErrBusy) {
		t.Errorf("Lock twice: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err = b.Lock(ctx)
	if !errors.Is(err, fileset.ErrBusy) || !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid())) || !strings.Contains(err.Error(), "started 20") {
		t.Errorf("Lock of another: %v", err)
	}
	got := make(chan error)
	go func() {
		unlock, err := b.Lock(t.Context())
		if err == nil {
			unlock()
		}
		got <- err
	}()
	unlock()
	if err := <-got; err != nil {
		t.Errorf("Lock after the other: %v", err)
	}
}

// Many at once in one checkout: each edit counts what it found up by one, and
// none is lost.
func TestNoLostEdit(t *testing.T) {
	dir := checkout(t, true, nil)
	write(t, dir, "a", "0")
	write(t, dir, "b", "0")
	const workers, rounds = 4, 10
	errs := make(chan error)
	for range workers {
		go func() {
			r, err := fileset.Open(dir)
			for range rounds {
				err = errors.Join(err, increment(t.Context(), r))
			}
			errs <- errors.Join(err, r.Close())
		}()
	}
	for range workers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	n := fmt.Sprint(workers * rounds)
	compare(t, "all", dir, map[string]string{"a": n, "b": n})
}

func increment(ctx context.Context, r *fileset.Root) error {
	unlock, err := r.Lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	var changes []fileset.Change
	for _, path := range []string{"a", "b"} {
		old, err := r.Read(path, 100)
		if err != nil {
			return err
		}
		var n int
		if _, err := fmt.Sscan(string(old), &n); err != nil {
			return err
		}
		changes = append(changes, fileset.Change{Path: path, Old: old, New: fmt.Append(nil, n+1)})
	}
	tx, err := r.Stage(changes, nil)
	if err != nil {
		return err
	}
	return tx.Finish()
}
