package dirstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/durable/durabletest"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/storage"
	"chartd.dev/chartd/storage/dirstore"
	"chartd.dev/chartd/storage/storagetest"
)

// batchEnv tells the child of a crash test to put in batches, which sync the
// "whole" file system or "each" file.
const batchEnv = "DIRSTORE_BATCH"

// inBatch is what one Commit of a crash test stores.
const inBatch = crashBlobs / 2

func crashBatch(t *testing.T, s *dirstore.Store, kind string) {
	b, err := s.Batch()
	if err != nil {
		t.Fatal(err)
	}
	if kind == "each" {
		dirstore.EachFile(b)
	}
	for n := 0; n < crashBlobs; n += inBatch {
		var err error
		for k := n; k < n+inBatch; k++ {
			data := crashBlob(k)
			err = errors.Join(err, b.Add(t.Context(), ref.DigestOf(data), bytes.NewReader(data)))
		}
		err = errors.Join(err, b.Commit(t.Context()))
		for k := n; k < n+inBatch; k++ {
			durabletest.Say("%d %s", k, class(err))
		}
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// batchKinds are the ways of syncing a batch that can be had here.
func batchKinds(t *testing.T) []string {
	if dirstore.SyncsWhole(t.TempDir()) {
		return []string{"whole", "each"}
	}
	t.Log("the file system of the tests is one that batches do not sync as a whole")
	return []string{"each"}
}

// TestBatchCrash makes each system call of a batch fail, or kills the process
// in it. What was acknowledged is there, nothing is there in half, and a failed
// sync breaks the store for good.
func TestBatchCrash(t *testing.T) {
	if dir, ok := durabletest.Child(t); ok {
		crashChild(t, dir)
		return
	}
	most := 30
	if testing.Short() {
		most = 3
	}
	for _, kind := range batchKinds(t) {
		for _, call := range []string{"openat", "write", "fchmod", "fsync", "syncfs", "renameat", "mkdirat"} {
			if call == "syncfs" && kind != "whole" {
				continue
			}
			for _, action := range []string{"signal=SIGKILL", "error=EIO", "error=ENOSPC"} {
				if (call == "openat" || call == "write") && action != "signal=SIGKILL" {
					continue // Go's runtime makes these calls too
				}
				t.Run(kind+"/"+call+"/"+action, func(t *testing.T) {
					t.Parallel()
					for n := 1; n <= most; n++ {
						dir := filepath.Join(t.TempDir(), "blobs")
						f := durabletest.Fault{Syscall: call, Action: action, When: n}
						r := durabletest.Run(t, dir, f, batchEnv+"="+kind)
						checkBatchCrash(t, dir, f, r)
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
}

func checkBatchCrash(t *testing.T, dir string, f durabletest.Fault, r durabletest.Result) {
	t.Helper()
	if !r.Injected && (len(r.Lines) != crashBlobs+1 || slices.ContainsFunc(r.Lines[1:], func(l string) bool { return !strings.HasSuffix(l, " ok") })) {
		t.Errorf("%v: without a fault: %q\n%s", f, r.Lines, r.Stderr)
	}
	if strings.HasPrefix(f.Action, "error=") && len(r.Lines) == crashBlobs+1 {
		// Open makes such calls, too: then there is no store to speak of.
		checkBatchAnswers(t, f, r)
	}
	checkBlobs(t, dir, f, r)
	if left, err := os.ReadDir(filepath.Join(dir, "tmp")); err != nil || len(left) > 0 {
		t.Errorf("%v: temporary files left: %v, %v", f, left, err)
	}
}

func checkBatchAnswers(t *testing.T, f durabletest.Fault, r durabletest.Result) {
	t.Helper()
	want, failed := "other", false
	switch {
	case f.Syscall == "fsync" || f.Syscall == "syncfs":
		want = "broken"
	case f.Action == "error=ENOSPC":
		want = "nospace"
	}
	for n := 0; n < crashBlobs; n += inBatch {
		first, second := r.Lines[1+n][2:], r.Lines[2+n][2:]
		switch {
		case first != second:
			t.Errorf("%v: one batch ends in two ways: %q", f, r.Lines)
		case first == "ok" && (!failed || want != "broken"):
		case first == want && (!failed || want == "broken"):
			failed = true
		default:
			t.Errorf("%v: %q, want %q", f, r.Lines, want)
		}
	}
	if failed != r.Injected {
		t.Errorf("%v: came to pass: %v, answers %q", f, r.Injected, r.Lines)
	}
}

// batchOrder reads off a trace what a batch did, one letter for each call: w
// for a file begun, r for a name given, m for a directory made, S for a sync of
// the file system, s for one of a file or a directory, which follows d where it
// is that of a blob's directory and b where it is that of all of them, and A for
// an answer.
func batchOrder(trace, dir string) string {
	var order strings.Builder
	for line := range strings.Lines(trace) {
		opened := strings.Contains(line, " openat(")
		directory := opened && strings.Contains(line, "O_RDONLY|O_CLOEXEC)")
		switch {
		case opened && strings.Contains(line, dir+"/tmp/put-"):
			order.WriteByte('w')
		case directory && strings.Contains(line, dir+"/sha256/"):
			order.WriteByte('d')
		case directory && strings.Contains(line, dir+`/sha256"`):
			order.WriteByte('b')
		case strings.Contains(line, " mkdirat(") && strings.Contains(line, dir+"/sha256/"):
			order.WriteByte('m')
		case strings.Contains(line, " syncfs("):
			order.WriteByte('S')
		case strings.Contains(line, " fsync("):
			order.WriteByte('s')
		case strings.Contains(line, " renameat("):
			order.WriteByte('r')
		case strings.Contains(line, "say:") && strings.Contains(line, " ok"):
			order.WriteByte('A')
		}
	}
	return order.String()
}

// inOrder says what is wrong with an order of calls: bytes are synced before
// they get names, and names and directories before the answer.
func inOrder(order string) error {
	bytesLeft, namesLeft, madeLeft, renamed := 0, 0, 0, 0
	for i, c := range order {
		last := byte(' ')
		if i > 0 {
			last = order[i-1]
		}
		switch c {
		case 'w':
			bytesLeft++
		case 'm':
			madeLeft++
		case 's':
			switch last {
			case 'S': // all, and the disk's cache
				bytesLeft, namesLeft, madeLeft = 0, 0, 0
			case 'd':
				namesLeft--
			case 'b':
				madeLeft = 0
			default:
				bytesLeft--
			}
		case 'r':
			renamed++
			if namesLeft++; bytesLeft > 0 {
				return fmt.Errorf("a name is given at %d before its bytes are synced: %s", i, order)
			}
		case 'A':
			if namesLeft > 0 || madeLeft > 0 {
				return fmt.Errorf("an answer at %d before the names are synced: %s", i, order)
			}
		}
	}
	if renamed != crashBlobs {
		return fmt.Errorf("%d names given, want %d: %s", renamed, crashBlobs, order)
	}
	return nil
}

// TestBatchOrder reads off the system calls that the bytes of a batch are on
// disk before the first of them gets its name, and all names before the answer.
// A killed process cannot show that.
func TestBatchOrder(t *testing.T) {
	if dir, ok := durabletest.Child(t); ok {
		crashChild(t, dir)
		return
	}
	for _, kind := range batchKinds(t) {
		dir := filepath.Join(t.TempDir(), "blobs")
		never := durabletest.Fault{Syscall: "openat,fsync,syncfs,mkdirat,renameat,write", Action: "error=EIO", When: 1 << 14}
		r := durabletest.Run(t, dir, never, batchEnv+"="+kind)
		order := batchOrder(r.Trace, dir)
		if i := strings.IndexByte(order, 'w'); i > 0 {
			order = order[i:] // without those of Open
		}
		if err := inOrder(order); err != nil {
			t.Errorf("%s: %v\n%s", kind, err, r.Trace)
		}
		if kind == "whole" && strings.Count(order, "S") != 2*crashBlobs/inBatch {
			t.Errorf("the file system is synced other than twice for each batch: %s", order)
		}
	}
}

// A batch that leaves out one of its syncs would be found.
func TestBatchOrderFindsWhatIsSkipped(t *testing.T) {
	for kind, good := range map[string]string{
		"whole": "wwSsmrmrSsAAwwSsmrmrSsAA",
		"each":  "wswsmrmrdsdsbsAAwswsmrmrdsdsbsAA",
	} {
		if err := inOrder(good); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		for i, call := range good {
			if call != 's' && call != 'S' {
				continue
			}
			if bad := good[:i] + good[i+1:]; inOrder(bad) == nil {
				t.Errorf("%s: nothing is wrong with %s", kind, bad)
			}
		}
	}
}

// TestEachFile holds batches to the contract also where the file system cannot
// be synced as a whole.
func TestEachFile(t *testing.T) {
	dirs := make(map[storage.Store]string)
	storagetest.Run(t, storagetest.Kind{
		Open: func(t *testing.T) storage.Store {
			dir := filepath.Join(t.TempDir(), "blobs")
			s := eachFile{open(t, dir)}
			dirs[s] = dir
			return s
		},
		Damage: func(t *testing.T, s storage.Store, d ref.Digest, data []byte) {
			if err := os.WriteFile(blobPath(dirs[s], d), data, 0o600); err != nil {
				t.Fatal(err)
			}
		},
	})
}

type eachFile struct{ *dirstore.Store }

func (s eachFile) Batch() (storage.Batch, error) {
	b, err := s.Store.Batch()
	if err == nil {
		dirstore.EachFile(b)
	}
	return b, err
}

func TestKernelVersions(t *testing.T) {
	for release, want := range map[string]bool{
		"5.8.0": true, "5.15.0-91-generic": true, "6.1": true, "10.0.1": true,
		"5.7.19": false, "4.19.0": false, "3.10.0-1160.el7": false, "": false, "x": false, "6": false,
	} {
		if got := dirstore.FromVersion(release, 5, 8); got != want {
			t.Errorf("%q: %v, want %v", release, got, want)
		}
	}
}

// BenchmarkBatch is BenchmarkPut with 32 blobs to a Commit.
func BenchmarkBatch(b *testing.B) {
	s := open(b, b.TempDir())
	batch, err := s.Batch()
	if err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 64<<10)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for i := 0; b.Loop(); i++ {
		data[0], data[1], data[2], data[3] = byte(i), byte(i>>8), byte(i>>16), 1
		if err := batch.Add(b.Context(), ref.DigestOf(data), bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
		if i%32 == 31 {
			if err := batch.Commit(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := errors.Join(batch.Commit(b.Context()), batch.Close()); err != nil {
		b.Fatal(err)
	}
}
