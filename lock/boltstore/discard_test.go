package boltstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chartd.dev/chartd/lock/boltstore"
	"chartd.dev/chartd/lock/store"
)

// TestDiscardLog keeps what goes on without a gap up to the damage, and the old
// files of the log.
func TestDiscardLog(t *testing.T) {
	left := crashed(t)
	other := crashed(t)
	// The updates 4 to 6 are in log 1.
	page := func(n int) int { return (n-3)*4096 + 40 }
	for name, test := range map[string]struct {
		damage func(files)
		kept   int
		say    string
	}{
		"its first frame":   {func(f files) { f["-log1"][page(4)] ^= 1 }, 3, "up to update 6"},
		"a frame in it":     {func(f files) { f["-log1"][page(5)] ^= 1 }, 4, "up to update 6"},
		"its header":        {func(f files) { f["-log1"][10] ^= 1 }, 6, "kept updates up to 6"},
		"cut off":           {func(f files) { f["-log1"] = f["-log1"][:4*4096] }, 6, "cut off"},
		"a file is lost":    {func(f files) { delete(f, "-log0") }, 6, "lock.db-log0"},
		"both are lost":     {func(f files) { delete(f, "-log1"); delete(f, "-log0") }, 3, "missing"},
		"a log of no kin":   {func(f files) { f["-log1"], f["-log0"] = other["-log1"], other["-log0"] }, 3, "another"},
		"one log of no kin": {func(f files) { f["-log0"] = other["-log0"] }, 6, "another"},
	} {
		t.Run(name, func(t *testing.T) {
			f := make(files)
			for suffix, b := range left {
				f[suffix] = bytes.Clone(b)
			}
			test.damage(f)
			path := filepath.Join(t.TempDir(), "lock.db")
			f.write(t, path)
			warning := ""
			s := openWith(t, path, boltstore.Options{DiscardLog: true, OnWarning: func(w string) { warning += w }})
			if err := errors.Join(numbered(s, t, test.kept), s.Verify(t.Context())); err != nil {
				t.Error(err)
			}
			if want := fmt.Sprintf("kept updates up to %d;", test.kept); !strings.Contains(warning, want) || !strings.Contains(warning, test.say) {
				t.Errorf("the warning is %q, want %q and %q in it", warning, want, test.say)
			}
			if now := readFiles(t, path); len(now) != 1 {
				t.Error("the log is still there")
			}
			for suffix, want := range f {
				if suffix == "" {
					continue
				}
				name := path + suffix + ".discarded"
				if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) || !strings.Contains(warning, filepath.Base(name)) {
					t.Errorf("%s is not kept, or not named in %q: %v", suffix, warning, err)
				}
			}
			for n := test.kept; n < test.kept+3; n++ {
				putNumbered(t, s, n+1, n+1)
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				s = open(t, path)
				if err := errors.Join(numbered(s, t, n+1), s.Verify(t.Context())); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestDiscardLogAgain does not write over what an earlier one kept.
func TestDiscardLogAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock.db")
	var kept [][]byte
	for i := range 3 {
		left := crashed(t)
		left["-log1"][2*4096+40] ^= byte(i + 1)
		left.write(t, path)
		kept = append(kept, left["-log1"])
		if err := openWith(t, path, boltstore.Options{DiscardLog: true}).Close(); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range []string{"", ".2", ".3"} {
		if got, err := os.ReadFile(path + "-log1.discarded" + name); err != nil || !bytes.Equal(got, kept[i]) {
			t.Errorf("%d: not kept: %v", i, err)
		}
	}
}

// TestDiscardWholeLog refuses to give up what can be read.
func TestDiscardWholeLog(t *testing.T) {
	left := crashed(t)
	torn := left.unmarked()
	torn["-log1"][3*4096+40] ^= 1
	closed := filepath.Join(t.TempDir(), "lock.db")
	s := open(t, closed)
	putNumbered(t, s, 1, 2)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]files{"a crash": left, "an unfinished write": torn, "a stop": readFiles(t, closed)} {
		path := filepath.Join(t.TempDir(), "lock.db")
		f.write(t, path)
		if _, err := boltstore.Open(path, boltstore.Options{DiscardLog: true}); !errors.Is(err, boltstore.ErrLogWhole) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		if now := readFiles(t, path); !maps.EqualFunc(f, now, bytes.Equal) {
			t.Errorf("%s: it was changed", name)
		}
	}
}

// TestNotices says what a start took from the log, and that the format changed.
func TestNotices(t *testing.T) {
	var said []string
	o := boltstore.Options{OnNotice: func(msg string, args ...any) { said = append(said, fmt.Sprint(msg, args[2:])) }}
	want := func(name, text string) {
		t.Helper()
		if got := strings.Join(said, ", "); got != text {
			t.Errorf("%s: %q, want %q", name, got, text)
		}
		said = nil
	}
	path := filepath.Join(t.TempDir(), "lock.db")
	s := openWith(t, path, o)
	putNumbered(t, s, 1, 2)
	if err := errors.Join(s.Close(), openWith(t, path, o).Close()); err != nil {
		t.Fatal(err)
	}
	want("a new database", "")

	path = filepath.Join(t.TempDir(), "lock.db")
	crashed(t).write(t, path)
	s = openWith(t, path, o)
	want("a crash", "took 3 updates from the log[from 4 to 6]")
	putNumbered(t, s, logUpdates+1, logUpdates+1)
	if err := errors.Join(s.Close(), openWith(t, path, o).Close()); err != nil {
		t.Fatal(err)
	}
	want("after it", "")

	old, err := os.ReadFile("testdata/format1.db")
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "lock.db")
	files{"": old}.write(t, path)
	s = openWith(t, path, o)
	want("an older format", "")
	for range 2 {
		if err := s.Update(t.Context(), func(tx store.Txn) error { return tx.Put("b", "new", nil) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	want("an update of it", "the lock database has format 2 now, which an older chartd refuses[]")
}
