package lock

import (
	"fmt"
	"strconv"
	"time"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// checkKind refuses what makes no sense as a request.
func (m *move) checkKind() error {
	if m.np.Kind == "" {
		m.np.Kind = model.Bump
	}
	switch m.np.Kind {
	case model.Bump, model.Fix:
		if m.np.From != "" {
			return fail(ErrInvalid, "a %s comes from nowhere, and %q is given: choose promote or rollback", m.np.Kind, m.np.From)
		}
	case model.Promote, model.Rollback:
	default:
		return fail(ErrInvalid, "a pin cannot be of kind %q: choose bump, promote, rollback or fix", m.np.Kind)
	}
	return nil
}

// source holds a promote to what its source is pinned to now, and a rollback
// to what this environment was pinned to.
func (m *move) source() (RuleVerdict, error) {
	r := m.rule(1, model.RuleSource, true)
	switch m.np.Kind {
	case model.Promote:
		return m.promoted()
	case model.Rollback:
		r.Rule = model.RuleRollback
		rev, err := strconv.ParseUint(m.np.From, 10, 64)
		if err != nil {
			return r, fail(ErrInvalid, "a rollback needs the revision to go back to, not %q", m.np.From)
		}
		p, err := getPin(m, m.e.Env, rev)
		if err != nil {
			return r, err
		}
		r.OK = p.Binding == m.b.ID
		if !r.OK {
			r.Want, r.Command = "go back to the pair that the revision had", fmt.Sprintf("chartctl history %s", m.e.Env)
			r.fact("revision %d of %s is %s with binding %s, not %s", rev, m.e.Env, p.Chart, p.Binding, m.b.ID)
			return r, nil
		}
		r.fact("revision %d of %s had this pair", rev, m.e.Env)
		r.fact("%s", saying(m.sum.said))
	}
	return r, nil
}

func (m *move) promoted() (RuleVerdict, error) {
	r := m.rule(1, model.RulePromote, false)
	from, err := ref.ParseEnv(m.np.From)
	if err != nil {
		return r, fail(ErrInvalid, "a promote needs the environment that it comes from: %v", err)
	}
	if from == m.e.Env {
		return r, fail(ErrInvalid, "%s cannot be promoted to itself", from)
	}
	source, err := getEnvironment(m, from)
	if err != nil {
		return r, err
	}
	if source.Revision == 0 {
		r.fact("%s has no pin to promote", from)
		r.Want, r.Command = fmt.Sprintf("pin it first: chartctl bump %s --latest", from), fmt.Sprintf("chartctl bump %s --latest", from)
		return r, nil
	}
	p, err := getPin(m, from, source.Revision)
	if err != nil {
		return r, err
	}
	if p.Binding != m.b.ID {
		r.fact("%s is at revision %d with %s and binding %s, not %s", from, p.Revision, p.Chart, p.Binding, m.b.ID)
		r.Want, r.Command = "read it again and promote what it runs now", fmt.Sprintf("chartctl promote %s %s", from, m.e.Env)
		return r, nil
	}
	r.OK = true
	m.np.From = fmt.Sprintf("%s#%d", from, p.Revision)
	r.fact("%s runs this pair at revision %d", from, p.Revision)
	return r, nil
}

// saying is a fact that is written only where it is read.
type saying func() string

func (s saying) String() string { return s() }

// said writes the last verdict as a fact.
func (s Summary) said() string {
	if s.Verdict == "" {
		return fmt.Sprintf("%s has no verdict on this pair", s.Env)
	}
	return fmt.Sprintf("the last verdict of %s on this pair is %s (revision %d)", s.Env, s.Verdict, s.Revision)
}

// approvals is the first half of rule 4: enough others agree.
func (m *move) approvals() (RuleVerdict, error) {
	r := m.rule(4, model.RuleApprovals, false)
	have, err := getApprovals(m, m.e, m.b.ID)
	if err != nil {
		return r, err
	}
	n := 0
	for _, a := range have {
		if m.e.Policy.Approvals > 0 {
			gone, err := revokedToken(m, a.By)
			if err != nil {
				return r, err
			}
			if gone {
				r.fact("%s approved, and the token of %s was revoked since", a.By.Name, a.By.Name)
				continue
			}
		}
		own := a.By.same(m.actor)
		if !own || m.bug == selfApprovals {
			n++
		}
		if own && m.e.Policy.Approvals > 0 {
			r.fact("the approval of %s does not count for their own pin", a.By.Name)
		} else if !own {
			r.fact("%s approved", a.By.Name)
		}
	}
	r.OK = n >= m.e.Policy.Approvals
	r.fact("%d of %d approvals are there", n, m.e.Policy.Approvals)
	if r.OK {
		return r, nil
	}
	r.Want = fmt.Sprintf("let %d more approve it, who are not %s", m.e.Policy.Approvals-n, m.actor.Name)
	r.Command = fmt.Sprintf("chartctl approve %s --binding %s", m.e.Env, m.b.ID)
	return r, nil
}

// freeze is the other half of rule 4: no freeze window is open.
func (m *move) freeze() (RuleVerdict, error) {
	r := m.rule(4, model.RuleFreeze, true)
	for _, f := range m.e.Policy.Freeze {
		until, open, err := f.open(m.now)
		if err != nil {
			return r, err
		}
		if !open {
			continue
		}
		zone, err := time.LoadLocation(f.Zone)
		if err != nil {
			return r, fmt.Errorf("read the zone of a freeze window: %w", err)
		}
		end := until.In(zone).Format("2006-01-02 15:04 MST")
		r.OK = false
		r.fact("the freeze window %q (%s) is open until %s", f.Cron, f.Zone, end)
		if f.Reason != "" {
			r.fact("it is for: %s", f.Reason)
		}
		r.Want = "wait until " + end
		r.Command = fmt.Sprintf("chartctl gate %s --binding %s", m.e.Env, m.b.ID)
	}
	if r.OK {
		r.fact("no freeze window is open")
	}
	return r, nil
}

// direction is rule 5: no half goes back but by proof and on purpose.
func (m *move) direction() (Direction, RuleVerdict, error) {
	r := m.rule(5, model.RuleDirection, true)
	if m.from == nil {
		r.fact("the first pin has no direction")
		return Direction{}, r, nil
	}
	d, err := directionOf(m, *m.from, m.b)
	if err != nil {
		return d, r, err
	}
	proof := m.b.Evidence.Proof()
	r.fact("from %s, %s", m.from.Chart, d)
	switch {
	case d.back() && proof:
		r.OK = m.np.Downgrade != ""
		r.Command = fmt.Sprintf("chartctl bump %s --binding %s --downgrade \"…\"", m.e.Env, m.b.ID)
		if m.np.Kind == model.Rollback {
			r.Command = fmt.Sprintf("chartctl rollback %s --to %s --downgrade \"…\"", m.e.Env, m.np.From)
		}
		r.fact("content proves this pair (%s)", m.b.Evidence)
		r.Want = "say why it goes back: --downgrade \"…\"; or roll back to a pair that passed here"
	case d.back():
		r.OK = false
		r.fact("nothing but %q says that this pair belongs together", m.b.Evidence)
		r.Want = "bind an image that content proves to belong to it, or use --break-glass"
		r.Command = fmt.Sprintf("chartctl show %s", m.b.Chart)
		if d.mixed() {
			r.fact("one half goes back and the other forward")
		}
	case d.unknown():
		r.OK, r.Unknown = proof, true
		r.fact("the order is unknown, and the evidence is %q", m.b.Evidence)
		r.Want = "bind an image that content proves to belong to it, or use --break-glass"
		r.Command = fmt.Sprintf("chartctl show %s", m.b.Chart)
	}
	return d, r, nil
}
