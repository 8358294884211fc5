package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"reflect"
	"time"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/strictjson"
)

const (
	maxJSON = 1 << 20 // bytes of a JSON body
)

// pacedBody ends a request whose body comes slower than bodyRate once
// bodyGrace is over: the connection's read deadline moves on with the bytes.
type pacedBody struct {
	io.ReadCloser
	rc    *http.ResponseController
	start time.Time
	set   time.Time
	n     int64
}

func newPacedBody(w http.ResponseWriter, body io.ReadCloser) *pacedBody {
	return &pacedBody{ReadCloser: body, rc: http.NewResponseController(w), start: time.Now()}
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
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("%w: after %d bytes", errSlow, b.n)
	}
	return n, err
}

// readBody reads a whole body of at most max bytes.
func readBody(c *call, max int64) ([]byte, error) {
	if c.r.ContentLength > max {
		return nil, tooLarge(max)
	}
	var b bytes.Buffer
	b.Grow(int(min(max, c.r.ContentLength, 4<<10) + bytes.MinRead)) // what is announced is not yet sent
	if _, err := b.ReadFrom(io.LimitReader(c.r.Body, max+1)); err != nil {
		return nil, bodyError(err)
	}
	if int64(b.Len()) > max {
		return nil, tooLarge(max)
	}
	return b.Bytes(), nil
}

func tooLarge(max int64) error {
	return fmt.Errorf("%w: the limit is %d bytes", errTooLarge, max)
}

// bodyError tells a slow or broken-off body from a fault of ours.
func bodyError(err error) error {
	if errors.Is(err, errSlow) {
		return err
	}
	return fmt.Errorf("%w: read body: %w", errBadRequest, err)
}

// decode reads a JSON body strictly: one value, no unknown and no doubled
// key, valid UTF-8, and none of the required keys without a value. It returns
// the digest of what was sent and of the preconditions that belong to it.
func decode(c *call, into any, required ...string) (ref.Digest, error) {
	if t := c.r.Header.Get("Content-Type"); t != "" && t != "application/json" {
		if media, _, err := mime.ParseMediaType(t); err != nil || media != "application/json" {
			return ref.Digest{}, fmt.Errorf("%w: Content-Type %q, want application/json", errMediaType, clip(t))
		}
	}
	data, err := readBody(c, maxJSON)
	if err != nil {
		return ref.Digest{}, err
	}
	if err := strictjson.Unmarshal(data, into); err != nil {
		if errors.Is(err, ref.ErrInvalid) {
			return ref.Digest{}, err
		}
		return ref.Digest{}, fmt.Errorf("%w: read JSON body: %w", errBadRequest, err)
	}
	if err := checkRequired(reflect.ValueOf(into).Elem(), required); err != nil {
		return ref.Digest{}, err
	}
	return ref.DigestOf(append(data, "\n"+c.r.Header.Get("If-Match")...)), nil
}

// checkRequired names the first required key of a struct that has no value.
func checkRequired(v reflect.Value, required []string) error {
	if name := strictjson.Missing(v, required...); name != "" {
		return badRequest("read JSON body: %q is missing or empty", name)
	}
	return nil
}

func clip(s string) string {
	const most = 120
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
