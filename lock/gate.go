package lock

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock/store"
)

// Verdict is what the gate says of a move: of every rule, not only of the
// first that refuses it.
type Verdict struct {
	Env       ref.Env       `json:"environment"`
	Revision  uint64        `json:"revision"` // that the environment is at
	Binding   ref.BindingID `json:"binding"`
	Kind      model.Kind    `json:"kind"`
	OK        bool          `json:"ok"` // the pin would be written
	Direction Direction     `json:"direction,omitzero"`
	Rules     []RuleVerdict `json:"rules"`

	// What follows is of the same state of the store.
	Pair          Binding       `json:"-"` // that is judged
	From          string        `json:"-"` // what the pin's From has to be
	Pin           *Pin          `json:"-"` // that the environment has; nil before the first
	Pinned        *Binding      `json:"-"` // of that pin
	PassedOver    []PassedOver  `json:"-"`
	PublishedLast string        `json:"-"` // of Latest, where it is not the highest
	ByVersion     model.Heading `json:"-"` // of the chart by SemVer, where its direction is the opposite
}

// RuleVerdict is what one rule says: the facts that it saw, and, where it
// refuses, what would satisfy it.
type RuleVerdict struct {
	Number  int              `json:"number"` // of the rule, 1 to 5
	Rule    model.Rule       `json:"rule"`
	OK      bool             `json:"ok"`
	Unknown bool             `json:"unknown,omitempty"` // what it asks for is not known, which satisfies nothing
	Skipped string           `json:"skipped,omitempty"` // why this pin passes it by all the same
	Facts   []string         `json:"facts,omitempty"`
	Need    *model.Situation `json:"need,omitempty"` // that would satisfy it; nil where it does not refuse

	err   error // for what is not a *Refusal
	brief bool  // only the outcome is wanted
}

// fact adds to what the rule saw.
func (r *RuleVerdict) fact(format string, args ...any) {
	if !r.brief {
		r.Facts = append(r.Facts, fmt.Sprintf(format, args...))
	}
}

// refuse says no, and what would satisfy the rule. Of several reasons the last
// one says that.
func (r *RuleVerdict) refuse(need model.Need, facts model.Facts) {
	r.OK, r.Need = false, situation(need, facts)
}

// refusal is the rule's answer as an error.
func (r RuleVerdict) refusal() error {
	if r.err != nil {
		return r.err
	}
	return &Refusal{Rule: r.Rule, Facts: strings.Join(r.Facts, "; "), List: r.Facts, Need: r.Need}
}

// saying is a fact that is written only where it is read.
type saying func() string

func (s saying) String() string { return s() }

// question is what the gate is asked. Everything that the rules need is in it
// or in the transaction: no registry, no clock.
type question struct {
	store.Tx
	gate    []rule
	now     time.Time
	actor   Actor
	e       Environment
	asked   NewPin
	np      NewPin // with what the rules add
	b       Binding
	chart   ChartVersion
	current *Pin      // of the environment; nil before the first
	from    *Binding  // of the current pin
	sum     Summary   // of this environment and the binding
	way     Direction // that the rule of direction found
	back    uint64    // revision that a rollback goes back to
	explain bool      // with facts, which a pin that passes needs none of
}

// rule of the gate: judge begins with a verdict that is OK and adds its facts,
// and its refusal if it has one.
type rule struct {
	number int
	name   model.Rule // rule_NAME.go has it
	judge  func(*question, *RuleVerdict) error
}

// gate has the rules in their order: the first that refuses is the answer to a
// pin.
var gate = []rule{
	{1, model.RuleBase, (*question).base},
	{1, model.RuleSource, (*question).source}, // promote, rollback
	{1, model.RulePair, (*question).pair},     // chart, revoked, unverified, evidence, purged, yanked
	{2, model.RuleHalt, (*question).halt},     // fix
	{3, model.RuleUpstream, (*question).upstream},
	{4, model.RuleApprovals, (*question).approvals},
	{4, model.RuleFreeze, (*question).freeze},
	{5, model.RuleDirection, (*question).direction},
}

// question reads what the rules are about.
func (l *Lockfile) question(t store.Tx, np NewPin) (*question, error) {
	if np.Binding.IsZero() {
		return nil, fail(ErrInvalid, "the pin of %s names no binding", np.Env)
	}
	if np.Commit != "" && !commit.MatchString(np.Commit) {
		return nil, fail(ErrInvalid, "%.80q is no commit: want 7 to 64 lower-case hexadecimal digits", np.Commit)
	}
	if blank(np.Downgrade) || blank(np.BreakGlass) {
		return nil, fail(ErrInvalid, "the reason to pass the gate with %s is nothing but blanks: say why", np.Env)
	}
	q := &question{Tx: t, gate: l.gate, np: np}
	var err error
	if q.e, err = getEnvironment(t, np.Env); err != nil {
		return nil, err
	}
	if q.b, err = getBinding(t, np.Binding); err != nil {
		return nil, err
	}
	if q.chart, err = getChart(t, q.b.Chart); err != nil {
		return nil, err
	}
	if np.Kind == model.Rollback { // nothing else asks for it
		if q.sum, err = getSummary(t, np.Env, np.Binding); err != nil {
			return nil, err
		}
	}
	if q.e.Revision > 0 {
		p, err := getPin(t, q.e.Env, q.e.Revision)
		if err != nil {
			return nil, err
		}
		from, err := getBinding(t, p.Binding)
		if err != nil {
			return nil, err
		}
		q.current, q.from = &p, &from
	}
	err = q.checkKind()
	q.asked = q.np
	return q, err
}

// checkKind refuses what makes no sense as a request.
func (q *question) checkKind() error {
	q.np.Kind = q.np.Kind.Or()
	switch q.np.Kind {
	case model.Bump, model.Fix:
		if q.np.From != "" {
			return fail(ErrInvalid, "a %s comes from nowhere, and %q is given: choose promote or rollback", q.np.Kind, q.np.From)
		}
	case model.Promote, model.Rollback:
	default:
		return fail(ErrInvalid, "a pin cannot be of kind %q: choose bump, promote, rollback or fix", q.np.Kind)
	}
	return nil
}

// verdict asks all rules, in their order.
func (q *question) verdict() (Verdict, error) {
	q.np = q.asked
	out := Verdict{Env: q.e.Env, Revision: q.e.Revision, Binding: q.b.ID, Kind: q.np.Kind, OK: true}
	var r RuleVerdict
	for _, rule := range q.gate {
		r = RuleVerdict{Number: rule.number, Rule: rule.name, OK: true, brief: !q.explain}
		if err := rule.judge(q, &r); err != nil {
			return out, err
		}
		out.add(q, r)
	}
	out.Direction = q.way
	return out, nil
}

// add takes the rule's answer in, unless this kind of pin passes it by.
func (v *Verdict) add(q *question, r RuleVerdict) {
	r.Skipped = q.skips(r.Number)
	v.OK = v.OK && (r.OK || r.Skipped != "")
	if q.explain {
		v.Rules = append(v.Rules, r)
	}
}

// Refusal is what the pin would be answered, by the first rule that refuses it:
// a *Refusal or a *StaleError; nil if none does.
func (v Verdict) Refusal() error {
	for _, r := range v.Rules {
		if !r.OK && r.Skipped == "" {
			return r.refusal()
		}
	}
	return nil
}

// passedHere reports whether the pin is a rollback to a pair that passed here.
func (q *question) passedHere() bool { return q.np.Kind == model.Rollback && q.sum.Passed() }

// skips says why the pin passes a rule by; "" if it does not.
func (q *question) skips(number int) string {
	switch {
	case number == 1:
		return ""
	case q.passedHere():
		return "a rollback to a pair that passed here"
	case q.np.BreakGlass != "":
		return "break-glass: " + q.np.BreakGlass
	case q.np.Kind == model.Fix && (number == 3 || number == 4):
		return "the fix of a halt"
	}
	return ""
}

// refuse turns the answer of the gate into a journal line; other errors pass.
func (c *change) refuse(verb, object string, asked any, err error) error {
	d := refused{Asked: asked, Why: err.Error(), Rule: model.RuleBase}
	var no *Refusal
	if errors.As(err, &no) {
		d.Rule, d.Need = no.Rule, no.Need
	} else if !errors.Is(err, ErrStale) {
		return err
	}
	return errors.Join(c.journal(verb, object, d), err)
}

// refused is the detail of the line of a refused pin. Old lines have words
// ("want") where this one has a need.
type refused struct {
	Asked any              `json:"asked"`
	Rule  model.Rule       `json:"rule"`
	Why   string           `json:"why"`
	Need  *model.Situation `json:"need,omitempty"`
}
