package boltstore_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/durable/durabletest"
	"chartd.dev/chartd/lock/boltstore"
	"chartd.dev/chartd/lock/store"
)

const crashUpdates = 5

// crashChild writes keys, flushes them, and says how each update fared.
func crashChild(t *testing.T, path string) {
	s, err := boltstore.Open(path, boltstore.Small(boltstore.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	durabletest.Say("open")
	for n := range crashUpdates {
		err := s.Update(t.Context(), func(tx store.Txn) error {
			return errors.Join(tx.Put("b", fmt.Sprintf("key/%d", n), make([]byte, 9000)),
				tx.Put("c", fmt.Sprintf("key/%d", n), []byte(strconv.Itoa(n))))
		})
		durabletest.Say("%d %s", n, class(err))
	}
	durabletest.Say("view %s", class(s.View(t.Context(), func(store.Tx) error { return nil })))
	durabletest.Say("close %s", class(s.Close()))
}

func class(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, store.ErrNoSpace):
		return "nospace"
	case errors.Is(err, store.ErrBroken):
		return "broken"
	}
	return "other"
}

// TestCrash makes each system call of an update fail, or kills the process in
// it. Afterwards what was acknowledged is there, and nothing half.
func TestCrash(t *testing.T) {
	if path, ok := durabletest.Child(t); ok {
		crashChild(t, path)
		return
	}
	most := 40
	if testing.Short() {
		most = 4
	}
	for _, call := range []string{"pwrite64", "fdatasync", "ftruncate", "fsync"} {
		for _, action := range []string{"signal=SIGKILL", "error=EIO", "error=ENOSPC"} {
			t.Run(call+"/"+action, func(t *testing.T) {
				t.Parallel()
				came, missed := 0, 0
				for n := 1; n <= most && missed < 3; n++ { // threads are counted apart
					path := filepath.Join(t.TempDir(), "lock.db")
					if err := open(t, path).Close(); err != nil {
						t.Fatal(err)
					}
					f := durabletest.Fault{Syscall: call, Action: action, When: n}
					r := durabletest.Run(t, path, f)
					checkCrash(t, path, f, r)
					if r.Injected {
						came, missed = came+1, 0
					} else {
						missed++
					}
				}
				if came == 0 {
					t.Errorf("%s %s never came to pass", call, action)
				}
			})
		}
	}
}

func checkCrash(t *testing.T, path string, f durabletest.Fault, r durabletest.Result) {
	t.Helper()
	if strings.HasPrefix(f.Action, "error=") || !r.Injected {
		if len(r.Lines) != crashUpdates+3 {
			t.Fatalf("%v: the process ended: %q\n%s", f, r.Lines, r.Stderr)
		}
		checkAnswers(t, f, r)
	}
	s := open(t, path)
	defer s.Close()
	if err := s.Verify(t.Context()); err != nil {
		t.Fatalf("%v: Verify: %v", f, err)
	}
	view(t, s, func(tx store.Tx) error {
		there := uint64(0)
		for n := range crashUpdates {
			_, err := tx.Get("b", fmt.Sprintf("key/%d", n))
			_, other := tx.Get("c", fmt.Sprintf("key/%d", n))
			if (err == nil) != (other == nil) {
				t.Errorf("%v: half of update %d is there", f, n)
			}
			if err == nil {
				there++
			}
			if answer := fmt.Sprintf("%d ", n); err != nil && slices.Contains(r.Lines, answer+"ok") ||
				err == nil && slices.Contains(r.Lines, answer+"nospace") {
				t.Errorf("%v: update %d: %v after %q", f, n, err, r.Lines)
			}
		}
		if tx.Revision() != there {
			t.Errorf("%v: revision %d with %d updates", f, tx.Revision(), there)
		}
		return nil
	})
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	boltCheck(t, path)
}

func view(t testing.TB, s store.Store, fn func(store.Tx) error) {
	t.Helper()
	if err := s.View(t.Context(), fn); err != nil {
		t.Errorf("View: %v", err)
	}
}

// checkAnswers checks that a lack of space breaks nothing, and that all else
// breaks the store for good.
func checkAnswers(t *testing.T, f durabletest.Fault, r durabletest.Result) {
	t.Helper()
	broken, others := false, 0
	for _, line := range r.Lines[1:] {
		verb, got, _ := strings.Cut(line, " ")
		if broken && got != "broken" && verb != "close" {
			t.Errorf("%v: %q: not broken for good", f, r.Lines)
		}
		switch {
		case got == "broken":
			broken = true
		case got != "ok":
			others++
		}
	}
	space := f.Action == "error=ENOSPC" && (f.Syscall == "pwrite64" || f.Syscall == "ftruncate")
	if r.Injected && (space && broken || !space && (!broken || others > 0)) || !r.Injected && (broken || others > 0) {
		t.Errorf("%v: %q", f, r.Lines)
	}
}

// TestFirstStart kills the creation of a database in each system call, or
// makes it fail. The next start makes a new one or finds it whole; whatever
// lies under the name of the database is one.
func TestFirstStart(t *testing.T) {
	if path, ok := durabletest.Child(t); ok {
		s, err := boltstore.Open(path, boltstore.Options{})
		if err != nil {
			durabletest.Say("failed")
			return
		}
		durabletest.Say("open")
		_ = s.Close()
		return
	}
	most := 12
	if testing.Short() {
		most = 3
	}
	for _, call := range []string{"pwrite64", "fdatasync", "ftruncate", "fsync", "linkat", "unlinkat", "fchmod", "flock"} {
		for _, action := range []string{"signal=SIGKILL", "error=EIO"} {
			t.Run(call+"/"+action, func(t *testing.T) {
				t.Parallel()
				for n := 1; n <= most; n++ {
					path := filepath.Join(t.TempDir(), "lock.db")
					r := durabletest.Run(t, path, durabletest.Fault{Syscall: call, Action: action, When: n})
					if !r.Injected {
						if n == 1 || !slices.Contains(r.Lines, "open") {
							t.Errorf("call %d without a fault: %q\n%s", n, r.Lines, r.Stderr)
						}
						return
					}
					if _, err := os.Stat(path); err == nil {
						boltCheck(t, path)
					}
					if err := open(t, path).Close(); err != nil {
						t.Errorf("call %d: Close: %v", n, err)
					}
					left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
					hidden, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*"))
					if err != nil || len(left) != 1 {
						t.Errorf("call %d: files left: %q %q, %v", n, left, hidden, err)
					}
				}
			})
		}
	}
}
