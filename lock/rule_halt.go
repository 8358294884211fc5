package lock

import (
	"fmt"

	"chartd.dev/chartd/internal/model"
)

// halt is rule 2: no halt is open in scope; but one fix is let through where
// the failure was.
func (q *question) halt(r *RuleVerdict) error {
	open, err := haltsOn(q, q.e.Env)
	if err != nil {
		return err
	}
	for _, h := range open {
		r.fact("%s", saying(h.said))
	}
	fix := q.np.Kind == model.Fix
	here, against := q.fixable(open)
	switch {
	case fix && len(open) == 0:
		r.Rule = model.RuleFix
		r.fact("nothing halts %s", q.e.Env)
		r.refuse("bump it: a fix is for what a halt stops", fmt.Sprintf("chartctl bump %s --binding %s", q.e.Env, q.b.ID))
	case len(open) == 0:
		r.fact("nothing halts %s", q.e.Env)
	case fix && here && q.e.Fixed == 0 && against == nil:
		r.fact("this is the one fix that is let through where the failure was")
	case fix && against != nil:
		return q.halted(r, *against)
	default:
		if fix && here {
			r.fact("revision %d is the fix that was let through", q.e.Fixed)
		}
		return q.halted(r, open[0])
	}
	return nil
}

// halted refuses by the halt, and says what ends it as things stand.
func (q *question) halted(r *RuleVerdict, h Halt) error {
	if !q.explain {
		r.refuse("", "")
		return nil
	}
	open, err := h.open(q)
	r.refuse(open.wants())
	return err
}

// fixable reports whether a failure here is among the halts, and which of them
// stops a fix too: one by hand, for it waits for no pair, and one for the
// failure of this very pair elsewhere.
func (q *question) fixable(open []Halt) (here bool, against *Halt) {
	for i, h := range open {
		switch {
		case h.Cause == model.CauseHand, h.Env != q.e.Env && h.Binding == q.b.ID:
			against = &open[i]
		case h.Env == q.e.Env:
			here = true
		}
	}
	return here, against
}

// wants is what ends the halt, as things stand.
func (h OpenHalt) wants() (want, command string) {
	resolve := fmt.Sprintf("chartctl resolve %s --reason \"…\"", h.ID)
	switch n := h.step(); n.Step {
	case model.StepResolve:
		return fmt.Sprintf("wait until what %s halted it for is over; a pass does not end it", h.By), resolve
	case model.StepReport:
		return fmt.Sprintf("deploy revision %d of %s and report that it passed; or end the halt: %s", n.Revision, n.Env, resolve),
			fmt.Sprintf("chartctl report %s --revision %d --passed", n.Env, n.Revision)
	}
	return fmt.Sprintf("roll %s back to a pair that passed there, or fix it there, and report it passed; or end the halt: %s", h.Env, resolve),
		fmt.Sprintf("chartctl rollback %s", h.Env)
}

// said writes an open halt as a fact.
func (h Halt) said() string {
	s := fmt.Sprintf("%s halts the environment %s", h.ID, h.Env)
	switch h.Scope {
	case model.ScopeHub:
		s = fmt.Sprintf("%s halts every stage of %s", h.ID, h.Env.Hub())
	case model.ScopeEverything:
		s = fmt.Sprintf("%s halts everything", h.ID)
	}
	switch h.Cause {
	case model.CauseReport:
		s += fmt.Sprintf(": revision %d of %s failed, %s said", h.Revision, h.Env, h.By)
	case model.CauseDeadline:
		s += fmt.Sprintf(": revision %d of %s missed its report deadline", h.Revision, h.Env)
	default:
		s += fmt.Sprintf(": raised by %s for %s", h.By, h.Env)
	}
	if h.Reason != "" {
		s += fmt.Sprintf(" (%s)", h.Reason)
	}
	return s
}
