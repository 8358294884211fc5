package fileset_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/deploy/fileset"
	"chartd.dev/chartd/internal/durable/durabletest"
)

func class(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, fileset.ErrUnknown) && errors.Is(err, fileset.ErrIO):
		return "unknown"
	case errors.Is(err, fileset.ErrIO):
		return "io"
	}
	return "other: " + err.Error()
}

// crashChild makes a transaction as a bump does: the file "pinned" beside the
// checkout is the pin on the server.
func crashChild(t *testing.T, base string) {
	if os.Getenv("FILESET_RECOVER") != "" {
		recoverChild(t, base)
		return
	}
	r, err := fileset.Open(filepath.Join(base, "repo"))
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := r.Lock(t.Context())
	durabletest.Say("lock %s", class(err))
	if err != nil {
		return
	}
	defer unlock()
	tx, err := r.Stage(three(), json.RawMessage(`{"key":"k"}`))
	durabletest.Say("stage %s", class(err))
	if err != nil {
		return
	}
	if os.Getenv("FILESET_ABORT") != "" {
		durabletest.Say("abort %s", class(tx.Abort()))
		return
	}
	if err := os.Symlink("yes", filepath.Join(base, "pinned")); err != nil {
		durabletest.Say("not pinned: %v", err)
		return
	}
	durabletest.Say("finish %s", class(tx.Finish()))
}

func recoverChild(t *testing.T, base string) {
	tx, unlock, err := pendingAt(t, base)
	durabletest.Say("pending %s", class(err))
	if err != nil {
		return
	}
	defer unlock()
	durabletest.Say("settle %s", class(settle(tx, base)))
}

// pendingAt takes the lock and looks for what is left, as chartctl does.
func pendingAt(t *testing.T, base string) (*fileset.Tx, func(), error) {
	r := open(t, filepath.Join(base, "repo"))
	unlock, err := r.Lock(t.Context())
	if err != nil {
		return nil, nil, err
	}
	tx, err := r.Pending()
	if err != nil {
		unlock()
		return nil, nil, err
	}
	return tx, unlock, nil
}

func pinned(base string) bool {
	_, err := os.Lstat(filepath.Join(base, "pinned"))
	return err == nil
}

func settle(tx *fileset.Tx, base string) error {
	switch {
	case tx == nil:
		return nil
	case pinned(base):
		return tx.Finish()
	}
	return tx.Abort()
}

// recoverRoot does what the next chartctl does, and looks at what it left.
func recoverRoot(t *testing.T, base string) {
	t.Helper()
	tx, unlock, err := pendingAt(t, base)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if tx != nil && string(tx.Note()) != `{"key":"k"}` {
		t.Errorf("Note: %s", tx.Note())
	}
	if err := settle(tx, base); err != nil {
		t.Errorf("recover: %v", err)
	}
	r := open(t, filepath.Join(base, "repo"))
	compare(t, "recovered", r.Dir(), want(three(), pinned(base)))
	left, err := os.ReadDir(r.StateDir())
	if err != nil || len(left) != 1 || left[0].Name() != "lock" {
		t.Errorf("state directory: %v, %v", left, err)
	}
}

var (
	crashCalls   = []string{"openat", "mkdirat", "pwrite64", "fsync", "renameat", "unlinkat", "fchmod", "flock", "ftruncate", "symlinkat"}
	crashActions = []string{"signal=SIGKILL", "error=EIO", "error=ENOSPC"}
)

// slow leaves out the most frequent call where every process takes ten times
// as long: TestBumpCrash in internal/e2e fails each of those of a bump.
func slow(call, _ string) bool { return underRace && call == "openat" }

// TestCrash kills the process in each system call of a transaction of three
// files, or makes the call fail. Afterwards all files are old, or all new if
// the pin was made, and nothing is left over.
func TestCrash(t *testing.T) {
	if base, ok := durabletest.Child(t); ok {
		runtime.LockOSThread() // strace counts the calls of each thread
		crashChild(t, base)
		return
	}
	for _, abort := range []string{"", "1"} {
		t.Run("abort="+abort, func(t *testing.T) {
			s := durabletest.Sweep{Calls: crashCalls, Actions: crashActions, Skip: slow, Case: func(t *testing.T, f durabletest.Fault) durabletest.Result {
				return crashCase(t, f, abort)
			}}
			if abort != "" {
				s.Calls = slices.DeleteFunc(slices.Clone(s.Calls), func(c string) bool { return c == "renameat" || c == "symlinkat" })
			}
			if testing.Short() || underRace && abort != "" {
				s.Most = 2
			}
			s.Run(t)
		})
	}
}

// TestCrashOfRecovery does the same to the recovery from a kill right after the
// pin, after the first file was moved in, and before the pin.
func TestCrashOfRecovery(t *testing.T) {
	if base, ok := durabletest.Child(t); ok {
		runtime.LockOSThread()
		crashChild(t, base)
		return
	}
	kills := map[string]durabletest.Fault{ // the first two renames are of the journal
		"pinned":   {Syscall: "renameat", Action: "signal=SIGKILL", When: 3},
		"moved":    {Syscall: "renameat", Action: "signal=SIGKILL", When: 4},
		"unpinned": {Syscall: "symlinkat", Action: "signal=SIGKILL", When: 1},
	}
	for name, kill := range kills {
		t.Run(name, func(t *testing.T) {
			s := durabletest.Sweep{Calls: []string{"openat", "pwrite64", "fsync", "unlinkat", "ftruncate"}, Actions: []string{"signal=SIGKILL", "error=EIO"}, Skip: slow}
			if name != "unpinned" {
				s.Calls = append(s.Calls, "renameat")
			}
			if testing.Short() {
				s.Most = 2
			}
			s.Case = func(t *testing.T, f durabletest.Fault) durabletest.Result {
				base, _ := crashBase(t)
				durabletest.Run(t, base, kill)
				if pinned(base) == (name == "unpinned") {
					t.Fatalf("after %v: pinned %t", kill, pinned(base))
				}
				if f.Syscall == "openat" {
					f.Paths = crashPaths(base)
				}
				r := durabletest.Run(t, base, f, "FILESET_RECOVER=1")
				if !r.Injected && !slices.Equal(r.Lines, []string{"pending ok", "settle ok"}) {
					t.Errorf("%v: without a fault: %q\n%s", f, r.Lines, r.Stderr)
				}
				recoverRoot(t, base)
				return r
			}
			s.Run(t)
		})
	}
}

func crashBase(t *testing.T) (base, repo string) {
	t.Helper()
	base = t.TempDir()
	repo = filepath.Join(base, "repo")
	if err := os.Rename(checkout(t, true, three()), repo); err != nil {
		t.Fatal(err)
	}
	return base, repo
}

func crashPaths(base string) []string {
	repo := filepath.Join(base, "repo")
	return []string{repo, filepath.Join(repo, "hub"), filepath.Join(repo, ".git"), filepath.Join(repo, ".git/chartctl")}
}

func crashCase(t *testing.T, f durabletest.Fault, abort string) durabletest.Result {
	t.Helper()
	base, repo := crashBase(t)
	if f.Syscall == "openat" {
		f.Paths = crashPaths(base)
	}
	r := durabletest.Run(t, base, f, "FILESET_ABORT="+abort)
	for _, line := range r.Lines {
		if strings.Contains(line, "other") {
			t.Errorf("%v: %q", f, r.Lines)
		}
		if f.Syscall == "fsync" && strings.HasPrefix(f.Action, "error") && strings.HasSuffix(line, "io") {
			t.Errorf("%v: a failed sync leaves the state unknown: %q", f, r.Lines)
		}
	}
	if strings.HasPrefix(f.Action, "error") && r.Exit != 0 && len(r.Lines) > 0 {
		t.Errorf("%v: exit %d\n%s", f, r.Exit, r.Stderr)
	}
	if !r.Injected && (len(r.Lines) != 3 || !strings.HasSuffix(r.Lines[2], " ok")) {
		t.Errorf("%v: without a fault: %q\n%s", f, r.Lines, r.Stderr)
	}
	// A failure before the commit point leaves nothing for recovery to do, as
	// far as the file system still obeys.
	if len(r.Lines) == 2 && r.Lines[1] == "stage io" && f.Syscall != "unlinkat" {
		compare(t, f.String(), repo, want(three(), false))
	}
	recoverRoot(t, base)
	return r
}

// TestOrder reads off the system calls that nothing is renamed in before all
// is synced, and that the journal goes last. A killed process cannot show
// that: its writes survive it, synced or not.
func TestOrder(t *testing.T) {
	if base, ok := durabletest.Child(t); ok {
		runtime.LockOSThread() // strace counts the calls of each thread
		crashChild(t, base)
		return
	}
	base, _ := crashBase(t)
	r := durabletest.Run(t, base, durabletest.Fault{Syscall: "openat,pwrite64,fsync,renameat,unlinkat,symlinkat", Action: "error=EIO", When: 1 << 14})
	var order strings.Builder
	for line := range strings.Lines(r.Trace) {
		name := func(s string) bool { return strings.Contains(line, s) }
		switch {
		case name("openat(") && name("O_EXCL") && name(".chartctl-"):
			order.WriteString("temp ")
		case name("openat(") && name("O_EXCL") && name("journal.new"):
			order.WriteString("journal ")
		case name("fsync("):
			order.WriteString("sync ")
		case name("renameat(") && name("journal.new"):
			order.WriteString("journalled ")
		case name("renameat("):
			order.WriteString("move ")
		case name("symlinkat("):
			order.WriteString("PIN ")
		case name("unlinkat(") && name("journal.json") && name("= 0"):
			order.WriteString("forget ")
		}
	}
	const journalled = "journal sync journalled sync "
	const whole = journalled + "temp sync temp sync temp sync " + journalled + "PIN move move move sync sync forget sync "
	if got := order.String(); !strings.HasSuffix(got, whole) {
		t.Errorf("order: %s\nwant at the end: %s\n%s", got, whole, r.Trace)
	}
}
