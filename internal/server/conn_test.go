package server

import (
	"bytes"
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

	"chartd.dev/chartd/storage"
)

// serveAsChartd serves a handler with the connections that chartd has.
func serveAsChartd(t testing.TB, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Listener = Listen(s.Listener)
	s.Config.ConnContext = Context
	s.Start()
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
	shared, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	released := make(chan bool, 100)
	s := serveAsChartd(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w}
		var part section
		if _, err := fmt.Sscan(r.URL.Query().Get("part"), &part.off, &part.length); err != nil {
			t.Error(err)
		}
		part.status = http.StatusOK
		if err := sendFile(&call{w: rec, r: r}, storage.NewFile(shared, func() { released <- true }), part); err != nil {
			t.Error(err)
		}
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
		<-released
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
	for name, s := range map[string]func(testing.TB, http.Handler) *httptest.Server{
		"chartd's connections": serveAsChartd,
		"others": func(t testing.TB, h http.Handler) *httptest.Server {
			s := httptest.NewServer(h)
			t.Cleanup(s.Close)
			return s
		},
	} {
		s := s(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := &recorder{ResponseWriter: w}
			err := sendFile(&call{w: rec, r: r}, storage.NewFile(f, func() {}), section{0, 1000, http.StatusOK})
			if err != http.ErrAbortHandler || rec.err == nil {
				t.Errorf("%s: %v, noted %v", name, err, rec.err)
			}
			panic(http.ErrAbortHandler)
		}))
		resp, err := s.Client().Get(s.URL)
		if err != nil {
			continue // not even the header came
		}
		if got, err := io.ReadAll(resp.Body); err == nil || string(got) != "short" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		_ = resp.Body.Close()
	}
}
