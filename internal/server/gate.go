package server

import (
	"net/http"
	"strings"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
)

// setPolicy replaces a policy as a whole. It takes no precondition: who sets
// a policy says all of it, and the journal has the one before.
func (s *Server) setPolicy(c *call) error {
	env, err := c.env()
	if err != nil {
		return err
	}
	var in api.Policy
	body, err := decode(c, &in)
	if err != nil {
		return err
	}
	p, err := policyFrom(env, in)
	if err != nil {
		return err
	}
	op, err := c.op("policy "+env.String(), body)
	if err != nil {
		return err
	}
	if _, err := s.Lock.SetPolicy(c.ctx(), op, env, p); err != nil {
		return err
	}
	e, err := s.Lock.Environment(c.ctx(), env)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, environmentOf(e))
}

// upstreamFrom reads stages of the environment's hub, and environments.
func upstreamFrom(env ref.Env, list []string) ([]ref.Env, error) {
	var out []ref.Env
	for _, u := range list {
		if !strings.Contains(u, "/") {
			u = env.Hub() + "/" + u
		}
		up, err := ref.ParseEnv(u)
		if err != nil {
			return nil, err
		}
		out = append(out, up)
	}
	return out, nil
}

func policyFrom(env ref.Env, in api.Policy) (lock.Policy, error) {
	p := lock.Policy{Accept: in.Accept, Approvals: in.Approvals, Halt: in.Halt, Overdue: in.Overdue}
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
	out := api.Policy{Accept: p.Accept, Approvals: p.Approvals, Halt: p.HaltScope(), Overdue: p.Overdue}
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

func (s *Server) approve(c *call) error {
	env, err := c.env()
	if err != nil {
		return err
	}
	var in api.ApprovalRequest
	body, err := decode(c, &in, "binding")
	if err != nil {
		return err
	}
	op, err := c.op("approve "+env.String(), body)
	if err != nil {
		return err
	}
	a, err := s.Lock.Approve(c.ctx(), op, lock.NewApproval{Env: env, Binding: in.Binding, Reason: in.Reason})
	if err != nil {
		return err
	}
	return c.answer(http.StatusCreated, approvalOf(a))
}

func approvalOf(a lock.Approval) api.Approval {
	return api.Approval{Env: a.Env, Binding: a.Binding, Reason: a.Reason, By: a.By.Name, At: a.At}
}

// newPin is the pin that a request asks for. To pass the gate takes a scope of
// its own.
func (c *call) newPin(env ref.Env, base uint64, in api.PinRequest) (lock.NewPin, error) {
	if in.BreakGlass != "" {
		if err := c.who.Require(auth.BreakGlass, env.String()); err != nil {
			return lock.NewPin{}, err
		}
	}
	return lock.NewPin{
		Env: env, Base: base, Binding: in.Binding, Kind: in.Kind.Or(), From: in.From, Reason: in.Reason,
		Commit: in.Commit, Downgrade: in.Downgrade, BreakGlass: in.BreakGlass,
	}, nil
}

// gate says what a pin would be answered, and writes nothing.
func (s *Server) gate(c *call) error {
	env, err := c.env()
	if err != nil {
		return err
	}
	base, err := c.base()
	if err != nil {
		return err
	}
	var in api.PinRequest
	body, err := decode(c, &in, "binding")
	if err != nil {
		return err
	}
	np, err := c.newPin(env, base, in)
	if err != nil {
		return err
	}
	op, err := c.op("gate "+env.String(), body)
	if err != nil {
		return err
	}
	v, err := s.Lock.Gate(c.ctx(), op, np)
	if err != nil {
		return err
	}
	b, err := s.Lock.Binding(c.ctx(), v.Binding)
	if err != nil {
		return err
	}
	out := verdictOf(v)
	out.Name, out.Version = b.Chart.Name(), b.Chart.Version()
	return c.answer(http.StatusOK, out)
}

func verdictOf(v lock.Verdict) api.GateVerdict {
	out := api.GateVerdict{
		Env: v.Env, Revision: v.Revision, Binding: v.Binding, Kind: v.Kind, Pass: v.OK,
		Direction: directionOf(v.Direction), Rules: []api.GateRule{},
	}
	for _, r := range v.Rules {
		rule := api.GateRule{Number: r.Number, Rule: r.Rule, State: model.RulePassed, Waived: r.Skipped, Facts: r.Facts, Want: r.Want, Command: r.Command}
		switch {
		case r.OK:
		case r.Skipped != "":
			rule.State = model.RuleWaived
		case r.Unknown:
			rule.State = model.RuleUnsure
		default:
			rule.State = model.RuleRefused
		}
		if rule.Facts == nil {
			rule.Facts = []string{}
		}
		out.Rules = append(out.Rules, rule)
		if !r.OK && r.Skipped == "" && out.Refusal == nil {
			out.Refusal = refusalOf(rule, v.Revision)
		}
	}
	return out
}

// refusalOf is the error that the pin would get.
func refusalOf(r api.GateRule, revision uint64) *api.Error {
	e := &api.Error{Message: strings.Join(r.Facts, "; "), Code: api.CodeGate, Rule: r.Rule, Facts: r.Facts, Want: r.Want, Command: r.Command}
	switch r.Rule {
	case model.RuleBase:
		e.Code, e.Revision, e.Rule = api.CodeStale, revision, ""
	case model.RuleHalt:
		e.Code = api.CodeHalted
	}
	return e
}

func directionOf(d lock.Direction) *api.Direction {
	if d == (lock.Direction{}) {
		return nil
	}
	return &api.Direction{Chart: d.Chart, Image: d.Image}
}
