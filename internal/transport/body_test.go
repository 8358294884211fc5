package transport

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/iotest"
	"time"
)

type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) { return len(p), nil }

// A body that stops is ended by the connection's deadline, with 408.
func TestSlowBodyIsTimedOut(t *testing.T) {
	client, conn := net.Pipe()
	defer client.Close()
	defer conn.Close()
	body := newPacedBody(deadlines{httptest.NewRecorder(), conn}, conn)
	body.start = time.Now().Add(-bodyGrace)
	if _, err := body.Read(make([]byte, 1)); !errors.Is(err, ErrSlow) {
		t.Fatalf("%v, want ErrSlow", err)
	}
	body = newPacedBody(deadlines{httptest.NewRecorder(), conn}, iotest.OneByteReader(neverEnding{}))
	for range 10 {
		if n, err := body.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := BodyError(fmt.Errorf("read: %w", ErrSlow)); !errors.Is(err, ErrSlow) || errors.Is(err, ErrBadRequest) {
		t.Errorf("%v is not what it was", err)
	}
}

// deadlines is a response writer with a real connection's read deadline.
type deadlines struct {
	http.ResponseWriter
	conn net.Conn
}

func (d deadlines) SetReadDeadline(t time.Time) error { return d.conn.SetReadDeadline(t) }
