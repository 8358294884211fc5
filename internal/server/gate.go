package server

import (
	"errors"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/transport"
	"chartd.dev/chartd/lock"
)

func (s *Server) approve(c *call, in api.ApprovalRequest) (api.Approval, error) {
	a, err := s.Lock.Approve(c.Context(), c.op("approve "+c.env.String()), lock.NewApproval{Env: c.env, Binding: in.Binding, Reason: in.Reason})
	return approvalOf(a), err
}

func approvalOf(a lock.Approval) api.Approval {
	return api.Approval{Env: a.Env, Binding: a.Binding, Reason: a.Reason, By: a.By.Name, At: a.At}
}

// gate says what a pin would be answered, and writes nothing.
func (s *Server) gate(c *call, in api.GateRequest) (api.GateVerdict, error) {
	ask, err := c.ask(in)
	if err != nil {
		return api.GateVerdict{}, err
	}
	v, err := s.Lock.Judge(c.Context(), c.op("gate "+c.env.String()), ask)
	if err != nil {
		return api.GateVerdict{}, err
	}
	return verdictOf(v), nil
}

// ask is the question that a request asks. Without a precondition it is about
// the revision that is current.
func (c *call) ask(in api.GateRequest) (out lock.Ask, err error) {
	if in.Choose == nil && in.Binding.IsZero() {
		return out, transport.BadRequest("read JSON body: %q is missing or empty, and so is %q", "binding", "choose")
	}
	c.base, err = c.readBase()
	if out.Current = errors.Is(err, errNeedMatch); err != nil && !out.Current {
		return out, err
	}
	if out.NewPin, err = c.newPin(in.PinRequest); err != nil || in.Choose == nil {
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
		Pass: v.OK, Direction: directionOf(v.Direction), Rules: each(v.Rules, ruleOf),
		Pair: &pair, PublishedLast: v.PublishedLast, ByVersion: v.ByVersion,
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
		over := api.PassedOver{Version: o.Chart.Version(), Revision: o.Revision, Why: o.Why}
		_, over.Command = advice.Of(o.Need)
		out.PassedOver = append(out.PassedOver, over)
	}
	return out
}

func ruleOf(r lock.RuleVerdict) api.GateRule {
	out := api.GateRule{Number: r.Number, Rule: r.Rule, State: model.RulePassed, Waived: r.Skipped, Facts: append([]string{}, r.Facts...)}
	out.Want, out.Command = advice.Of(r.Need)
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
