package e2e

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/testtools"
)

// generation is one state of the index, as a fast reader saw it.
type generation struct {
	etag string
	size int64
	sum  [sha256.Size]byte
}

// slowReader has asked for the index and takes it a few kilobytes at a time.
type slowReader struct {
	began generation
	conn  net.Conn
	resp  *http.Response
	got   int64
	sum   io.Writer
	total func() [sha256.Size]byte
}

// checkSlowReaders lets four clients take an index of 60 MB at a trickle, each
// another generation of it, while others publish: no publish waits for them,
// each gets the generation it began with to the last byte, and the server
// keeps no copy for any.
func checkSlowReaders(t *testing.T, data string) {
	s, err := rig.Start(t.Context(), rig.ServerConfig{Binary: testtools.Chartd(t), Data: data, Args: []string{"--log-level", "warn"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	var readers []*slowReader
	held := map[string]bool{}
	readGeneration(t, s) // what the first read makes once is no reader's copy
	before := ownMemory(t, s)
	for i := range 4 {
		r := startSlowReader(t, s, readGeneration(t, s))
		readers = append(readers, r)
		held[r.began.etag] = true
		publishPlain(t, s, 1_000+2*i, 2)
		for _, r := range readers {
			r.read(t, 4<<10)
		}
	}
	for _, r := range readers {
		if r.got > r.began.size/2 {
			t.Fatalf("a slow reader has %d of %d bytes: it was not slow", r.got, r.began.size)
		}
	}
	if len(held) != len(readers) {
		t.Errorf("the readers hold %d generations, want %d: %v", len(held), len(readers), held)
	}
	if last := readGeneration(t, s); held[last.etag] {
		t.Errorf("8 publishes were answered and the index is still %s", last.etag)
	}
	grown, size := ownMemory(t, s)-before, readers[0].began.size
	t.Logf("an index of %d bytes, %d slow readers: memory grew by %d bytes", size, len(readers), grown)
	if size < 50<<20 {
		t.Errorf("the index has %d bytes, want one of 50 MB: a small one hides copies", size)
	}
	if grown > size/2 {
		t.Errorf("memory grew by %d bytes while %d slow readers hold an index of %d: somebody copied it", grown, len(readers), size)
	}
	for i, r := range readers {
		r.read(t, r.began.size-r.got)
		if r.total() != r.began.sum {
			t.Errorf("reader %d: other bytes than those of %s, with which it began", i, r.began.etag)
		}
	}
}

// readGeneration reads the whole plain index at full speed.
func readGeneration(t *testing.T, s *rig.Server) generation {
	t.Helper()
	req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/index.yaml", nil))
	req.Header.Set("Accept-Encoding", "identity")
	resp := must(http.DefaultClient.Do(req))
	defer resp.Body.Close()
	h := sha256.New()
	n, err := io.Copy(h, resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("read the index: %s, %v", resp.Status, err)
	}
	return generation{resp.Header.Get("ETag"), n, [sha256.Size]byte(h.Sum(nil))}
}

func startSlowReader(t *testing.T, s *rig.Server, began generation) *slowReader {
	t.Helper()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		// Before the connection is made, else the window is as large as usual.
		if e := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<10) }); e != nil {
			return e
		}
		return err
	}}
	host, _ := strings.CutPrefix(s.URL, "http://")
	conn := must(d.DialContext(t.Context(), "tcp", host))
	t.Cleanup(func() { conn.Close() })
	must(fmt.Fprintf(conn, "GET /index.yaml HTTP/1.1\r\nHost: %s\r\n\r\n", host))
	resp := must(http.ReadResponse(bufio.NewReaderSize(conn, 1<<10), nil))
	h := sha256.New()
	if got := resp.Header.Get("ETag"); got != began.etag || resp.ContentLength != began.size {
		t.Fatalf("the slow reader is sent %s of %d bytes, want %s of %d", got, resp.ContentLength, began.etag, began.size)
	}
	return &slowReader{began: began, conn: conn, resp: resp, sum: h, total: func() [sha256.Size]byte { return [sha256.Size]byte(h.Sum(nil)) }}
}

func (r *slowReader) read(t *testing.T, n int64) {
	t.Helper()
	if err := r.conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	got, err := io.CopyN(r.sum, r.resp.Body, n)
	r.got += got
	if err != nil {
		t.Fatalf("a slow reader, after %d of %d bytes: %v", r.got, r.began.size, err)
	}
}

// ownMemory is what the server has resident apart from mapped files, in bytes.
func ownMemory(t *testing.T, s *rig.Server) int64 {
	t.Helper()
	text := must(os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Pid())))
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "RssAnon:" {
			return must(strconv.ParseInt(f[1], 10, 64)) << 10
		}
	}
	t.Fatalf("no RssAnon in %s", text)
	return 0
}

// waitFor looks again and again until it holds.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited a minute for %s", what)
		}
	}
}
