package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/resolve"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/store"
	"chartd.dev/chartd/repo"
	"chartd.dev/chartd/storage"
)

// What the HTTP layer itself detects.
var (
	errBadRequest = errors.New("bad request")
	errNoRoute    = errors.New("not found")
	errMethod     = errors.New("method not allowed")
	errSlow       = errors.New("the body came slower than 1 KiB a second")
	errTooLarge   = errors.New("the body is too large")
	errURITooLong = errors.New("the URL is too long")
	errMediaType  = errors.New("unsupported media type")
	errRange      = errors.New("range not satisfiable")
	errNeedMatch  = errors.New("precondition missing")
	errBusy       = errors.New("too many uploads at once")
	errNotReady   = errors.New("writes cannot be kept")
	errLimited    = errors.New("too many requests")
)

// mapping is one line of the table. say, where it is given, replaces the
// error's own text, which could name files of this machine.
type mapping struct {
	err    error
	status int
	code   api.Code
	say    string
}

// table is the only place where an error becomes a status and a code. The
// first line that matches counts: what a store says of itself comes before
// what was being done.
var table = []mapping{
	{storage.ErrBroken, 500, api.CodeInternal, "the blob store is broken and the server stops; see its log"},
	{store.ErrBroken, 500, api.CodeInternal, "the lock database is broken and the server stops; see its log"},
	{store.ErrDamaged, 500, api.CodeInternal, "what the lock database holds of this is damaged; run chartd fsck, and restore a backup"},
	{store.ErrPanic, 500, api.CodeInternal, "internal error; nothing was written"},
	{store.ErrNoKey, 500, api.CodeInternal, "internal error"},
	{storage.ErrNoSpace, 507, api.CodeNoSpace, "there is no space left for packages; nothing was stored, try again when there is"},
	{store.ErrNoSpace, 507, api.CodeNoSpace, "there is no space left for the lock database; nothing was written, try again when there is"},
	{repo.ErrBlobMissing, 500, api.CodeBlobMissing, ""},
	{storage.ErrNotExist, 500, api.CodeBlobMissing, "the stored file is missing; publish the same package again to mend it"},
	{storage.ErrMismatch, 500, api.CodeBlobMissing, "the stored file is damaged; publish the same package again to mend it"},
	{store.ErrLocked, 503, api.CodeUnavailable, ""},
	{repo.ErrUnavailable, 503, api.CodeUnavailable, ""},

	{auth.ErrUnauthorized, 401, api.CodeUnauthorized, ""},
	{auth.ErrForbidden, 403, api.CodeForbidden, ""},
	{auth.ErrScope, 422, api.CodeInvalid, ""},
	{auth.ErrToken, 422, api.CodeInvalid, ""},

	{errNoRoute, 404, api.CodeNotFound, ""},
	{errMethod, 405, api.CodeMethod, ""},
	{errSlow, 408, api.CodeTimeout, ""},
	{errTooLarge, 413, api.CodeTooLarge, ""},
	{errURITooLong, 414, api.CodeTooLarge, ""},
	{errMediaType, 415, api.CodeMediaType, ""},
	{errRange, 416, api.CodeRange, ""},
	{errNeedMatch, 428, api.CodePrecondition, ""},
	{errLimited, 429, api.CodeRateLimited, ""},
	{errBusy, 503, api.CodeUnavailable, ""},
	{errNotReady, 503, api.CodeUnavailable, ""},
	{errBadRequest, 400, api.CodeInvalid, ""},

	{lock.ErrNotFound, 404, api.CodeNotFound, ""},
	{lock.ErrExists, 409, api.CodeExists, ""},
	{lock.ErrStale, 412, api.CodeStale, ""},
	{lock.ErrHalted, 423, api.CodeHalted, ""},
	{lock.ErrGate, 422, api.CodeGate, ""},
	{lock.ErrRefused, 422, api.CodeRefused, ""},
	{store.ErrTooLarge, 413, api.CodeTooLarge, "the request changes too much in one transaction; send it in parts"},

	{archive.ErrTooLarge, 413, api.CodeTooLarge, ""},
	{archive.ErrMalformed, 400, api.CodeInvalid, ""},
	{archive.ErrRefused, 422, api.CodeRefused, ""},
	{repo.ErrProvenance, 422, api.CodeRefused, ""},
	{repo.ErrMetadata, 422, api.CodeRefused, ""},
	{archive.ErrNoSite, 422, api.CodeRefused, ""},

	{resolve.ErrUnavailable, 503, api.CodeUnavailable, ""},
	{resolve.ErrUnauthorized, 502, api.CodeUnavailable, ""},
	{resolve.ErrMismatch, 502, api.CodeMismatch, ""},
	{resolve.ErrTooLarge, 502, api.CodeMismatch, ""},
	{resolve.ErrInvalid, 502, api.CodeMismatch, ""},
	{resolve.ErrDenied, 422, api.CodeRefused, ""},
	{resolve.ErrAddress, 422, api.CodeRefused, ""},
	{resolve.ErrNotFound, 404, api.CodeNotFound, ""},

	{ref.ErrInvalid, 422, api.CodeInvalid, ""},
	{lock.ErrInvalid, 400, api.CodeInvalid, ""},
	{context.DeadlineExceeded, 503, api.CodeUnavailable, "the request took too long; try again"},
}

// problem is an error on its way out.
type problem struct {
	err error
	mapping
}

// problemOf looks an error up. One that the table does not know is 500 with a
// constant text: what it says may be nobody's business.
func problemOf(err error) problem {
	for _, m := range table {
		if errors.Is(err, m.err) {
			return problem{err, m}
		}
	}
	return problem{err, mapping{status: 500, code: api.CodeInternal, say: "internal error; the server's log has it under this request id"}}
}

// body is what a caller is told of it, with the facts of a refusal.
func (p problem) body() api.Error {
	out := api.Error{Message: p.say, Code: p.code}
	if out.Message == "" {
		out.Message = p.err.Error()
	}
	var stale *lock.StaleError
	if errors.As(p.err, &stale) {
		out.Revision = stale.Revision
		if stale.Current != nil {
			pin := pinOf(*stale.Current)
			out.Current = &pin
		}
	}
	var gate *lock.Refusal
	if errors.As(p.err, &gate) {
		out.Rule, out.Facts, out.Want, out.Command, out.Chart = gate.Rule, gate.List, gate.Want, gate.Command, gate.Chart
	}
	return out
}

// fail answers with an error, notes it for the access line, and tells the
// process when it has to stop.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, http.ErrAbortHandler) {
		if st := stateOf(w); st.err == nil {
			st.err = err
		}
		panic(http.ErrAbortHandler)
	}
	writeError(w, r, problem{err: err})
	if errors.Is(err, storage.ErrBroken) || errors.Is(err, store.ErrBroken) {
		s.Broken(err)
	}
}

func writeError(w http.ResponseWriter, r *http.Request, p problem) {
	p = problemOf(p.err)
	st := stateOf(w)
	st.err = p.err
	body := p.body()
	body.RequestID = st.id
	h := w.Header()
	for _, name := range []string{"ETag", "Content-Encoding", "Content-Disposition", "Content-Length", "Accept-Ranges", "Cache-Control", "Last-Modified"} {
		h.Del(name)
	}
	if p.status != http.StatusRequestedRangeNotSatisfiable {
		h.Del("Content-Range")
	}
	switch p.status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Basic realm="chartd", charset="UTF-8"`)
	case http.StatusServiceUnavailable, http.StatusInsufficientStorage:
		h.Set("Retry-After", "5")
	case http.StatusTooManyRequests:
		h.Set("Retry-After", retryAfter(p.err))
	case http.StatusRequestTimeout:
		h.Set("Connection", "close")
	}
	h.Set("Cache-Control", "no-store")
	writeJSON(w, p.status, body)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b := buffers.Get().(*bytes.Buffer)
	b.Reset()
	if err := json.NewEncoder(b).Encode(v); err != nil {
		panic(fmt.Sprintf("encode answer: %v", err))
	}
	setHeader(w, "Content-Type", "application/json")
	setHeader(w, "Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	// The caller may be gone; there is nobody left to tell.
	_, _ = w.Write(b.Bytes())
	if b.Cap() <= maxBuffer {
		buffers.Put(b)
	}
}

// buffers are for answers that are encoded as a whole; large ones are not kept.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const maxBuffer = 64 << 10

// answer sends a JSON value that is not an error.
func (c *call) answer(status int, v any) error {
	if len(c.w.Header()["Cache-Control"]) == 0 {
		c.set("Cache-Control", "no-cache")
	}
	writeJSON(c.w, status, v)
	return nil
}
