package lock

import (
	"fmt"

	"chartd.dev/chartd/internal/model"
)

// halt is rule 2: no halt is open in scope; but one fix is let through where
// the failure was.
func (m *move) halt() (RuleVerdict, error) {
	r := m.rule(2, model.RuleHalt, false)
	open, err := haltsOn(m, m.e.Env)
	if err != nil {
		return r, err
	}
	for _, h := range open {
		r.fact("%s", saying(h.said))
	}
	here, against := m.fixable(open)
	switch {
	case m.np.Kind == model.Fix && len(open) == 0:
		r.Rule = model.RuleFix
		r.fact("nothing halts %s", m.e.Env)
		r.Want, r.Command = "bump it: a fix is for what a halt stops", fmt.Sprintf("chartctl bump %s --binding %s", m.e.Env, m.b.ID)
	case len(open) == 0 || m.bug == noHalts:
		r.OK = true
		r.fact("nothing halts %s", m.e.Env)
	case m.np.Kind == model.Fix && here && m.e.Fixed == 0 && against == nil:
		r.OK = true
		r.fact("this is the one fix that is let through where the failure was")
	case m.np.Kind == model.Fix && against != nil:
		r.Want, r.Command = against.wants()
	default:
		if m.np.Kind == model.Fix && here {
			r.fact("revision %d is the fix that was let through", m.e.Fixed)
		}
		r.Want, r.Command = open[0].wants()
	}
	return r, nil
}

// fixable reports whether a failure here is among the halts, and which of them
// stops a fix too: one by hand, for it waits for no pair, and one for the
// failure of this very pair elsewhere.
func (m *move) fixable(open []Halt) (here bool, against *Halt) {
	for i, h := range open {
		switch {
		case h.Cause == model.CauseHand, h.Env != m.e.Env && h.Binding == m.b.ID:
			against = &open[i]
		case h.Env == m.e.Env:
			here = true
		}
	}
	return here, against
}

// wants is what ends the halt.
func (h Halt) wants() (want, command string) {
	if h.Cause == model.CauseHand {
		resolve := fmt.Sprintf("chartctl resolve %s --reason \"…\"", h.ID)
		return fmt.Sprintf("wait until what %s halted it for is over; a pass does not end it", h.By), resolve
	}
	return fmt.Sprintf("roll %s back to a pair that passed there, or fix it there, and report it passed; or end the halt: chartctl resolve %s --reason \"…\"", h.Env, h.ID),
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
