package transport

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// What is detected here. The table of errors that a Handler is given has a line
// for each.
var (
	ErrBadRequest = errors.New("bad request")
	ErrNotFound   = errors.New("not found")
	ErrMethod     = errors.New("method not allowed")
	ErrSlow       = errors.New("the body came slower than 1 KiB a second")
	ErrTooLarge   = errors.New("the body is too large")
	ErrURITooLong = errors.New("the URL is too long")
	ErrMediaType  = errors.New("unsupported media type")
	ErrRange      = errors.New("range not satisfiable")
	ErrBusy       = errors.New("too much at once")
	ErrLimited    = errors.New("too many requests")
)

// Problem is an error as it is answered.
type Problem struct {
	Status int
	Body   any // encoded as JSON
}

// BadRequest is ErrBadRequest with what is wrong.
func BadRequest(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrBadRequest, fmt.Sprintf(format, args...))
}

// TooLarge is ErrTooLarge with the most bytes that a body may have.
func TooLarge(most int64) error {
	return fmt.Errorf("%w: the limit is %d bytes", ErrTooLarge, most)
}

// Fail answers with an error, and notes it for the access line. An
// http.ErrAbortHandler cuts the answer off.
func (c *Call) Fail(err error) {
	if errors.Is(err, http.ErrAbortHandler) {
		if c.err == nil {
			c.err = err
		}
		panic(http.ErrAbortHandler)
	}
	c.refuse(err)
	if c.handler.Failed != nil {
		c.handler.Failed(err)
	}
}

// refuse writes the answer to an error.
func (c *Call) refuse(err error) {
	c.err = err
	p := c.handler.Problem(err, c.ID)
	h := c.Header()
	for _, name := range []string{"ETag", "Content-Encoding", "Content-Disposition", "Content-Length", "Accept-Ranges", "Last-Modified"} {
		h.Del(name)
	}
	if p.Status != http.StatusRequestedRangeNotSatisfiable {
		h.Del("Content-Range")
	}
	switch p.Status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Basic realm="chartd", charset="UTF-8"`)
	case http.StatusServiceUnavailable:
		// Only where waiting helps: a client that is told to wait may give the
		// whole repository up until then, as Renovate does.
		if errors.Is(err, ErrBusy) {
			h.Set("Retry-After", "5")
		}
	case http.StatusTooManyRequests:
		h.Set("Retry-After", retryAfter(err))
	case http.StatusRequestTimeout:
		h.Set("Connection", "close")
	}
	h.Set("Cache-Control", "no-store")
	c.JSON(p.Status, p.Body)
}

// limitError is ErrLimited with the time after which to try again.
type limitError struct {
	text string
	wait time.Duration
}

func limited(wait time.Duration, format string, a ...any) error {
	return &limitError{fmt.Sprintf(format, a...), wait}
}

func (e *limitError) Error() string { return ErrLimited.Error() + ": " + e.text }
func (e *limitError) Unwrap() error { return ErrLimited }

// seconds is a wait as Retry-After has it, never too short.
func seconds(wait time.Duration) int64 { return int64((wait + time.Second - 1) / time.Second) }

// retryAfter is the Retry-After header of an error that is answered 429.
func retryAfter(err error) string {
	var l *limitError
	if errors.As(err, &l) {
		return strconv.FormatInt(seconds(l.wait), 10)
	}
	return "1"
}

// Clip shortens what a caller sent, to be quoted to it or in the log.
func Clip(s string) string {
	const most = 120
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
