package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"chartd.dev/chartd/internal/api"
)

func fail(code api.Code, format string, a ...any) *api.Error {
	return &api.Error{Code: code, Message: fmt.Sprintf(format, a...)}
}

// brokenBody is a read error of an answer's body.
type brokenBody struct{ error }

func (b *brokenBody) Unwrap() error { return b.error }

// readBounded reads all of r, at most max bytes.
func readBounded(r io.Reader, max int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, max+1))
	if err != nil {
		return nil, &brokenBody{err}
	}
	if int64(len(b)) > max {
		return nil, fail(api.CodeTooLarge, "the answer is larger than %d bytes", max)
	}
	return b, nil
}

// transportError says what kept an answer from arriving. Cancellation by the
// caller stays the context's own error.
func (c *Client) transportError(ctx context.Context, r request, err error) (time.Duration, error) {
	var own *api.Error
	if errors.As(err, &own) {
		return -1, own
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return -1, context.Canceled
	}
	if why, ok := tlsError(err); ok {
		return -1, fail(api.CodeInvalid, "cannot trust %s: %s", c.base, why)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return -1, fail(api.CodeUnavailable, "%s did not answer in time", c.base)
	}
	verb := "read from"
	if r.method != http.MethodGet && r.method != http.MethodHead {
		verb = "write to"
	}
	return 0, fail(api.CodeUnavailable, "cannot %s %s: %s", verb, c.base, rootCause(err))
}

// rootCause drops net/http's prefix, which repeats method and URL.
func rootCause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil || !strings.Contains(err.Error(), "http") {
			return err.Error()
		}
		err = inner
	}
}

// tlsError reports whether err says that the peer is not whom we expect, or
// does not speak TLS. Trying again would not help.
func tlsError(err error) (string, bool) {
	var (
		verify *tls.CertificateVerificationError
		record tls.RecordHeaderError
		alert  tls.AlertError
		host   x509.HostnameError
		cert   x509.CertificateInvalidError
		unsure x509.UnknownAuthorityError
	)
	switch {
	case errors.As(err, &verify):
		return verify.Err.Error(), true
	case errors.As(err, &record):
		return "it does not speak TLS on that port", true
	case errors.As(err, &alert):
		return alert.Error(), true
	case errors.As(err, &host), errors.As(err, &cert), errors.As(err, &unsure):
		return rootCause(err), true
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "it does not speak TLS on that port; for plain HTTP write http://", true
	case strings.Contains(err.Error(), "tls: "):
		return rootCause(err), true
	}
	return "", false
}

// answerError reads an error answer. One that is not the API's own, from a
// proxy for example, gets the code that its status stands for.
func (c *Client) answerError(resp *http.Response) *api.Error {
	var e api.Error
	b, _ := readBounded(resp.Body, maxError)
	if json.Unmarshal(b, &e) != nil || e.Message == "" {
		e = api.Error{Foreign: true, Message: fmt.Sprintf("%s answered %s to %s %s", c.base, resp.Status, resp.Request.Method, resp.Request.URL.Path)}
	}
	if e.Code == "" {
		e.Code = codeOf(resp.StatusCode)
	}
	if e.RequestID == "" {
		e.RequestID = resp.Header.Get("X-Request-Id")
	}
	e.Status = resp.StatusCode
	return &e
}

// Refused reports whether err is the server's word that a write had no effect.
// It knows a key that it has seen; a proxy, a rate limit and the check of a
// credential do not, so theirs counts only where no earlier try was sent.
func Refused(err error) bool {
	e, ok := errors.AsType[*api.Error](err)
	if !ok || e.Foreign || e.Status/100 != 4 {
		return false
	}
	unread := e.Status == http.StatusRequestTimeout || e.Status == http.StatusTooManyRequests ||
		e.Code == api.CodeUnauthorized || e.Code == api.CodeForbidden
	return !unread || !e.Again
}

// codes are what a status stands for where the answer does not say it.
var codes = map[int]api.Code{
	http.StatusUnauthorized:          api.CodeUnauthorized,
	http.StatusForbidden:             api.CodeForbidden,
	http.StatusNotFound:              api.CodeNotFound,
	http.StatusGone:                  api.CodeNotFound,
	http.StatusMethodNotAllowed:      api.CodeMethod,
	http.StatusRequestTimeout:        api.CodeTimeout,
	http.StatusConflict:              api.CodeExists,
	http.StatusPreconditionFailed:    api.CodeStale,
	http.StatusPreconditionRequired:  api.CodePrecondition,
	http.StatusRequestEntityTooLarge: api.CodeTooLarge,
	http.StatusUnsupportedMediaType:  api.CodeMediaType,
	http.StatusUnprocessableEntity:   api.CodeRefused,
	http.StatusLocked:                api.CodeHalted,
	http.StatusTooManyRequests:       api.CodeRateLimited,
	http.StatusBadGateway:            api.CodeUnavailable,
	http.StatusServiceUnavailable:    api.CodeUnavailable,
	http.StatusGatewayTimeout:        api.CodeUnavailable,
	http.StatusInsufficientStorage:   api.CodeNoSpace,
}

func codeOf(status int) api.Code {
	if code, known := codes[status]; known {
		return code
	}
	if status >= 300 && status < 500 {
		return api.CodeInvalid
	}
	return api.CodeInternal
}

// maxWait bounds a wait between two tries. Who is told to come back later than
// that after too many requests does not try at all: it would be one more.
const maxWait = 10 * time.Second

// retryAfter says how long to wait before the next try; negative: there is none.
func retryAfter(resp *http.Response, e *api.Error) time.Duration {
	switch {
	case resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusBadGateway && resp.StatusCode != http.StatusServiceUnavailable:
		return -1
	case e.Code != api.CodeUnavailable && e.Code != api.CodeRateLimited:
		return -1 // such as a digest that a registry got wrong: it stays wrong
	}
	n, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0
	}
	if n > uint64(maxWait/time.Second) {
		if resp.StatusCode == http.StatusTooManyRequests {
			return -1
		}
		return maxWait
	}
	return time.Duration(n) * time.Second
}

// backoff doubles with each try and is spread by half, so that clients which
// failed together do not come back together.
func (c *Client) backoff(try int) time.Duration {
	d := min(c.opts.Backoff<<min(try, 8), maxWait)
	return d/2 + rand.N(d/2+1)
}
