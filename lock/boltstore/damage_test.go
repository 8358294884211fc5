package boltstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"chartd.dev/chartd/lock/boltstore"
	"chartd.dev/chartd/lock/store"
)

const damageKeys = 400

func damageValue(n int) []byte { return bytes.Repeat(fmt.Appendf(nil, "%d;", n), 60) }

// damageFile returns a database of several levels with free pages, in which
// the last update wrote only the key "last".
func damageFile(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lock.db")
	s := open(t, path)
	for first := 0; first < damageKeys; first += 50 {
		if err := s.Update(t.Context(), func(tx store.Txn) error {
			for n := first; n < first+50; n++ {
				if err := tx.Put("pins", fmt.Sprintf("pin/%04d", n), damageValue(n)); err != nil {
					return err
				}
			}
			return tx.Put("few", fmt.Sprintf("%04d", first), []byte("small"))
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Update(t.Context(), func(tx store.Txn) error { return tx.Put("few", "last", nil) }); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var copied bytes.Buffer
	s = open(t, path)
	if err := errors.Join(s.Snapshot(t.Context(), &copied), s.Close()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data[:copied.Len()] // without the room to grow
}

// whole reports whether every key is there with its value.
func whole(t *testing.T, s store.Store) (lastThere bool, err error) {
	err = s.View(t.Context(), func(tx store.Tx) error {
		for n := range damageKeys {
			v, err := tx.Get("pins", fmt.Sprintf("pin/%04d", n))
			if err != nil || !bytes.Equal(v, damageValue(n)) {
				return fmt.Errorf("key %d: %d bytes: %w", n, len(v), err)
			}
		}
		if err := tx.Scan("few", store.ScanOptions{}, func(string, []byte) error { return nil }); err != nil {
			return err
		}
		_, err := tx.Get("few", "last")
		lastThere = err == nil
		if errors.Is(err, store.ErrNoKey) {
			return nil
		}
		return err
	})
	return lastThere, err
}

// openDamaged opens a file that is refused or, if the damage hit nothing that
// matters, is whole. An older transaction comes with a warning.
func openDamaged(t *testing.T, name string, data []byte) (refused error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lock.db")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	warning := ""
	s, err := boltstore.Open(path, boltstore.Options{OnWarning: func(w string) { warning = w }})
	if err != nil {
		if after, readErr := os.ReadFile(path); readErr != nil || !bytes.Equal(after, data) {
			t.Errorf("%s: the refused file was changed: %v", name, readErr)
		}
		if !errors.Is(err, store.ErrBroken) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "chartd restore") {
			t.Errorf("%s: unclear error: %v", name, err)
		}
		return err
	}
	defer s.Close()
	last, err := whole(t, s)
	if err != nil {
		t.Errorf("%s: opened, but %v", name, err)
	}
	if !last && warning == "" {
		t.Errorf("%s: the last update is lost without a warning", name)
	}
	if err := s.Verify(t.Context()); err != nil && warning == "" {
		t.Errorf("%s: opened, but Verify: %v", name, err)
	}
	return nil
}

func TestBitFlips(t *testing.T) {
	data := damageFile(t)
	flips := 6000
	if testing.Short() {
		flips = 500
	}
	random := rand.New(rand.NewPCG(3, 5))
	refused, anywhere := 0, 0
	for i := range flips {
		at, bit := random.IntN(len(data)), random.IntN(8)
		meta := i < 8*600 && flips > 500
		if meta {
			at, bit = i/8%300+i/8/300*os.Getpagesize(), i%8 // every bit of the meta pages
		}
		bad := bytes.Clone(data)
		bad[at] ^= 1 << bit
		if openDamaged(t, fmt.Sprintf("byte %d bit %d", at, bit), bad) != nil {
			refused++
		}
		if !meta {
			anywhere++
		}
	}
	// A damaged meta page is made good by the other one, and half of the file
	// is free space: of the flips anywhere, a good part must be refused.
	if refused < anywhere/10 {
		t.Errorf("%d of %d flips anywhere refused: is anything checked", refused, anywhere)
	}
	t.Logf("%d refused, of %d flips in all and %d anywhere", refused, flips, anywhere)
}

func TestTornPages(t *testing.T) {
	data := damageFile(t)
	page := os.Getpagesize()
	for at := 0; at < len(data); at += page {
		zeroed, torn := bytes.Clone(data), bytes.Clone(data)
		clear(zeroed[at : at+page])
		clear(torn[at+512 : at+page])
		openDamaged(t, fmt.Sprintf("page %d zeroed", at/page), zeroed)
		openDamaged(t, fmt.Sprintf("page %d torn", at/page), torn)
		if cut := data[:at]; openDamaged(t, fmt.Sprintf("cut to %d", at), cut) == nil {
			t.Errorf("cut to %d bytes: opened", at)
		}
		if other := (at + 5*page) % len(data); other > page && at > page && at != other {
			swapped := bytes.Clone(data)
			copy(swapped[at:at+page], data[other:other+page])
			openDamaged(t, fmt.Sprintf("page %d in place of %d", other/page, at/page), swapped)
		}
	}
	for name, bad := range map[string][]byte{
		"empty": nil, "one byte": {0}, "text": bytes.Repeat([]byte("not a database\n"), 1000), "zeros": make([]byte, 1<<16),
	} {
		if openDamaged(t, name, bad) == nil {
			t.Errorf("%s: opened", name)
		}
	}
	both := bytes.Clone(data)
	both[40] ^= 1
	both[page+40] ^= 1
	if openDamaged(t, "both meta pages", both) == nil {
		t.Error("both meta pages: opened")
	}
}

// TestForeign opens bbolt files that are whole, but not ours.
func TestForeign(t *testing.T) {
	stranger := func(fill func(*bbolt.Tx) error) error {
		path := filepath.Join(t.TempDir(), "lock.db")
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Update(fill), db.Close()); err != nil {
			t.Fatal(err)
		}
		s, err := boltstore.Open(path, boltstore.Options{})
		if err == nil {
			_ = s.Close()
		}
		return err
	}
	own := func(app, format string) func(*bbolt.Tx) error {
		return func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucket([]byte("store"))
			return errors.Join(err, b.Put([]byte("application"), boltstore.Seal("", "application", app)),
				b.Put([]byte("format"), boltstore.Seal("", "format", format)))
		}
	}
	for name, test := range map[string]struct {
		fill func(*bbolt.Tx) error
		want string
	}{
		"no bucket":           {func(*bbolt.Tx) error { return nil }, "not a chartd lock database"},
		"another bucket":      {func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("meta")); return err }, `"meta"`},
		"another application": {own("etcd", "1"), `"etcd"`},
		"newer":               {own("chartd lock database", "3"), "install a newer chartd"},
		"no format":           {own("chartd lock database", "x"), `"x"`},
	} {
		if err := stranger(test.fill); !errors.Is(err, store.ErrBroken) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

// TestDamageWhileOpen damages the file under a running store: reads fail, and
// never give other bytes or call a key missing that is not.
func TestDamageWhileOpen(t *testing.T) {
	data := damageFile(t)
	random := rand.New(rand.NewPCG(8, 9))
	rounds, caught := 300, 0
	for range rounds {
		path := filepath.Join(t.TempDir(), "lock.db")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, path)
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		// A run of keys and values, the part without a checksum of bbolt's.
		at := int64(random.IntN(len(data)-3*4096) + 3*4096)
		if _, err := f.WriteAt([]byte{data[at] ^ 1<<random.IntN(8)}, at); err != nil {
			t.Fatal(err)
		}
		last, err := whole(t, s)
		if err != nil {
			caught++
			if !errors.Is(err, store.ErrBroken) && !errors.Is(err, store.ErrDamaged) {
				t.Errorf("byte %d: %v", at, err)
			}
		} else if !last {
			t.Errorf("byte %d: a key is missing", at)
		}
		_ = f.Close()
		_ = s.Close()
	}
	if caught < rounds/10 {
		t.Errorf("%d of %d damages noticed", caught, rounds)
	}
}

// TestTruncateWhileOpen cuts the mapped file: the next read is an error that
// names the file, OnBroken is called, and the process lives to say so.
func TestTruncateWhileOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock.db")
	if err := os.WriteFile(path, damageFile(t), 0o600); err != nil {
		t.Fatal(err)
	}
	told := make(chan error, 2)
	s, err := boltstore.Open(path, boltstore.Options{OnBroken: func(err error) { told <- err }})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	_, err = whole(t, s)
	if !errors.Is(err, store.ErrBroken) || !strings.Contains(err.Error(), path) {
		t.Errorf("read: %v", err)
	}
	if err := <-told; !errors.Is(err, store.ErrBroken) {
		t.Errorf("OnBroken: %v", err)
	}
	err = s.Update(t.Context(), func(tx store.Txn) error { return tx.Put("b", "k", nil) })
	if !errors.Is(err, store.ErrBroken) {
		t.Errorf("Update: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if _, err := boltstore.Open(path, boltstore.Options{}); !errors.Is(err, store.ErrBroken) {
		t.Errorf("Open: %v", err)
	}
}
