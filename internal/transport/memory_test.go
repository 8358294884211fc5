package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

func TestMemoryIsSharedAndGivenBack(t *testing.T) {
	m := NewMemory(100, 10*time.Millisecond)
	a, b, c := m.Hold("a"), m.Hold("b"), m.Hold("c")
	take := func(h *Hold, n int64, busy bool) {
		t.Helper()
		if err := h.Take(t.Context(), n); errors.Is(err, ErrBusy) != busy || err != nil && !busy {
			t.Errorf("%s takes %d of %d: %v", h.who, n, m.Used(), err)
		}
	}
	take(a, 30, false)
	take(a, 20, false)
	take(a, 1, true)           // half of all
	take(m.Hold("a"), 1, true) // another request of the same caller
	take(b, 60, true)          // not there
	take(b, 50, false)         // the other half
	take(c, 1, true)           // nothing is left
	a.Give(10)
	take(c, 10, false)
	a.Free()
	b.Free()
	take(b, 90, false) // one want may be larger than a share
	c.Free()
	b.Free()
	b.Free()
	take(a, 1000, false) // what is larger than all waits for all of it
	if m.Used() != 100 {
		t.Errorf("%d are held, want all 100", m.Used())
	}
	a.Free()
	if m.Used() != 0 || len(m.by) != 0 {
		t.Errorf("%d are held by %v, want none", m.Used(), m.by)
	}
}

func TestMemoryIsWaitedFor(t *testing.T) {
	m := NewMemory(10, time.Minute)
	first := m.Hold("a")
	if err := first.Take(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for _, who := range []string{"b", "c", "d", "e"} {
		all.Go(func() {
			h := m.Hold(who)
			defer h.Free()
			if err := h.Take(t.Context(), 8); err != nil {
				t.Errorf("%s: %v", who, err)
			}
		})
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if err := m.Hold("f").Take(gone, 8); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that went away: %v", err)
	}
	first.Free()
	all.Wait()
	if m.Used() != 0 {
		t.Errorf("%d are held, want none", m.Used())
	}
}

// A body takes from the budget what came of it, and gives it back with its
// request, however that ends.
func TestBodiesTakeMemoryWhileTheyAreRead(t *testing.T) {
	m := NewMemory(64<<10, time.Millisecond)
	var during int64
	h := New(Config{Memory: m, Metrics: NewMetrics(), Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Problem: func(err error, _ string) Problem {
		if errors.Is(err, ErrBusy) {
			return Problem{Status: http.StatusServiceUnavailable}
		}
		return Problem{Status: http.StatusBadRequest}
	}, Routes: []Route{{Method: http.MethodPost, Path: "/", Places: []string{"/"}, Serve: func(c *Call) error {
		data, err := c.ReadBody(MaxJSON)
		if during = m.Used(); err != nil {
			return err
		}
		c.Send(http.StatusOK, "text/plain", data)
		return nil
	}}}})
	for size, want := range map[int]int{0: 200, 100: 200, smallBody: 200, 20 << 10: 200, 200 << 10: 503} {
		body := bytes.Repeat([]byte("x"), size)
		for _, r := range []io.Reader{bytes.NewReader(body), io.MultiReader(bytes.NewReader(body))} { // with and without a length
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", r))
			if w.Code != want || want == 200 && !bytes.Equal(w.Body.Bytes(), body) {
				t.Errorf("a body of %d bytes: %d with %d bytes, want %d", size, w.Code, w.Body.Len(), want)
			}
			if size <= smallBody/2 && during != 0 || size > 2*smallBody && during < int64(smallBody) {
				t.Errorf("a body of %d bytes took %d", size, during)
			}
			if m.Used() != 0 {
				t.Fatalf("after a body of %d bytes %d are held", size, m.Used())
			}
		}
	}
}
