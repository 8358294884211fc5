package lock

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

var (
	// ErrNotFound says that there is no such object.
	ErrNotFound = errors.New("not found")
	// ErrExists says that the name is taken by something else.
	ErrExists = errors.New("already exists")
	// ErrStale says that a pin named a base revision that is not the current
	// one; the error is a *StaleError.
	ErrStale = errors.New("base revision is stale")
	// ErrGate says that the rules refused a move; the error is a *Refusal.
	ErrGate = errors.New("refused by the gate")
	// ErrHalted says that a halt refused a move; the error is a *Refusal.
	ErrHalted = errors.New("halted")
	// ErrInvalid says that an argument makes no sense.
	ErrInvalid = errors.New("invalid argument")
	// ErrRefused says that a well-formed request is against a rule that is
	// not the gate's.
	ErrRefused = errors.New("refused")
)

// failure is a sentence for the user that is also one of the sentinels.
type failure struct {
	kind error
	text string
	need *model.Situation // what would help; nil where the sentence says it all
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.kind }

func fail(kind error, format string, args ...any) error {
	return &failure{kind: kind, text: fmt.Sprintf(format, args...)}
}

func situation(need model.Need, facts model.Facts) *model.Situation {
	return &model.Situation{Need: need, Facts: facts}
}

// needing is the failure with what would help.
func needing(err error, need model.Need, facts model.Facts) error {
	var f *failure
	if errors.As(err, &f) {
		f.need = situation(need, facts)
	}
	return err
}

// NeedOf is what would help out of an error, or satisfy the rule that refused;
// nil where nothing is known to.
func NeedOf(err error) *model.Situation {
	var no *Refusal
	if errors.As(err, &no) {
		return no.Need
	}
	var f *failure
	if errors.As(err, &f) {
		return f.need
	}
	return nil
}

// maxReason is the length of the longest reason or commit, in bytes as JSON
// has them: a pin set writes both three times for each of its environments.
const maxReason = 1000

func checkReason(s string) error { return checkText(s, maxReason) }

// blank reports whether a text that is there shows nothing.
func blank(s string) bool { return s != "" && !strings.ContainsFunc(s, visible) }

// visible knows the characters of letters and symbols that are drawn as nothing.
func visible(r rune) bool {
	return unicode.IsGraphic(r) && !unicode.IsSpace(r) && !unicode.IsMark(r) && r != '\u2800' &&
		!unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

// checkText holds a text to the length that it has as JSON, and to showing
// something.
func checkText(s string, limit int) error {
	if len(s) > limit/len(`\u0000`) { // no character is longer
		raw, err := json.Marshal(s)
		if err != nil {
			return fmt.Errorf("encode reason: %w", err)
		}
		if n := len(raw) - len(`""`); n > limit {
			return fail(ErrInvalid, "the text %.40q… is %d bytes long: at most %d", s, n, limit)
		}
	}
	if blank(s) {
		return fail(ErrInvalid, "the text %.40q shows nothing but blanks: say something, or leave it out", s)
	}
	return nil
}

// StaleError is the answer to a pin whose base revision is not the current
// one: somebody else was first.
type StaleError struct {
	Env      ref.Env `json:"env"`
	Base     uint64  `json:"base"`
	Revision uint64  `json:"revision"`
	Current  *Pin    `json:"current,omitempty"`
}

func (e *StaleError) Error() string {
	s := fmt.Sprintf("%s is at revision %d, not %d", e.Env, e.Revision, e.Base)
	if e.Current != nil {
		s += fmt.Sprintf(": %s pinned %s", e.Current.By, e.Current.Chart)
		if e.Current.Reason != "" {
			s += fmt.Sprintf(" (%s)", e.Current.Reason)
		}
	}
	return s
}

// Unwrap makes the error an ErrStale.
func (e *StaleError) Unwrap() error { return ErrStale }

// Refusal is the answer of a rule that refused a move: which rule, the facts
// that it saw, and what would satisfy it.
type Refusal struct {
	Rule  model.Rule       `json:"rule"`
	Facts string           `json:"facts"`          // all of them in one line
	List  []string         `json:"list,omitempty"` // one by one
	Need  *model.Situation `json:"need,omitempty"`

	// Chart is the version that was chosen, where it has no binding to take.
	Chart ref.ChartVersion `json:"chart,omitzero"`

	// Want and Command are the words of a refusal that an earlier version kept
	// under an idempotency key; it has no need.
	Want    string `json:"want,omitempty"`
	Command string `json:"command,omitempty"`
}

func (e *Refusal) Error() string { return e.Facts }

// Unwrap makes the error an ErrGate, or ErrHalted if a halt refused.
func (e *Refusal) Unwrap() error {
	if e.Rule == model.RuleHalt {
		return ErrHalted
	}
	return ErrGate
}
