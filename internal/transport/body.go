package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"time"
)

const (
	// MaxJSON is the most bytes of a JSON body.
	MaxJSON = 1 << 20

	bodyGrace = 30 * time.Second // before a body's rate counts
	bodyRate  = 1 << 10          // bytes a second that a body must come at
)

// pacedBody ends a request whose body comes slower than bodyRate once
// bodyGrace is over: the connection's read deadline moves on with the bytes.
type pacedBody struct {
	io.Reader
	rc    *http.ResponseController
	start time.Time
	set   time.Time
	n     int64
}

// RequestBody is the body of the request, which ends with ErrSlow where it
// comes too slowly. It is asked for once.
func (c *Call) RequestBody() io.Reader {
	if c.R.Body == nil || c.R.Body == http.NoBody {
		return http.NoBody
	}
	return newPacedBody(c.ResponseWriter, c.R.Body)
}

func newPacedBody(w http.ResponseWriter, body io.Reader) *pacedBody {
	return &pacedBody{Reader: body, rc: http.NewResponseController(w), start: time.Now()}
}

func (b *pacedBody) Read(p []byte) (int, error) {
	deadline := b.start.Add(bodyGrace + time.Duration(b.n)*time.Second/bodyRate)
	if deadline.Sub(b.set) > time.Second {
		// A recorder in a test has no deadline to set; the server's own has.
		if err := b.rc.SetReadDeadline(deadline); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return 0, err
		}
		b.set = deadline
	}
	n, err := b.Reader.Read(p)
	b.n += int64(n)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("%w: after %d bytes", ErrSlow, b.n)
	}
	return n, err
}

// ReadBody reads a whole body of at most so many bytes. What it is held in grows
// with what came, never with what is announced.
func (c *Call) ReadBody(most int64) ([]byte, error) {
	if c.R.ContentLength > most {
		return nil, TooLarge(most)
	}
	body := io.LimitReader(c.RequestBody(), most+1)
	b := make([]byte, 0, min(max(c.R.ContentLength, 0), smallBody)+bytes.MinRead)
	for {
		if len(b) == cap(b) {
			if cap(b) >= smallBody {
				if err := c.Hold(int64(cap(b))); err != nil {
					return nil, err
				}
			}
			b = append(make([]byte, 0, 2*cap(b)), b...)
		}
		n, err := body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case int64(len(b)) > most:
			return nil, TooLarge(most)
		case err == io.EOF:
			return b, nil
		case err != nil:
			return nil, BodyError(err)
		}
	}
}

// Taking takes from a budget what is read through it, in steps.
type Taking struct {
	io.Reader
	Take func(int64) error
	due  int64
}

const takeStep = 16 << 10

func (t *Taking) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	if t.due += int64(n); t.due >= takeStep {
		if err := t.Take(t.due); err != nil {
			return n, err
		}
		t.due = 0
	}
	return n, err
}

// ReadJSON reads a whole body that is said to be JSON, or said to be nothing.
func (c *Call) ReadJSON() ([]byte, error) {
	if t := c.R.Header.Get("Content-Type"); t != "" && t != "application/json" {
		if media, _, err := mime.ParseMediaType(t); err != nil || media != "application/json" {
			return nil, fmt.Errorf("%w: Content-Type %q, want application/json", ErrMediaType, Clip(t))
		}
	}
	return c.ReadBody(MaxJSON)
}

// BodyError tells a body that is slow, or one for which there is no room, from a
// broken one.
func BodyError(err error) error {
	if errors.Is(err, ErrSlow) || errors.Is(err, ErrBusy) {
		return err
	}
	return fmt.Errorf("%w: read body: %w", ErrBadRequest, err)
}

// Bounded ends r with ErrTooLarge after the most bytes that it may have.
func Bounded(r io.Reader, most int64) io.Reader { return &bounded{r, most, most} }

type bounded struct {
	io.Reader
	left, most int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, TooLarge(b.most)
	}
	n, err := b.Reader.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
