package server

import (
	"cmp"
	"context"
	"errors"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/resolve"
	"chartd.dev/chartd/internal/transport"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/store"
	"chartd.dev/chartd/repo"
	"chartd.dev/chartd/storage"
)

// What handlers detect themselves.
var (
	errNeedMatch = errors.New("precondition missing")
	errNotReady  = errors.New("writes cannot be kept")
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
	{lock.ErrCredential, 401, api.CodeUnauthorized, ""},
	{auth.ErrForbidden, 403, api.CodeForbidden, ""},
	{auth.ErrScope, 422, api.CodeInvalid, ""},
	{auth.ErrToken, 422, api.CodeInvalid, ""},

	{transport.ErrNotFound, 404, api.CodeNotFound, ""},
	{transport.ErrMethod, 405, api.CodeMethod, ""},
	{transport.ErrSlow, 408, api.CodeTimeout, ""},
	{transport.ErrTooLarge, 413, api.CodeTooLarge, ""},
	{transport.ErrURITooLong, 414, api.CodeTooLarge, ""},
	{transport.ErrMediaType, 415, api.CodeMediaType, ""},
	{transport.ErrRange, 416, api.CodeRange, ""},
	{errNeedMatch, 428, api.CodePrecondition, ""},
	{transport.ErrLimited, 429, api.CodeRateLimited, ""},
	{transport.ErrBusy, 503, api.CodeUnavailable, ""},
	{errNotReady, 503, api.CodeUnavailable, ""},
	{transport.ErrBadRequest, 400, api.CodeInvalid, ""},

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

// mappingOf looks an error up. One that the table does not know is 500 with a
// constant text: what it says may be nobody's business.
func mappingOf(err error) mapping {
	for _, m := range table {
		if errors.Is(err, m.err) {
			return m
		}
	}
	return mapping{status: 500, code: api.CodeInternal, say: "internal error; the server's log has it under this request id"}
}

// bodyOf is what a caller is told of an error, with the facts of a refusal.
func bodyOf(err error) (status int, body api.Error) {
	m := mappingOf(err)
	body = api.Error{Message: m.say, Code: m.code}
	if body.Message == "" {
		body.Message = err.Error()
	}
	want, command := advice.Of(lock.NeedOf(err))
	if stale, ok := errors.AsType[*lock.StaleError](err); ok {
		body.Revision = stale.Revision
		if stale.Current != nil {
			pin := pinOf(*stale.Current)
			body.Current = &pin
		}
	}
	if no, ok := errors.AsType[*lock.Refusal](err); ok {
		body.Rule, body.Facts, body.Chart = no.Rule, no.List, no.Chart
		body.Want, body.Command = cmp.Or(want, no.Want), cmp.Or(command, no.Command)
	} else if want != "" && m.say == "" {
		body.Message += ": " + want
	}
	return m.status, body
}

// problemOf is how an error is answered to the request with this id.
func problemOf(err error, id string) transport.Problem {
	status, body := bodyOf(err)
	body.RequestID = id
	return transport.Problem{Status: status, Body: body}
}

// failed tells the process when it has to stop.
func (s *Server) failed(err error) {
	if errors.Is(err, storage.ErrBroken) || errors.Is(err, store.ErrBroken) {
		s.Broken(err)
	}
}
