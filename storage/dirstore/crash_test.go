package dirstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/durable/durabletest"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/storage"
	"chartd.dev/chartd/storage/dirstore"
)

// crashBlob returns the n'th blob of a crash test; some need a new directory.
func crashBlob(n int) []byte { return bytes.Repeat(fmt.Appendf(nil, "blob %d ", n), 3000) }

const crashBlobs = 4

// crashChild puts blobs, alone or in a batch, and says how each fared.
func crashChild(t *testing.T, dir string) {
	runtime.LockOSThread() // strace counts the calls of each thread
	s, err := dirstore.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	durabletest.Say("open")
	if kind := os.Getenv(batchEnv); kind != "" {
		crashBatch(t, s, kind)
		return
	}
	for n := range crashBlobs {
		data := crashBlob(n)
		durabletest.Say("%d %s", n, class(s.Put(t.Context(), ref.DigestOf(data), bytes.NewReader(data))))
	}
}

func class(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, storage.ErrNoSpace):
		return "nospace"
	case errors.Is(err, storage.ErrBroken):
		return "broken"
	case errors.Is(err, storage.ErrNotExist):
		return "missing"
	}
	return "other"
}

// TestCrash makes each system call of Open and Put fail, or kills the process
// in it. Afterwards what was acknowledged is there, and nothing half.
func TestCrash(t *testing.T) {
	if dir, ok := durabletest.Child(t); ok {
		crashChild(t, dir)
		return
	}
	most := 30
	if testing.Short() {
		most = 3
	}
	for _, call := range []string{"openat", "write", "fchmod", "fsync", "renameat", "mkdirat", "unlinkat"} {
		actions := []string{"signal=SIGKILL", "error=EIO", "error=ENOSPC"}
		if call == "openat" || call == "write" {
			// Go's runtime makes these calls too and ends on an error; the
			// full file system of TestNoSpace fails them instead.
			actions = actions[:1]
		}
		for _, action := range actions {
			t.Run(call+"/"+action, func(t *testing.T) {
				t.Parallel()
				for n := 1; n <= most; n++ {
					dir := filepath.Join(t.TempDir(), "blobs")
					if call == "unlinkat" {
						put(t, open(t, dir), string(crashBlob(0))) // put again, it is removed
					}
					f := durabletest.Fault{Syscall: call, Action: action, When: n}
					r := durabletest.Run(t, dir, f)
					checkCrash(t, dir, f, r)
					if !r.Injected {
						if n == 1 {
							t.Errorf("%v never came to pass", f)
						}
						return
					}
				}
			})
		}
	}
}

func checkCrash(t *testing.T, dir string, f durabletest.Fault, r durabletest.Result) {
	t.Helper()
	opened := slices.Contains(r.Lines, "open")
	if !r.Injected && len(r.Lines) != crashBlobs+1 {
		t.Errorf("%v: without a fault: %q\n%s", f, r.Lines, r.Stderr)
	}
	if opened && strings.HasPrefix(f.Action, "error=") {
		if len(r.Lines) != crashBlobs+1 {
			t.Errorf("%v: the process ended: %q\n%s", f, r.Lines, r.Stderr)
		}
		checkAnswers(t, f, r)
	}
	checkBlobs(t, dir, f, r)
}

// checkBlobs checks that what was acknowledged is there, and nothing in half.
func checkBlobs(t *testing.T, dir string, f durabletest.Fault, r durabletest.Result) {
	t.Helper()
	s := open(t, dir)
	for n := range crashBlobs {
		data := crashBlob(n)
		got, err := s.Get(t.Context(), ref.DigestOf(data), 0, -1)
		if err == nil {
			var b []byte
			if b, err = io.ReadAll(got); err != nil || !bytes.Equal(b, data) {
				t.Errorf("%v: blob %d is damaged: %v", f, n, err)
			}
			_ = got.Close()
		} else if !errors.Is(err, storage.ErrNotExist) || slices.Contains(r.Lines, fmt.Sprintf("%d ok", n)) {
			t.Errorf("%v: blob %d: %v after %q", f, n, err, r.Lines)
		}
		put(t, s, string(data))
	}
}

// checkAnswers checks that a failed sync breaks the store for good and that
// any other failure is that of one put.
func checkAnswers(t *testing.T, f durabletest.Fault, r durabletest.Result) {
	t.Helper()
	failed := false
	for _, line := range r.Lines[1:] {
		got, want := line[2:], "ok"
		switch {
		case f.Syscall == "fsync" && failed:
			want = "broken"
		case got == "ok":
		case f.Syscall == "fsync":
			want, failed = "broken", true
		case failed:
		case f.Action == "error=ENOSPC":
			want, failed = "nospace", true
		default:
			want, failed = "other", true
		}
		if got != want {
			t.Errorf("%v: %q, want %q", f, r.Lines, want)
		}
	}
}

// TestOrder reads off the system calls that a blob is synced before it gets
// its name, and its directory after that and before the answer. A killed
// process cannot show that: its writes survive it, synced or not.
func TestOrder(t *testing.T) {
	if dir, ok := durabletest.Child(t); ok {
		crashChild(t, dir)
		return
	}
	never := durabletest.Fault{Syscall: "openat,fsync,renameat,write", Action: "error=EIO", When: 1 << 14}
	r := durabletest.Run(t, filepath.Join(t.TempDir(), "blobs"), never)
	var order strings.Builder
	for line := range strings.Lines(r.Trace) {
		switch {
		case strings.Contains(line, "openat(") && strings.Contains(line, "/tmp/put-"):
			order.WriteString("create ")
		case strings.Contains(line, "openat(") && strings.Contains(line, "O_RDONLY|O_CLOEXEC)") && strings.Contains(line, "/sha256/"):
			order.WriteString("directory ")
		case strings.Contains(line, "fsync("):
			order.WriteString("sync ")
		case strings.Contains(line, "renameat("):
			order.WriteString("rename ")
		case strings.Contains(line, "say:") && strings.Contains(line, " ok"):
			order.WriteString("answer ")
		}
	}
	if n := strings.Count(order.String(), "sync rename directory sync answer "); n != crashBlobs {
		t.Errorf("%d of %d puts in the right order: %s\n%s", n, crashBlobs, order.String(), r.Trace)
	}
}
