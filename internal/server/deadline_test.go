package server

import (
	"bufio"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"golang.org/x/net/nettest"
)

// pipe is a connection as chartd accepts it, and its other end.
func pipe(t testing.TB) (ours, theirs net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if theirs, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if ours, err = Listen(l).Accept(); err != nil {
		t.Fatal(err)
	}
	if _, ok := ours.(*conn); !ok {
		t.Fatalf("a %T was accepted", ours)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}

// A connection of chartd keeps what Go promises of one.
func TestConnIsANetConn(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		c1, c2 = pipe(t)
		return c1, c2, func() { c1.Close(); c2.Close() }, nil
	})
}

// A deadline that is put off while a read waits for it ends the read at the
// new time, not before.
func TestDeadlinePutOff(t *testing.T) {
	ours, theirs := pipe(t)
	soon := time.Now().Add(50 * time.Millisecond)
	if err := ours.SetReadDeadline(soon); err != nil {
		t.Fatal(err)
	}
	read := make(chan error)
	p := make([]byte, 10)
	go func() {
		_, err := ours.Read(p)
		read <- err
	}()
	later := soon.Add(200 * time.Millisecond)
	if err := ours.SetReadDeadline(later); err != nil {
		t.Fatal(err)
	}
	if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().Before(later) {
		t.Errorf("%v, %s before the deadline", err, time.Until(later))
	}
	// None at all: what comes is read, though the former one is over.
	if err := ours.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(theirs, "hello"); err != nil {
		t.Fatal(err)
	}
	if n, err := io.ReadFull(ours, p[:5]); err != nil || string(p[:n]) != "hello" {
		t.Errorf("%q, %v", p[:n], err)
	}
}

// However deadlines come, a call is never ended before the one that counts,
// and one that has come ends it.
func TestDeadlineModel(t *testing.T) {
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 1))
		var armed time.Time
		d := deadline{arm: func(t time.Time) error { armed = t; return nil }}
		base := time.Now()
		choices := []time.Time{{}, time.Unix(1, 0), base.Add(-time.Second), base.Add(time.Hour), base.Add(2 * time.Hour), base.Add(3 * time.Hour)}
		var want time.Time
		for range 30 {
			want = choices[random.IntN(len(choices))]
			if err := d.set(want); err != nil {
				t.Fatal(err)
			}
			err := d.begin()
			if random.IntN(2) == 0 && err == nil { // another while the call is under way
				want = choices[random.IntN(len(choices))]
				if err := d.set(want); err != nil {
					t.Fatal(err)
				}
			}
			for err == nil {
				// The connection ends the call when what is armed is over.
				if armed.IsZero() || armed.After(base) {
					if !d.end(nil) {
						break
					}
					t.Fatal("a call that went well is made again")
				}
				if !d.end(os.ErrDeadlineExceeded) {
					err = os.ErrDeadlineExceeded
				} else if e := d.begin(); e != nil {
					err = e
				}
			}
			over := !want.IsZero() && !want.After(base)
			if over != (err != nil) {
				t.Fatalf("seed %d: want %v, armed %v, the call ended with %v", seed, want, armed, err)
			}
			if !want.IsZero() && (armed.IsZero() || armed.After(want)) && err == nil {
				t.Fatalf("seed %d: %v is armed, later than %v", seed, armed, want)
			}
		}
	}
}

// What a request costs the runtime's timers: nothing, once the first is set.
func TestDeadlinesOfARequestAreNotArmed(t *testing.T) {
	armed := 0
	d := deadline{arm: func(time.Time) error { armed++; return nil }}
	now := time.Now()
	for i := range 1000 {
		now = now.Add(time.Millisecond)
		for _, at := range []time.Time{now.Add(time.Minute), now.Add(time.Minute + time.Second), {}, time.Unix(1, 0), {}} {
			if err := d.set(at); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.begin(); err != nil {
			t.Fatal(err)
		}
		d.end(nil)
		if i == 0 {
			armed = 0
		}
	}
	if armed != 0 {
		t.Errorf("armed %d times in 999 requests", armed)
	}
}

// A caller that hangs up ends the request's context, as net/http promises.
func TestHangingUpEndsTheRequest(t *testing.T) {
	ended, started := make(chan bool), make(chan bool)
	s := serveAsChartd(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
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
	s := serveAsChartd(t, g.server)
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
