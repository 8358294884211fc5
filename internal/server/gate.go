package server

import (
	"errors"
	"net/http"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/transport"
	"chartd.dev/chartd/lock"
)

// setPolicy replaces a policy as a whole, or says what that would change. It
// takes no precondition: who sets a policy says all of it, and the journal has
// the one before.
func (s *Server) setPolicy(c *call) error {
	env, err := c.env()
	if err != nil {
		return err
	}
	dry, _, err := c.flag("dry_run")
	if err != nil {
		return err
	}
	if !dry { // to ask is to read
		if err := c.who.Require(auth.Env, ""); err != nil {
			return err
		}
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
	var set lock.PolicySet
	if dry {
		set, err = s.Lock.TryPolicy(c.Context(), env, p)
	} else {
		set, err = s.Lock.SetPolicy(c.Context(), op, env, p)
	}
	if err != nil {
		return err
	}
	e, err := s.Lock.StateOf(c.Context(), set.Environment)
	if err != nil {
		return err
	}
	out := api.PolicySet{Environment: environmentOf(e), Changes: []api.PolicyChange{}}
	for _, f := range set.Changes {
		out.Changes = append(out.Changes, api.PolicyChange(f))
	}
	return c.answer(http.StatusOK, out)
}

// upstreamFrom reads stages of the environment's hub, and environments.
func upstreamFrom(env ref.Env, list []string) ([]ref.Env, error) {
	var out []ref.Env
	for _, u := range list {
		up, err := env.ParseStage(u)
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
	a, err := s.Lock.Approve(c.Context(), op, lock.NewApproval{Env: env, Binding: in.Binding, Reason: in.Reason})
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
		Env: env, Base: base, Binding: in.Binding, Kind: in.Kind, From: in.From, Reason: in.Reason,
		Commit: in.Commit, Downgrade: in.Downgrade, BreakGlass: in.BreakGlass,
	}, nil
}

// gate says what a pin would be answered, and writes nothing.
func (s *Server) gate(c *call) error {
	env, err := c.env()
	if err != nil {
		return err
	}
	var in api.GateRequest
	body, err := decode(c, &in)
	if err != nil {
		return err
	}
	ask, err := c.ask(env, in)
	if err != nil {
		return err
	}
	op, err := c.op("gate "+env.String(), body)
	if err != nil {
		return err
	}
	v, err := s.Lock.Judge(c.Context(), op, ask)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, verdictOf(v))
}

// ask is the question that a request asks. Without a precondition it is about
// the revision that is current.
func (c *call) ask(env ref.Env, in api.GateRequest) (lock.Ask, error) {
	var out lock.Ask
	if in.Choose == nil && in.Binding.IsZero() {
		return out, transport.BadRequest("read JSON body: %q is missing or empty, and so is %q", "binding", "choose")
	}
	base, err := c.base()
	if out.Current = errors.Is(err, errNeedMatch); err != nil && !out.Current {
		return out, err
	}
	if out.NewPin, err = c.newPin(env, base, in.PinRequest); err != nil || in.Choose == nil {
		return out, err
	}
	ch := in.Choose
	out.Choose = &lock.Choice{Version: ch.Version, Latest: ch.Latest, Devel: ch.Devel, Passed: ch.Passed, Revision: ch.Revision}
	if ch.From != nil {
		out.Choose.From = *ch.From
	}
	out.Choose.Images, err = references(ch.Images)
	return out, err
}

func verdictOf(v lock.Verdict) api.GateVerdict {
	pair := bindingOf(v.Pair)
	out := api.GateVerdict{
		Env: v.Env, Revision: v.Revision, Binding: v.Binding, Name: pair.Name, Version: pair.Version, Kind: v.Kind, From: v.From,
		Pass: v.OK, Direction: directionOf(v.Direction), Rules: []api.GateRule{},
		Pair: &pair, PublishedLast: v.PublishedLast, ByVersion: v.ByVersion,
	}
	for _, r := range v.Rules {
		out.Rules = append(out.Rules, ruleOf(r))
	}
	if no := v.Refusal(); no != nil {
		_, e := bodyOf(no)
		out.Refusal = &e
	}
	if v.Pin != nil {
		p := pinOf(*v.Pin)
		p.Images = imagesOf(v.Pinned.Images)
		out.Pin, out.Already = &p, v.Pin.Binding == v.Binding
	}
	for _, o := range v.PassedOver {
		out.PassedOver = append(out.PassedOver, api.PassedOver{Version: o.Chart.Version(), Revision: o.Revision, Why: o.Why, Command: o.Command})
	}
	return out
}

func ruleOf(r lock.RuleVerdict) api.GateRule {
	out := api.GateRule{Number: r.Number, Rule: r.Rule, State: model.RulePassed, Waived: r.Skipped, Facts: append([]string{}, r.Facts...), Want: r.Want, Command: r.Command}
	switch {
	case r.OK:
	case r.Skipped != "":
		out.State = model.RuleWaived
	case r.Unknown:
		out.State = model.RuleUnsure
	default:
		out.State = model.RuleRefused
	}
	return out
}

func directionOf(d lock.Direction) *api.Direction {
	if d == (lock.Direction{}) {
		return nil
	}
	return &api.Direction{Chart: d.Chart, Image: d.Image}
}
