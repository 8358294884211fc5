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
		r.refuse(model.NeedBump, model.Facts{Env: q.e.Env, Binding: q.b.ID})
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
		r.OK = false
		return nil
	}
	open, err := h.open(q)
	r.refuse(open.needs())
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

// needs is what ends the halt, as things stand.
func (h OpenHalt) needs() (model.Need, model.Facts) {
	n := h.step()
	facts := model.Facts{Halt: h.ID, Env: h.Env, Revision: n.Revision, By: h.By}
	switch n.Step {
	case model.StepResolve:
		return model.NeedResolve, facts
	case model.StepReport:
		return model.NeedPassAfterHalt, facts
	}
	return model.NeedWayBack, facts
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
