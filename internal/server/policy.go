package server

import (
	"cmp"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
)

// setPolicy replaces a policy as a whole, or says what that would change. It
// takes no precondition: who sets a policy says all of it, and the journal has
// the one before.
func (s *Server) setPolicy(c *call, in api.PolicyRequest) (api.PolicySet, error) {
	if !in.DryRun { // to ask is to read
		if err := c.who.Require(auth.Env, ""); err != nil {
			return api.PolicySet{}, err
		}
	}
	p, err := policyFrom(c.env, in.Policy)
	if err != nil {
		return api.PolicySet{}, err
	}
	var set lock.PolicySet
	if in.DryRun {
		set, err = s.Lock.TryPolicy(c.Context(), c.env, p)
	} else {
		set, err = s.Lock.SetPolicy(c.Context(), c.op("policy "+c.env.String()), c.env, p)
	}
	if err != nil {
		return api.PolicySet{}, err
	}
	e, err := s.Lock.StateOf(c.Context(), set.Environment)
	change := func(f lock.PolicyChange) api.PolicyChange { return api.PolicyChange(f) }
	return api.PolicySet{Environment: environmentOf(e), Changes: each(set.Changes, change)}, err
}

func policyFrom(env ref.Env, in api.Policy) (lock.Policy, error) {
	p := lock.Policy{Accept: in.Accept, Approvals: in.Approvals, Halt: in.Halt, Overdue: in.Overdue, Seal: in.Seal}
	var err error
	if p.Upstream, err = upstreamFrom(env, in.Upstream); err != nil {
		return p, err
	}
	if p.Soak, err = durationFrom(in.Soak); err != nil {
		return p, err
	}
	if p.Deadline, err = durationFrom(in.Deadline); err != nil {
		return p, err
	}
	for _, f := range in.Freeze {
		d, err := durationFrom(f.For)
		if err != nil {
			return p, err
		}
		p.Freeze = append(p.Freeze, lock.Freeze{Cron: f.Cron, Zone: f.Zone, For: d, Reason: f.Reason})
	}
	return p, nil
}

func durationFrom(text string) (lock.Duration, error) {
	var d lock.Duration
	if text == "" {
		return 0, nil
	}
	err := d.UnmarshalText([]byte(text))
	return d, err
}

func policyOf(p lock.Policy) api.Policy {
	out := api.Policy{Accept: p.Accept, Approvals: p.Approvals, Halt: p.HaltScope(), Overdue: p.Overdue, Seal: cmp.Or(p.Seal, model.SealGuarded)}
	for _, u := range p.Upstream {
		out.Upstream = append(out.Upstream, u.String())
	}
	for _, f := range p.Freeze {
		out.Freeze = append(out.Freeze, api.Freeze{Cron: f.Cron, Zone: f.Zone, For: f.For.String(), Reason: f.Reason})
	}
	if p.Soak > 0 {
		out.Soak = p.Soak.String()
	}
	if p.Deadline > 0 {
		out.Deadline = p.Deadline.String()
	}
	return out
}
