package lock

import (
	"context"
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
}

// RuleVerdict is what one rule says: the facts that it saw, and, where it
// refuses, what would satisfy it with the command for that.
type RuleVerdict struct {
	Number  int        `json:"number"` // of the rule, 1 to 5
	Rule    model.Rule `json:"rule"`
	OK      bool       `json:"ok"`
	Unknown bool       `json:"unknown,omitempty"` // what it asks for is not known, which satisfies nothing
	Skipped string     `json:"skipped,omitempty"` // why this pin passes it by all the same
	Facts   []string   `json:"facts,omitempty"`
	Want    string     `json:"want,omitempty"`
	Command string     `json:"command,omitempty"`

	err   error // for what is not a *Refusal
	brief bool  // only the outcome is wanted
}

// fact adds to what the rule saw.
func (r *RuleVerdict) fact(format string, args ...any) {
	if !r.brief {
		r.Facts = append(r.Facts, fmt.Sprintf(format, args...))
	}
}

// refusal is the rule's answer as an error.
func (r RuleVerdict) refusal() error {
	if r.err != nil {
		return r.err
	}
	return &Refusal{Rule: r.Rule, Facts: strings.Join(r.Facts, "; "), List: r.Facts, Want: r.Want, Command: r.Command}
}

// move is the question to the gate. Everything that the rules ask is in it or
// in the transaction: no registry, no clock.
type move struct {
	store.Tx
	now     time.Time
	actor   Actor
	e       Environment
	asked   NewPin
	np      NewPin // with what the rules add
	b       Binding
	chart   ChartVersion
	current *Pin     // of the environment; nil before the first
	from    *Binding // of the current pin
	sum     Summary  // of this environment and the binding
	bug     bug
	explain bool // with facts, which a pin that passes needs none of
}

// rule begins the answer of a rule.
func (m *move) rule(number int, name model.Rule, ok bool) RuleVerdict {
	return RuleVerdict{Number: number, Rule: name, OK: ok, brief: !m.explain}
}

// seeded faults of the gate, for the test that must find them.
type bug string

const (
	noHalts       bug = "halts are ignored"
	datedSoak     bug = "soak is computed from dates"
	selfApprovals bug = "one's own approval counts"
)

// Gate says what the gate would answer to the pin, by the same code, and
// writes nothing.
func (l *Lockfile) Gate(ctx context.Context, op Op, np NewPin) (Verdict, error) {
	now := l.time()
	return view(ctx, l, func(t store.Tx) (Verdict, error) {
		m, err := newMove(t, np)
		if err != nil {
			return Verdict{}, err
		}
		m.now, m.actor, m.bug, m.explain = now, op.Actor, l.bug, true
		return m.verdict()
	})
}

// newMove reads what the rules are about.
func newMove(t store.Tx, np NewPin) (*move, error) {
	if np.Binding.IsZero() {
		return nil, fail(ErrInvalid, "the pin of %s names no binding", np.Env)
	}
	if np.Commit != "" && !commit.MatchString(np.Commit) {
		return nil, fail(ErrInvalid, "%.80q is no commit: want 7 to 64 lower-case hexadecimal digits", np.Commit)
	}
	if blank(np.Downgrade) || blank(np.BreakGlass) {
		return nil, fail(ErrInvalid, "the reason to pass the gate with %s is nothing but blanks: say why", np.Env)
	}
	m := &move{Tx: t, np: np}
	var err error
	if m.e, err = getEnvironment(t, np.Env); err != nil {
		return nil, err
	}
	if m.b, err = getBinding(t, np.Binding); err != nil {
		return nil, err
	}
	if m.chart, err = getChart(t, m.b.Chart); err != nil {
		return nil, err
	}
	if np.Kind == model.Rollback { // nothing else asks for it
		if m.sum, err = getSummary(t, np.Env, np.Binding); err != nil {
			return nil, err
		}
	}
	if m.e.Revision > 0 {
		p, err := getPin(t, m.e.Env, m.e.Revision)
		if err != nil {
			return nil, err
		}
		from, err := getBinding(t, p.Binding)
		if err != nil {
			return nil, err
		}
		m.current, m.from = &p, &from
	}
	err = m.checkKind()
	m.asked = m.np
	return m, err
}

// verdict asks all rules, in their order.
func (m *move) verdict() (Verdict, error) {
	m.np = m.asked
	out := Verdict{Env: m.e.Env, Revision: m.e.Revision, Binding: m.b.ID, Kind: m.np.Kind, OK: true}
	for _, rule := range []func() (RuleVerdict, error){
		m.base, m.source, m.pair, m.halt, m.upstream, m.approvals, m.freeze,
	} {
		r, err := rule()
		if err != nil {
			return out, err
		}
		out.add(m, r)
	}
	d, r, err := m.direction()
	if err != nil {
		return out, err
	}
	out.Direction = d
	out.add(m, r)
	return out, nil
}

// add takes the rule's answer in, unless this kind of pin passes it by.
func (v *Verdict) add(m *move, r RuleVerdict) {
	r.Skipped = m.skips(r.Number)
	if r.OK {
		r.Want, r.Command = "", ""
	}
	v.OK = v.OK && (r.OK || r.Skipped != "")
	if m.explain {
		v.Rules = append(v.Rules, r)
	}
}

// refusal is the answer of the first rule that refuses the move; nil if none
// does.
func (v Verdict) refusal() error {
	for _, r := range v.Rules {
		if !r.OK && r.Skipped == "" {
			return r.refusal()
		}
	}
	return nil
}

// passedHere reports whether the pin is a rollback to a pair that passed here.
func (m *move) passedHere() bool { return m.np.Kind == model.Rollback && m.sum.Passed() }

// skips says why the pin passes a rule by; "" if it does not.
func (m *move) skips(number int) string {
	switch {
	case number == 1:
		return ""
	case m.passedHere():
		return "a rollback to a pair that passed here"
	case m.np.BreakGlass != "":
		return "break-glass: " + m.np.BreakGlass
	case m.np.Kind == model.Fix && (number == 3 || number == 4):
		return "the fix of a halt"
	}
	return ""
}

// base is the rule that the caller knew what runs: compare and swap.
func (m *move) base() (RuleVerdict, error) {
	r := m.rule(1, model.RuleBase, m.np.Base == m.e.Revision)
	r.fact("%s is at revision %d", m.e.Env, m.e.Revision)
	if r.OK {
		return r, nil
	}
	stale := &StaleError{Env: m.e.Env, Base: m.np.Base, Revision: m.e.Revision, Current: m.current}
	r.err = stale
	r.Facts = []string{stale.Error()}
	r.Want = "look at what changed and ask again from there"
	r.Command = fmt.Sprintf("chartctl history %s", m.e.Env)
	return r, nil
}

// Refusals of the pair, each with its rule.
func (m *move) pair() (RuleVerdict, error) {
	r := m.rule(1, model.RulePair, false)
	show := ""
	if m.explain {
		show = fmt.Sprintf("chartctl show %s", m.b.Chart)
	}
	no := func(rule model.Rule, want, command, format string, args ...any) (RuleVerdict, error) {
		r.Rule, r.Want, r.Command = rule, want, command
		r.fact(format, args...)
		return r, nil
	}
	switch {
	case m.b.Chart.Name() != m.e.Chart:
		return no(model.RuleChart, "pin a version of "+m.e.Chart, "chartctl charts "+m.e.Chart,
			"%s runs chart %q, and binding %s is of %s", m.e.Env, m.e.Chart, m.b.ID, m.b.Chart)
	case m.b.State == model.Revoked:
		return no(model.RuleRevoked, "pin another binding; see "+show, show, "the binding of %s was revoked: %s", m.b.Chart, m.b.Why)
	case m.b.State != model.Verified:
		return no(model.RuleUnverified, "bind an image that is proven to belong to it; see "+show, show,
			"the binding of %s is %s: %s", m.b.Chart, m.b.State, m.b.Why)
	}
	for _, i := range m.b.Images { // a chart that names no image rests on its digest alone
		if i.Required && !accepts(m.e.Policy, i.Evidence) {
			return no(model.RuleEvidence, "bind an image with accepted evidence; see "+show, show,
				"%s accepts %v, and the %s image of %s rests on %q", m.e.Env, m.e.Policy.Accept, i.Role, m.b.Chart, i.Evidence)
		}
	}
	switch {
	case m.chart.State == model.Purged:
		return no(model.RulePurged, "pin another version", "chartctl charts "+m.e.Chart, "%s was purged: %s", m.b.Chart, m.chart.Why)
	case m.chart.State == model.Yanked && !m.passedHere():
		return no(model.RuleYanked, "pin another version; only a rollback to a pair that passed here may use a yanked one", "chartctl charts "+m.e.Chart,
			"%s was yanked: %s", m.b.Chart, m.chart.Why)
	}
	r.OK = true
	r.fact("%s with binding %s rests on %s", m.b.Chart, m.b.ID, m.b.Evidence)
	return r, nil
}

func accepts(p Policy, e model.Evidence) bool {
	for _, a := range p.Accept {
		if a == e {
			return true
		}
	}
	return false
}

// refuse turns the answer of the gate into a journal line; other errors pass.
func (c *change) refuse(verb, object string, asked any, err error) error {
	d := refused{Asked: asked, Why: err.Error(), Rule: model.RuleBase}
	var no *Refusal
	if errors.As(err, &no) {
		d.Rule, d.Want = no.Rule, no.Want
	} else if !errors.Is(err, ErrStale) {
		return err
	}
	return errors.Join(c.journal(verb, object, d), err)
}

// refused is the detail of the line of a refused pin.
type refused struct {
	Asked any        `json:"asked"`
	Rule  model.Rule `json:"rule"`
	Why   string     `json:"why"`
	Want  string     `json:"want,omitempty"`
}
