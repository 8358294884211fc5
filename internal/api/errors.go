// Package api holds the wire types of the HTTP API, version 1, and its error
// codes. It is shared by the server and the client and imports neither.
package api

import (
	"errors"
	"fmt"
	"strings"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// Code says what kind of error an answer is; programs decide by it. The exit
// code of chartctl follows the code, not the HTTP status.
type Code string

const (
	CodeInternal     Code = "internal"
	CodeNotFound     Code = "not_found"
	CodeGate         Code = "gate"
	CodeHalted       Code = "halted"
	CodeStale        Code = "stale"
	CodePrecondition Code = "precondition"
	CodeExists       Code = "exists"
	CodeInvalid      Code = "invalid"
	CodeMethod       Code = "method"
	CodeTimeout      Code = "timeout"
	CodeTooLarge     Code = "too_large"
	CodeMediaType    Code = "media_type"
	CodeRange        Code = "range"
	CodeRefused      Code = "refused"  // well formed, but against a rule
	CodeMismatch     Code = "mismatch" // a digest is not that of the bytes
	CodeUnauthorized Code = "unauthorized"
	CodeForbidden    Code = "forbidden"
	CodeUnavailable  Code = "unavailable"
	CodeRateLimited  Code = "rate_limited"
	CodeNoSpace      Code = "no_space"
	CodeBlobMissing  Code = "blob_missing"

	// Codes that only a client uses.
	CodeUsage   Code = "usage"
	CodeDrift   Code = "drift"
	CodeLocalIO Code = "local_io"
)

// Exit codes of chartctl.
const (
	ExitOK          = 0
	ExitInternal    = 1
	ExitUsage       = 2
	ExitNotFound    = 3
	ExitGate        = 4
	ExitHalted      = 5
	ExitStale       = 6
	ExitDrift       = 7
	ExitInvalid     = 8
	ExitAuth        = 9
	ExitUnavailable = 10
	ExitLocalIO     = 11
)

var exits = map[Code]int{
	CodeInternal: ExitInternal, CodeUsage: ExitUsage, CodeNotFound: ExitNotFound,
	CodeGate: ExitGate, CodeHalted: ExitHalted,
	CodeStale: ExitStale, CodePrecondition: ExitStale, CodeExists: ExitStale,
	CodeDrift:   ExitDrift,
	CodeInvalid: ExitInvalid, CodeMethod: ExitInvalid, CodeTimeout: ExitInvalid, CodeTooLarge: ExitInvalid,
	CodeMediaType: ExitInvalid, CodeRange: ExitInvalid, CodeRefused: ExitInvalid, CodeMismatch: ExitInvalid,
	CodeUnauthorized: ExitAuth, CodeForbidden: ExitAuth,
	CodeUnavailable: ExitUnavailable, CodeRateLimited: ExitUnavailable,
	CodeNoSpace: ExitUnavailable, CodeBlobMissing: ExitUnavailable,
	CodeLocalIO: ExitLocalIO,
}

// Exit is the exit code for an error code; an unknown code is ExitInternal.
func (c Code) Exit() int {
	if n, ok := exits[c]; ok {
		return n
	}
	return ExitInternal
}

// Error is the body of every error answer, and the error that the client
// returns for it.
type Error struct {
	Message   string `json:"error"` // one sentence, quoting the offending value
	Code      Code   `json:"code"`
	RequestID string `json:"request_id,omitempty"`

	// Gate facts, where Code is CodeGate, CodeHalted or CodeStale.
	Rule    model.Rule `json:"rule,omitempty"`    // the rule that refused
	Facts   []string   `json:"facts,omitempty"`   // that it saw, one by one
	Want    string     `json:"want,omitempty"`    // what would satisfy it
	Command string     `json:"command,omitempty"` // the command for that
	// Chart is the version that was chosen, where it has no binding to take.
	Chart    ref.ChartVersion `json:"chart,omitzero"`
	Revision uint64           `json:"revision,omitempty"` // the environment's revision now, for CodeStale
	Current  *Pin             `json:"current,omitempty"`  // the pin that won, for CodeStale

	Status int `json:"-"`
	// Foreign: the answer was not the API's own, but of something in between.
	// It says nothing of what became of an earlier try.
	Foreign bool `json:"-"`
	// Again: an earlier try of the request was sent, and its answer is not known.
	Again bool `json:"-"`
}

// Errorf makes an error of one sentence.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// CodeOf is the code of an error, "" for one that has none.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func (e *Error) Error() string {
	s := e.Message
	if e.Rule != "" && (e.Code == CodeGate || e.Code == CodeHalted) {
		s = fmt.Sprintf("refused by the rule %q: %s", e.Rule, s)
	}
	if e.Want != "" {
		s += "; " + e.Want
	}
	if e.Command != "" && !strings.Contains(s, e.Command) {
		s += " (" + e.Command + ")"
	}
	if e.RequestID != "" && e.Code == CodeInternal {
		s = fmt.Sprintf("%s (request %s)", s, e.RequestID)
	}
	return s
}
