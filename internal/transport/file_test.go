package transport

import (
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
	s := listen(t, parts(t, path, done))
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

// parts serves the part of a file that the query names, and says afterwards
// whether the file is closed.
func parts(t *testing.T, path string, done chan<- bool) http.Handler {
	return serve(func(c *Call) error {
		var off, length int64
		if _, err := fmt.Sscan(c.R.URL.Query().Get("part"), &off, &length); err != nil {
			t.Error(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Error(err)
			return err
		}
		_, err = f.Seek(off, io.SeekStart)
		err = errors.Join(err, c.File(File{Size: length, Open: func(int64, int64) (io.ReadCloser, error) { return f, nil }}))
		if err != nil {
			t.Error(err)
		}
		done <- errors.Is(f.Close(), os.ErrClosed)
		if c.bytes != length && c.R.URL.Query().Get("whole") != "" {
			t.Errorf("%d bytes are counted of %d", c.bytes, length)
		}
		return nil
	})
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
	s := listen(t, serve(func(c *Call) error {
		err := c.File(File{Name: "f", Size: 1000, Open: func(int64, int64) (io.ReadCloser, error) { return os.Open(f.Name()) }})
		if err != http.ErrAbortHandler || c.err == nil {
			t.Errorf("%v, noted %v", err, c.err)
		}
		return err
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

// A file reaches the connection as one, through all that wraps the answer.
func TestFileReachesTheConnection(t *testing.T) {
	to := &fromReader{ResponseRecorder: httptest.NewRecorder()}
	w := &Call{ResponseWriter: to}
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data := bytes.Repeat([]byte("0123456789"), 60_000)
	if _, err := f.WriteAt(data, 0); err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(w, io.LimitReader(f, int64(len(data))))
	if err != nil || n != int64(len(data)) || w.bytes != n || !bytes.Equal(to.Body.Bytes(), data) {
		t.Errorf("%d bytes, %d counted, %d arrived: %v", n, w.bytes, to.Body.Len(), err)
	}
	if to.files != 3 || to.others != 0 {
		t.Errorf("%d pieces came as a file, %d otherwise", to.files, to.others)
	}
}

// fromReader counts what comes as a file that the kernel can copy.
type fromReader struct {
	*httptest.ResponseRecorder
	files, others int
}

func (w *fromReader) ReadFrom(r io.Reader) (int64, error) {
	part, ok := r.(*io.LimitedReader)
	if ok {
		_, ok = part.R.(*os.File)
	}
	if ok {
		w.files++
	} else {
		w.others++
	}
	return io.Copy(w.Body, r)
}
