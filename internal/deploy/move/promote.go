package move

import (
	"context"
	"fmt"
	"slices"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// Promote pins environments to the very pair that another one is pinned to.
func Promote(ctx context.Context, at Place, from ref.Env, r Request) (Outcome, error) {
	a, err := begin(ctx, at, r.Files, r.Envs)
	defer a.leave()
	if err != nil {
		return a.out, err
	}
	if slices.Contains(a.envs, from) {
		return a.out, usage("%s shares sites with %s, so it cannot be promoted from it: they always have the same pair; bump them together", a.envs[0], from)
	}
	m := move{Kind: model.Promote, Why: r.Why}
	for _, env := range a.envs {
		var s step
		own := false
		if !a.leader[env].IsZero() {
			if own, err = a.apart(ctx, env, m.Steps[0]); err != nil {
				return a.out, err
			}
		}
		switch {
		case a.leader[env].IsZero():
			s, err = a.choose(ctx, Question{Env: env, Pair: Pair{Choice: api.Choice{From: &from}}, Why: r.Why})
		case own:
			s, err = a.ownPromoted(ctx, env, from, m.Steps[0])
		default:
			s, err = a.follow(ctx, env, m.Steps[0].To, func(s step) (string, error) { return a.ownSource(ctx, s, from) })
		}
		if err != nil {
			return a.out, err
		}
		m.Steps = append(m.Steps, s)
	}
	return a.do(ctx, m)
}

// follow is the step of an environment that only its group brought in, to the
// pair of the others; from finds where it comes from.
func (a *act) follow(ctx context.Context, env ref.Env, to api.Binding, from func(step) (string, error)) (step, error) {
	e, err := a.client.Environment(ctx, env)
	if err != nil {
		return step{}, err
	}
	s := newStep(e, to, "")
	if !s.there() {
		s.From, err = from(s)
	}
	return s, err
}

// ownSource is the environment of the step's own hub at from's stage, if it has
// the pair; else from.
func (a *act) ownSource(ctx context.Context, s step, from ref.Env) (string, error) {
	own, err := s.Env.ParseStage(from.Stage())
	if err != nil || own == s.Env {
		return from.String(), err
	}
	source, err := a.client.Environment(ctx, own)
	switch {
	case api.CodeOf(err) == api.CodeNotFound, err == nil && (source.Pin == nil || source.Pin.Binding != s.To.ID):
		return from.String(), nil
	}
	return own.String(), err
}

// PromoteAll moves every environment that has the stage of its hub before it,
// by policy, and whose stage passed: one pin set, all or none. Those that stay
// are named in the notes.
func PromoteAll(ctx context.Context, at Place, stage string, hubs []string, r Request) (Outcome, error) {
	c, err := at.Dial("")
	if err != nil {
		return Outcome{}, err
	}
	st, err := c.Status(ctx)
	if err != nil {
		return Outcome{}, err
	}
	ready, notes, err := readyFrom(st, stage, hubs)
	if err != nil || len(ready) == 0 {
		return Outcome{Notes: notes}, err
	}
	for _, s := range ready {
		r.Envs = append(r.Envs, s.Env)
	}
	a, err := begin(ctx, at, r.Files, r.Envs)
	defer a.leave()
	a.out.Notes = append(notes, a.out.Notes...)
	switch {
	case err != nil:
		return a.out, err
	case len(a.envs) > len(ready):
		return a.out, usage("%s shares sites with what is promoted, and its %s has not passed: promote them one by one", a.envs[len(ready)], stage)
	}
	return a.do(ctx, move{Kind: model.Promote, Why: r.Why, Steps: ready})
}

// readyFrom are the steps of the environments whose stage before them passed
// with another pair, and why the others stay.
func readyFrom(st api.Status, stage string, hubs []string) (ready []step, stay []string, err error) {
	all := map[ref.Env]api.EnvironmentStatus{}
	for _, e := range st.Environments {
		all[e.Env] = e
	}
	before, failed := 0, 0
	for _, e := range st.Environments {
		source, err := ref.ParseEnv(e.Env.Hub() + "/" + stage) // of each hub its own
		up, ok := all[source]
		if err != nil || !ok || !slices.Contains(e.Upstream, source.String()) || len(hubs) > 0 && !slices.Contains(hubs, e.Env.Hub()) {
			continue
		}
		before++
		switch {
		case up.Pin == nil || up.Binding == nil:
			stay = append(stay, fmt.Sprintf("%s stays: %s has no pin", e.Env, up.Env))
		case e.Pin != nil && e.Pin.Binding == up.Pin.Binding:
			stay = append(stay, fmt.Sprintf("%s stays: it is at the pair of %s already", e.Env, up.Env))
		case up.Verdict != model.Passed:
			failed++
			stay = append(stay, fmt.Sprintf("%s stays: %s revision %d has no pass (%s)", e.Env, up.Env, up.Pin.Revision, up.Went()))
		default:
			ready = append(ready, newStep(e.Environment, *up.Binding, source.String()))
		}
	}
	switch {
	case before == 0:
		err = api.Errorf(api.CodeNotFound, "no environment has the stage %q before it: an upstream stage is part of the policy, %s", stage, advice.EnvSet)
	case len(ready) == 0 && failed > 0:
		err = &api.Error{Code: api.CodeGate, Rule: model.RuleUpstream, Message: "no " + stage + " that has another pair than the stage after it has passed", Want: "see", Command: string(advice.Status)}
	case len(ready) > model.MaxPinSet:
		err = usage("%d environments are ready, and one transaction moves %d: choose with --hub", len(ready), model.MaxPinSet)
	}
	return ready, stay, err
}
