package e2e

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/testtools"
)

// counted are the system calls that touch files or sockets. Those that wait,
// and those of the Go runtime, follow the clock and the machine instead.
const counted = "read,write,pread64,pwrite64,writev,pwritev,openat,close,fsync,fdatasync,syncfs,newfstatat,fstat,lseek," +
	"ftruncate,fallocate,mkdirat,renameat,renameat2,linkat,unlinkat,sync_file_range,getdents64,copy_file_range,sendfile"

// work is what the operations between two moments cost the server.
type work struct {
	calls   int
	written int64 // bytes
	syncs   int
}

func (w work) String() string {
	return fmt.Sprintf("%d system calls, %d bytes written, %d syncs", w.calls, w.written, w.syncs)
}

// traced is a chartd on data, under strace.
type traced struct {
	*rig.Server
	t     *testing.T
	trace string
}

func startTraced(t *testing.T, data string) *traced {
	t.Helper()
	trace := filepath.Join(t.TempDir(), "trace")
	// -D makes strace the server's child, so that signals reach the server.
	under := []string{rig.Program(t, "strace"), "-D", "-f", "-ttt", "-s", "0", "--seccomp-bpf", "-o", trace, "-e", "trace=" + counted}
	s, err := rig.Start(t.Context(), rig.ServerConfig{Binary: testtools.Chartd(t), Data: data, Args: []string{"--log-level", "warn"}, Under: under})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return &traced{s, t, trace}
}

// finish stops the server and returns what it did between each moment and the
// next.
func (s *traced) finish(moments []time.Time) []work {
	s.t.Helper()
	if err := s.Stop(); err != nil {
		s.t.Fatal(err)
	}
	var text []byte
	ended := fmt.Sprintf("%d ", s.Pid())
	waitFor(s.t, "the end of the trace", func() bool {
		text, _ = os.ReadFile(s.trace)
		i := strings.LastIndex(string(text), ended)
		return i >= 0 && strings.Contains(string(text[i:]), "+++ exited")
	})
	out := make([]work, len(moments)-1)
	lines := bufio.NewScanner(strings.NewReader(string(text)))
	for lines.Scan() {
		// 1234 1795456486.249812 pwrite64(7, ""..., 4096, 16384) = 4096
		f := strings.Fields(lines.Text())
		if len(f) < 3 {
			continue
		}
		seconds, err := strconv.ParseFloat(f[1], 64)
		if err != nil {
			s.t.Fatalf("the trace holds %q", lines.Text())
		}
		at := time.UnixMicro(int64(seconds * 1e6))
		for i := range out {
			if !at.Before(moments[i]) && at.Before(moments[i+1]) {
				out[i].add(f[2:])
			}
		}
	}
	return out
}

// add counts one line: a call when it begins, and what it wrote when it ends.
func (w *work) add(f []string) {
	name, resumed := f[0], false
	if name == "<..." && len(f) > 1 {
		name, resumed = f[1], true
	}
	name, _, _ = strings.Cut(name, "(")
	if strings.HasPrefix(name, "+++") || strings.HasPrefix(name, "---") {
		return
	}
	if !resumed {
		w.calls++
		if name == "fsync" || name == "fdatasync" || name == "syncfs" {
			w.syncs++
		}
	}
	if n, err := strconv.ParseInt(f[len(f)-1], 10, 64); err == nil && n > 0 && strings.Contains(name, "write") {
		w.written += n
	}
}

// publishPlain publishes a small chart without images, n times.
func publishPlain(t *testing.T, s *rig.Server, from, n int) {
	t.Helper()
	c := must(s.Client())
	root := must(testtools.Root())
	for i := from; i < from+n; i++ {
		pkg := must(rig.Hub{Chart: "plain", Version: fmt.Sprintf("7.%d.%d", i/100, i%100)}.Package(root))
		if _, err := c.Publish(t.Context(), client.PublishRequest{Package: pkg}); err != nil {
			t.Fatal(err)
		}
	}
}

// pinAgain pins an environment to what it is pinned to, n times.
func pinAgain(t *testing.T, s *rig.Server, env ref.Env, n int) {
	t.Helper()
	c := must(s.Client())
	e := must(c.Environment(t.Context(), env))
	for i := range n {
		if _, err := c.Pin(t.Context(), client.PinCall{Env: env, Base: e.Revision + uint64(i), Pin: api.PinRequest{Binding: e.Binding.ID, Reason: "again"}}); err != nil {
			t.Fatal(err)
		}
	}
}

// operations are enough for what happens once in a while to happen in each
// count about as often.
const operations = 400

// countWork publishes and pins on a server under strace.
func countWork(t *testing.T, data string) (publish, pin work) {
	t.Helper()
	const n = operations
	s := startTraced(t, data)
	env := must(ref.ParseEnv("hub00/prod"))
	// What is done once after a start does not belong to an operation.
	publishPlain(t, s.Server, 0, 20)
	pinAgain(t, s.Server, env, 20)
	moments := []time.Time{time.Now()}
	publishPlain(t, s.Server, 20, n)
	moments = append(moments, time.Now())
	pinAgain(t, s.Server, env, n)
	moments = append(moments, time.Now())
	w := s.finish(moments)
	for _, w := range w {
		if w.calls < n || w.written < n || w.syncs < n {
			t.Fatalf("%d operations are not in the trace: %v", n, w)
		}
	}
	return w[0], w[1]
}

// wantSameWork allows a third more calls: a tree of a hundred times as many
// keys is one level deeper. Bytes may double, because what is written behind
// the commits comes in lumps, one more or fewer while it is counted; work that
// follows the whole would be a hundred times as much.
func wantSameWork(t *testing.T, what string, few, many work) {
	t.Helper()
	t.Logf("%s: %v; among a hundred times as many: %v", what, few, many)
	for _, c := range []struct {
		of        string
		few, many int64
		most      float64
	}{
		{"system calls", int64(few.calls), int64(many.calls), 1.33},
		{"syncs", int64(few.syncs), int64(many.syncs), 1.33},
		{"bytes written", few.written, many.written, 2},
	} {
		if float64(c.many) > c.most*float64(c.few) {
			t.Errorf("%s: %d %s, and %d among a hundred times as many", what, c.few, c.of, c.many)
		}
	}
}
