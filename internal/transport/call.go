package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Call is one request on its way to its answer. It is the ResponseWriter of the
// answer, notes what was answered, and lets it go on as long as it makes
// progress.
type Call struct {
	http.ResponseWriter
	R   *http.Request
	ID  string
	Who string // asks, for the access line
	// Holder is whose share of the memory the request takes; "": its address's.
	Holder string

	handler *Handler
	to      *endpoint // nil: no route took it
	vars    map[string]string
	err     error
	start   time.Time
	status  int
	bytes   int64
	moved   time.Time // when the write deadline was set
	values  [8]string // of headers
	headers int
	hold    *Hold // nil: nothing yet
}

func (c *Call) Context() context.Context { return c.R.Context() }

// Var is what the path has in the place of a variable.
func (c *Call) Var(name string) string { return c.vars[name] }

// Started reports whether an answer was begun.
func (c *Call) Started() bool { return c.status != 0 }

// Set is Set of a header in its canonical spelling, without an allocation for
// the few that most answers have.
func (c *Call) Set(name, value string) {
	h := c.Header()
	if c.headers == len(c.values) {
		h[name] = []string{value}
		return
	}
	i := c.headers
	c.headers++
	c.values[i] = value
	h[name] = c.values[i : i+1 : i+1]
}

// JSON answers with a value.
func (c *Call) JSON(status int, v any) {
	b := buffers.Get().(*bytes.Buffer)
	b.Reset()
	if err := json.NewEncoder(b).Encode(v); err != nil {
		panic(fmt.Sprintf("encode answer: %v", err))
	}
	if n := int64(b.Len()); n > maxBuffer {
		if err := c.Hold(n - c.Holding().Has()); err != nil {
			c.Fail(err)
			return
		}
	}
	if len(c.Header()["Cache-Control"]) == 0 {
		c.Set("Cache-Control", "no-cache")
	}
	c.Send(status, "application/json", b.Bytes())
	if b.Cap() <= maxBuffer {
		buffers.Put(b)
	}
}

// buffers are for answers that are encoded as a whole; large ones are not kept.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const maxBuffer = 64 << 10

// Send answers with bytes.
func (c *Call) Send(status int, contentType string, body []byte) {
	c.Set("Content-Type", contentType)
	c.Set("Content-Length", strconv.Itoa(len(body)))
	c.WriteHeader(status)
	_, _ = c.Write(body) // the caller may be gone: there is nobody left to tell
}

// Unwrap is for http.ResponseController.
func (c *Call) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// Headers of every answer that may have a body; net/http copies them and nobody
// changes them.
var (
	noSniff    = []string{"nosniff"}
	noContent  = []string{"default-src 'none'; frame-ancestors 'none'"}
	noReferrer = []string{"no-referrer"}
)

// WriteHeader implements http.ResponseWriter.
func (c *Call) WriteHeader(status int) {
	if c.status == 0 {
		c.status = status
		if status != http.StatusNotModified {
			h := c.Header()
			h["X-Content-Type-Options"] = noSniff
			h["Content-Security-Policy"] = noContent
			h["Referrer-Policy"] = noReferrer
		}
	}
	c.ResponseWriter.WriteHeader(status)
}

// started answers 200 where nobody said anything else.
func (c *Call) started() {
	if c.status == 0 {
		c.WriteHeader(http.StatusOK)
	}
}

const (
	sendStall = 60 * time.Second // without progress of an answer
	piece     = 256 << 10        // what is sent on one deadline
)

// progress moves the write deadline on.
func (c *Call) progress() {
	c.started()
	if now := time.Now(); now.Sub(c.moved) > time.Second {
		// A recorder in a test has no deadline to set; the server's own has.
		_ = http.NewResponseController(c.ResponseWriter).SetWriteDeadline(now.Add(sendStall))
		c.moved = now
	}
}

// Write sends in pieces, and moves the write deadline on before each.
func (c *Call) Write(p []byte) (int, error) {
	sent := 0
	for {
		c.progress()
		n, err := c.ResponseWriter.Write(p[sent:min(sent+piece, len(p))])
		sent += n
		c.bytes += int64(n)
		if err != nil || sent == len(p) {
			return sent, err
		}
	}
}

// ReadFrom does the same for a file, which then never comes through here.
func (c *Call) ReadFrom(r io.Reader) (sent int64, err error) {
	to, ok := c.ResponseWriter.(io.ReaderFrom)
	from, limited := r.(*io.LimitedReader)
	if !ok || !limited {
		return io.Copy(struct{ io.Writer }{c}, r)
	}
	for from.N > 0 {
		c.progress()
		part := io.LimitedReader{R: from.R, N: min(from.N, piece)}
		n, err := to.ReadFrom(&part)
		sent += n
		c.bytes += n
		from.N -= n
		if err != nil || n == 0 {
			return sent, err
		}
	}
	return sent, nil
}

// requestID takes over a caller's id if it is plain, or makes one.
func requestID(given string) string {
	ok := given != "" && len(given) <= 64
	for i := 0; i < len(given) && ok; i++ {
		ok = isWord(given[i]) || given[i] == '.'
	}
	if ok {
		return given
	}
	return newID()
}

// newID is 128 bits in the alphabet of rand.Text. An id tells requests apart
// and keeps no secret, so it need not wait for the system's random bits.
func newID() string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	var b [26]byte
	for half := range 2 {
		bits := rand.Uint64()
		for i := range 13 {
			b[13*half+i] = alphabet[bits&31]
			bits >>= 5
		}
	}
	return string(b[:])
}
