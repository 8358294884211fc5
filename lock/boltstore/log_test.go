package boltstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chartd.dev/chartd/internal/durable/durabletest"
	"chartd.dev/chartd/lock/boltstore"
	"chartd.dev/chartd/lock/store"
)

// files are the database file and its log, by what follows the name.
type files map[string][]byte

var suffixes = []string{"", "-log0", "-log1"}

func readFiles(t testing.TB, path string) files {
	t.Helper()
	out := make(files)
	for _, suffix := range suffixes {
		b, err := os.ReadFile(path + suffix)
		if err == nil {
			out[suffix] = b
		} else if !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	return out
}

func (f files) write(t testing.TB, path string) {
	t.Helper()
	for suffix, b := range f {
		if err := os.WriteFile(path+suffix, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// unmarked are the files without marks, as an older chartd or a power cut leaves
// them.
func (f files) unmarked() files {
	out := make(files)
	for suffix, b := range f {
		if out[suffix] = bytes.Clone(b); suffix != "" {
			clear(out[suffix][512:2048])
		}
	}
	return out
}

const logUpdates = 6

func putNumbered(t testing.TB, s store.Store, first, last int) {
	t.Helper()
	for n := first; n <= last; n++ {
		if err := s.Update(t.Context(), func(tx store.Txn) error {
			return errors.Join(tx.Put("b", fmt.Sprintf("key/%04d", n), bytes.Repeat(fmt.Appendf(nil, "%d,", n), 20)), tx.Put("b", "last", fmt.Append(nil, n)),
				tx.Delete("b", fmt.Sprintf("key/%04d", n-3)))
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// numbered checks that a store holds just what putNumbered wrote up to last.
func numbered(s store.Store, t testing.TB, last int) error {
	return s.View(t.Context(), func(tx store.Tx) error {
		if tx.Revision() != uint64(last) {
			return fmt.Errorf("revision %d, want %d", tx.Revision(), last)
		}
		want := make(map[string]string)
		for n := max(1, last-2); n <= last; n++ {
			want[fmt.Sprintf("key/%04d", n)] = string(bytes.Repeat(fmt.Appendf(nil, "%d,", n), 20))
		}
		if last > 0 {
			want["last"] = fmt.Sprint(last)
		}
		got := make(map[string]string)
		err := tx.Scan("b", store.ScanOptions{}, func(key string, value []byte) error {
			got[key] = string(value)
			return nil
		})
		if err != nil || !maps.Equal(got, want) {
			return fmt.Errorf("%q, %w, want %q", got, err, want)
		}
		return nil
	})
}

// crashed returns the files of a store that was not closed: the first half of
// its updates is in the database file, the others are in the log.
func crashed(t testing.TB) files {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lock.db")
	s := openWith(t, path, boltstore.SmallUnflushed(boltstore.Options{}))
	putNumbered(t, s, 1, logUpdates/2)
	if err := s.Snapshot(t.Context(), new(bytes.Buffer)); err != nil {
		t.Fatal(err)
	}
	putNumbered(t, s, logUpdates/2+1, logUpdates)
	return readFiles(t, path)
}

// TestReplay opens what a crash left, for reading and for writing.
func TestReplay(t *testing.T) {
	left := crashed(t)
	path := filepath.Join(t.TempDir(), "lock.db")
	left.write(t, path)
	s := openWith(t, path, boltstore.Options{ReadOnly: true})
	if err := errors.Join(numbered(s, t, logUpdates), s.Verify(t.Context()), s.Close()); err != nil {
		t.Errorf("for reading: %v", err)
	}
	if after := readFiles(t, path); !maps.EqualFunc(left, after, bytes.Equal) {
		t.Error("a store open for reading changed its files")
	}
	s = open(t, path) // and nothing is written, so that nothing changes
	if err := errors.Join(numbered(s, t, logUpdates), s.Verify(t.Context()), s.Close()); err != nil {
		t.Errorf("for checking: %v", err)
	}
	if after := readFiles(t, path); !maps.EqualFunc(left, after, bytes.Equal) {
		t.Error("a store without updates changed its files")
	}
	for n := logUpdates; n < logUpdates+3; n++ { // crash upon crash
		s = openWith(t, path, boltstore.Unflushed(boltstore.Options{}))
		putNumbered(t, s, n+1, n+1)
		if err := errors.Join(numbered(s, t, n+1), s.Verify(t.Context())); err != nil {
			t.Errorf("update %d: %v", n+1, err)
		}
		left = readFiles(t, path)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		path = filepath.Join(t.TempDir(), "lock.db")
		left.write(t, path)
	}
	s = open(t, path)
	var copied bytes.Buffer
	if err := errors.Join(s.Snapshot(t.Context(), &copied), s.Close()); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "copy.db")
	files{"": copied.Bytes()}.write(t, path)
	if err := numbered(open(t, path), t, logUpdates+3); err != nil {
		t.Errorf("copy: %v", err)
	}
}

// TestBothFiles crashes a store while a flush is under way: what it needs is in
// both files of its log.
func TestBothFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock.db")
	s := openWith(t, path, boltstore.Small(boltstore.Options{}))
	putNumbered(t, s, 1, 1)
	if err := s.Snapshot(t.Context(), new(bytes.Buffer)); err != nil {
		t.Fatal(err)
	}
	release := s.HoldFlush(t)
	putNumbered(t, s, 2, 3)
	for !s.Rotated() {
		time.Sleep(time.Millisecond)
	}
	putNumbered(t, s, 4, logUpdates)
	if err := errors.Join(numbered(s, t, logUpdates), s.Verify(t.Context())); err != nil {
		t.Error(err)
	}
	left := settled(t, s, path)
	release()
	if openDamagedLog(t, "whole", left) {
		t.Error("whole: refused")
	}
	lost := 0
	for _, suffix := range suffixes[1:] {
		for at := 4096; at < len(left[suffix]); at += 4096 {
			bad := maps.Clone(left)
			bad[suffix] = bytes.Clone(left[suffix])
			bad[suffix][at+40] ^= 1
			if openDamagedLog(t, fmt.Sprintf("%s page %d", suffix, at/4096), bad) {
				lost++
			}
		}
	}
	if lost != logUpdates-1 { // but the first, which is in the database file
		t.Errorf("%d damaged frames refused", lost)
	}
	next := filepath.Join(t.TempDir(), "lock.db")
	left.write(t, next)
	s = open(t, next)
	putNumbered(t, s, logUpdates+1, logUpdates+1)
	if err := errors.Join(numbered(s, t, logUpdates+1), s.Verify(t.Context()), s.Close()); err != nil {
		t.Error(err)
	}
	boltCheck(t, next)
}

// TestCopies opens copies of a store in each of its stages: none needs a log.
func TestCopies(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock.db")
	s := open(t, path)
	last := 0
	check := func(stage string) {
		t.Helper()
		var copied bytes.Buffer
		if err := s.Snapshot(t.Context(), &copied); err != nil {
			t.Fatalf("%s: %v", stage, err)
		}
		path := filepath.Join(t.TempDir(), "copy.db")
		files{"": copied.Bytes()}.write(t, path)
		c := openWith(t, path, boltstore.Options{})
		if err := errors.Join(numbered(c, t, last), c.Verify(t.Context())); err != nil {
			t.Errorf("%s: %v", stage, err)
		}
		putNumbered(t, c, last+1, last+1)
		if err := errors.Join(numbered(c, t, last+1), c.Close()); err != nil {
			t.Errorf("%s: %v", stage, err)
		}
	}
	check("new")
	if err := s.Update(t.Context(), func(store.Txn) error { return nil }); err != nil {
		t.Fatal(err)
	}
	check("after an update that wrote nothing")
	for range 3 {
		putNumbered(t, s, last+1, last+1)
		last++
		check("after an update")
		check("again")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, path)
		check("opened")
	}
}

// openDamagedLog opens files of which the log is damaged. They are refused and
// stay as they are, or are whole, or lack the last update and there is a
// warning.
func openDamagedLog(t testing.TB, name string, f files) (refused bool) {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "lock.db")
	f.write(t, path)
	warning := ""
	s, err := boltstore.Open(path, boltstore.Options{ReadOnly: true, OnWarning: func(w string) { warning = w }})
	if err != nil {
		if !errors.Is(err, store.ErrBroken) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "chartd restore") || !strings.Contains(err.Error(), "--discard-log") {
			t.Errorf("%s: unclear error: %v", name, err)
		}
		return true
	}
	defer s.Close()
	whole := numbered(s, t, logUpdates)
	if whole == nil {
		return false
	}
	if err := numbered(s, t, logUpdates-1); err != nil || warning == "" {
		t.Errorf("%s: opened with the warning %q, but %v, %v", name, warning, whole, err)
	}
	return false
}

// TestLogBitFlips flips bits of the log. What was acknowledged is there, or the
// store is refused, or the flip looks like a last write that did not end.
func TestLogBitFlips(t *testing.T) {
	left := crashed(t)
	random := rand.New(rand.NewPCG(1, 2))
	every, refused, flips := 2, 0, 0
	if testing.Short() {
		every = 11
	}
	for _, suffix := range suffixes[1:] {
		// Of each page the beginning, where its frame is, and a little more.
		for at := 0; at < (logUpdates/2+2)*4096; at++ {
			if in := at % 4096; in%every != 0 || in > 180 && in%700 != 0 {
				continue
			}
			bad := maps.Clone(left)
			bad[suffix] = bytes.Clone(left[suffix])
			bit := random.IntN(8)
			bad[suffix][at] ^= 1 << bit
			flips++
			if openDamagedLog(t, fmt.Sprintf("%s byte %d bit %d", suffix, at, bit), bad) {
				refused++
			}
		}
	}
	// What is refused: the heads of both files, and two frames before the last.
	if refused < (2*20+2*100)/every {
		t.Errorf("%d of %d flips refused: is anything checked", refused, flips)
	}
	t.Logf("%d of %d flips refused", refused, flips)
}

// TestLogTruncations cuts a file of the log off anywhere.
func TestLogTruncations(t *testing.T) {
	left := crashed(t)
	for _, suffix := range suffixes[1:] {
		for size := 0; size < len(left[suffix]); size += 256 {
			bad := maps.Clone(left)
			bad[suffix] = left[suffix][:size]
			openDamagedLog(t, fmt.Sprintf("%s cut to %d", suffix, size), bad)
		}
		missing := maps.Clone(left)
		delete(missing, suffix)
		if !openDamagedLog(t, suffix+" missing", missing) {
			t.Errorf("%s missing: opened", suffix)
		}
	}
}

// TestTornFrame cuts the last write to the log off anywhere.
func TestTornFrame(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock.db")
	s := openWith(t, path, boltstore.SmallUnflushed(boltstore.Options{}))
	putNumbered(t, s, 1, logUpdates-1)
	before := readFiles(t, path)
	putNumbered(t, s, logUpdates, logUpdates)
	left := readFiles(t, path).unmarked()
	last := logUpdates * 4096 // where the last frame begins
	for i := last + 1; i < last+600; i++ {
		torn := maps.Clone(left)
		torn["-log0"] = append(bytes.Clone(left["-log0"][:i]), before["-log0"][i:]...)
		if openDamagedLog(t, fmt.Sprintf("torn at %d", i), torn) {
			t.Errorf("torn at %d: refused", i)
		}
	}
}

// TestForeignLog puts a database and a log together that do not belong together.
func TestForeignLog(t *testing.T) {
	left, other := crashed(t), crashed(t)
	closed := filepath.Join(t.TempDir(), "lock.db")
	if err := open(t, closed).Close(); err != nil {
		t.Fatal(err)
	}
	early := readFiles(t, closed)[""]
	swap := func(database []byte, log files) files {
		return files{"": database, "-log0": log["-log0"], "-log1": log["-log1"]}
	}
	for name, f := range map[string]files{
		"another database": swap(left[""], other), "an older database": swap(early, left),
		"files in the wrong order": {"": left[""], "-log0": left["-log1"], "-log1": left["-log0"]},
		"one of another":           {"": left[""], "-log0": left["-log0"], "-log1": other["-log1"]},
		"something else":           {"": early, "-log0": []byte(strings.Repeat("no log\n", 1000))},
		"nothing":                  {"": left[""]},
	} {
		if !openDamagedLog(t, name, f) {
			t.Errorf("%s: opened", name)
		}
	}
}

// TestVerifyReadsTheLog damages what is not flushed yet under a running store.
func TestVerifyReadsTheLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock.db")
	s := openWith(t, path, boltstore.Unflushed(boltstore.Options{}))
	putNumbered(t, s, 1, logUpdates)
	if err := s.Verify(t.Context()); err != nil {
		t.Errorf("Verify: %v", err)
	}
	f, err := os.OpenFile(path+"-log0", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{'!'}, 3*4096+40); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(t.Context()); !errors.Is(err, store.ErrBroken) || !strings.Contains(err.Error(), "update 3") || !strings.Contains(err.Error(), path) {
		t.Errorf("Verify: %v", err)
	}
}

// TestLostTail takes frames that were confirmed out of the log, in each way that
// leaves no trace of them there: the store is refused.
func TestLostTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock.db")
	s := openWith(t, path, boltstore.SmallUnflushed(boltstore.Options{}))
	putNumbered(t, s, 1, 40)
	left := settled(t, s, path)
	const head = 4096
	refuse := func(name string, spoil func(log []byte) []byte) {
		t.Helper()
		bad := maps.Clone(left)
		bad["-log0"] = spoil(bytes.Clone(left["-log0"]))
		dir := filepath.Join(t.TempDir(), "lock.db")
		bad.write(t, dir)
		s, err := boltstore.Open(dir, boltstore.Options{ReadOnly: true})
		if err == nil {
			t.Errorf("%s: opened", name)
			_ = s.Close()
		} else if !errors.Is(err, store.ErrBroken) || !strings.Contains(err.Error(), "confirmed") && !strings.Contains(err.Error(), "damaged") || !strings.Contains(err.Error(), "--discard-log") {
			t.Errorf("%s: unclear error: %v", name, err)
		}
	}
	for _, lost := range []int{1, 2, 11, 40} { // of the last frames
		from := head + (40-lost)*4096
		refuse(fmt.Sprintf("%d zeroed", lost), func(log []byte) []byte { clear(log[from:]); return log })
		refuse(fmt.Sprintf("%d in noise", lost), func(log []byte) []byte {
			for i := from; i < head+40*4096; i++ {
				log[i] = byte(i * 7)
			}
			return log
		})
		refuse(fmt.Sprintf("%d without their heads", lost), func(log []byte) []byte {
			for at := from; at < head+40*4096; at += 4096 {
				clear(log[at : at+32])
			}
			return log
		})
		refuse(fmt.Sprintf("%d shifted", lost), func(log []byte) []byte {
			copy(log[from+512:], bytes.Clone(log[from:head+40*4096]))
			clear(log[from : from+512])
			return log
		})
		refuse(fmt.Sprintf("%d as the first ones", lost), func(log []byte) []byte {
			for at := from; at < head+40*4096; at += 4096 {
				copy(log[at:at+4096], log[head:head+4096])
			}
			return log
		})
	}
	refuse("a hole", func(log []byte) []byte { clear(log[head+20*4096 : head+30*4096]); return log })
	for _, at := range []int{512, 1024} { // of two marks one may be damaged: the other knows all but the last
		damaged := maps.Clone(left)
		damaged["-log0"] = bytes.Clone(left["-log0"])
		damaged["-log1"] = bytes.Clone(left["-log1"])
		damaged["-log1"][at] ^= 1
		clear(damaged["-log0"][head+38*4096:])
		dir := filepath.Join(t.TempDir(), "lock.db")
		damaged.write(t, dir)
		if s, err := boltstore.Open(dir, boltstore.Options{ReadOnly: true}); err == nil {
			t.Errorf("with the mark at %d damaged: opened", at)
			_ = s.Close()
		}
	}
	// The file as it was some updates earlier.
	early := filepath.Join(t.TempDir(), "lock.db")
	s = openWith(t, early, boltstore.SmallUnflushed(boltstore.Options{}))
	putNumbered(t, s, 1, 5)
	before := settled(t, s, early)
	putNumbered(t, s, 6, 9)
	after := settled(t, s, early)
	after["-log0"] = before["-log0"]
	mixed := filepath.Join(t.TempDir(), "lock.db")
	after.write(t, mixed)
	if s, err := boltstore.Open(mixed, boltstore.Options{ReadOnly: true}); err == nil {
		t.Error("a log file of before: opened")
		_ = s.Close()
	}
}

// settled are the files once the last update is marked in them.
func settled(t testing.TB, s *boltstore.Store, path string) files {
	t.Helper()
	if err := s.Marked(t); err != nil {
		t.Fatal(err)
	}
	return readFiles(t, path)
}

// TestSystemCalls counts what updates cost: one that comes alone is written
// once, synced once and marked, and many are flushed by as many commits as few.
func TestSystemCalls(t *testing.T) {
	if arg, ok := durabletest.Child(t); ok {
		path, n, _ := strings.Cut(arg, "#")
		s, err := boltstore.Open(path, boltstore.Unflushed(boltstore.Options{}))
		if err != nil {
			t.Fatal(err)
		}
		updates := 0
		if _, err := fmt.Sscan(n, &updates); err != nil {
			t.Fatal(err)
		}
		putNumbered(t, s, 1, updates)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		durabletest.Say("closed")
		return
	}
	calls := func(name string, updates int) int {
		path := filepath.Join(t.TempDir(), "lock.db")
		r := durabletest.Run(t, fmt.Sprintf("%s#%d", path, updates), durabletest.Fault{Syscall: name, Action: "error=EIO", When: 65535})
		if len(r.Lines) != 1 || r.Injected {
			t.Fatalf("%d updates: %q\n%s", updates, r.Lines, r.Stderr)
		}
		return strings.Count(r.Trace, name+"(")
	}
	for _, name := range []string{"pwrite64", "fdatasync"} {
		few, many := calls(name, 20), calls(name, 60)
		if name == "fdatasync" && many-few != 40 {
			t.Errorf("40 updates more need %d calls of %s more", many-few, name)
		}
		// The same few pages are flushed, give or take one that is split.
		if name == "pwrite64" && (many-few < 40 || many-few > 2*40+4) {
			t.Errorf("40 updates more need %d calls of %s more", many-few, name)
		}
	}
}
