package server

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// listen serves a handler over real connections.
func listen(t testing.TB, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// A file that several read at once reaches each of them whole and in parts,
// those too that read slowly and those that hang up.
func TestFileIsSentToManyAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	data := make([]byte, 3<<20) // more than a connection takes at once
	for i := range data {
		data[i] = byte(i ^ i>>8 ^ i>>16)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan bool, 100)
	s := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w}
		var part section
		if _, err := fmt.Sscan(r.URL.Query().Get("part"), &part.off, &part.length); err != nil {
			t.Error(err)
		}
		part.status = http.StatusOK
		f, err := os.Open(path)
		if err != nil {
			t.Error(err)
			return
		}
		if err := sendFile(&call{w: rec, r: r}, f, part); err != nil {
			t.Error(err)
		}
		done <- errors.Is(f.Close(), os.ErrClosed)
		if rec.bytes != part.length && r.URL.Query().Get("whole") != "" {
			t.Errorf("%d bytes are counted of %d", rec.bytes, part.length)
		}
	}))
	get := func(off, length int, slow bool) {
		resp, err := s.Client().Get(s.URL + fmt.Sprintf("/?whole=1&part=%d+%d", off, length))
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		if slow {
			if _, err := io.ReadFull(resp.Body, make([]byte, 1000)); err != nil {
				t.Error(err)
			}
			time.Sleep(20 * time.Millisecond)
			off, length = off+1000, length-1000
		}
		if got, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(got, data[off:off+length]) {
			t.Errorf("%d bytes of %d from %d, or others: %v", len(got), length, off, err)
		}
	}
	var wait sync.WaitGroup
	for i := range 16 {
		wait.Go(func() {
			get(i*1000, 45_000+i, false)
			get(i, len(data)-i, i%4 == 0)
			get(len(data)-1-i, 1, false)
			get(i, 0, false)
		})
	}
	wait.Wait()
	// One hangs up in the middle.
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "GET /?part=0+%d HTTP/1.1\r\nHost: x\r\n\r\n", len(data))
	_, _ = io.ReadFull(c, make([]byte, 10))
	_ = c.Close()
	for range 65 {
		if closed := <-done; !closed {
			t.Error("a file stays open")
		}
	}
}

// A file that got shorter ends the connection: the answer is not complete.
func TestShortFileCutsTheAnswerOff(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("short"); err != nil {
		t.Fatal(err)
	}
	s := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w}
		again, err := os.Open(f.Name())
		if err != nil {
			t.Error(err)
			return
		}
		err = sendFile(&call{w: rec, r: r}, again, section{0, 1000, http.StatusOK})
		if err != http.ErrAbortHandler || rec.err == nil {
			t.Errorf("%v, noted %v", err, rec.err)
		}
		panic(http.ErrAbortHandler)
	}))
	resp, err := s.Client().Get(s.URL)
	if err != nil {
		return // not even the header came
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); err == nil || string(got) != "short" {
		t.Errorf("%q, %v", got, err)
	}
}

// A caller that hangs up ends the request's context, as net/http promises.
func TestHangingUpEndsTheRequest(t *testing.T) {
	ended, started := make(chan bool), make(chan bool)
	s := listen(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(started)
		<-r.Context().Done()
		close(ended)
	}))
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-started
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	<-ended
}

// Whoever announces too much is told so, and need not send it first.
func TestTooLargeABodyIsAnsweredUnsent(t *testing.T) {
	g := newRig(t)
	s := listen(t, g.server)
	for _, expect := range []string{"", "Expect: 100-continue\r\n"} {
		c, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "POST /api/charts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+g.admin+"\r\n"+expect+"Content-Length: 999999999\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatalf("%q: %v", expect, err)
		}
		if resp.StatusCode != http.StatusRequestEntityTooLarge || !resp.Close {
			t.Errorf("%q: %s, closed %v", expect, resp.Status, resp.Close)
		}
		resp.Body.Close()
		c.Close()
	}
}
