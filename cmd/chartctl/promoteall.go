package main

import (
	"context"
	"fmt"
	"slices"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy/move"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// maxSet is the most environments that the server moves in one transaction.
const maxSet = 60

// promoteAll moves every environment that has STAGE of its hub before it, and
// whose stage passed: one pin set, all or none.
func (a *app) promoteAll(ctx context.Context, f moveFlags, stage string, hubs []string) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	st, err := c.Status(ctx)
	if err != nil {
		return err
	}
	to, from, err := a.toPromote(st, stage, hubs)
	if err != nil {
		return err
	}
	if len(to) == 0 {
		return a.print(api.PinSetResult{Pins: []api.Pin{}}, func(w *writer) { w.line("Nothing is to be promoted from %s.", stage) })
	}
	envs := []ref.Env{}
	for _, e := range to {
		envs = append(envs, e.Env)
	}
	s, err := move.Begin(ctx, a.place(f.dir, f.branch), f.Files, envs)
	defer s.Leave()
	if err != nil {
		return a.moved(s.Said(), err)
	}
	m := move.Move{Kind: model.Promote, Why: f.Why}
	for _, env := range s.Envs {
		i := slices.Index(envs, env)
		if i < 0 {
			return usage("%s shares sites with what is promoted, and its %s has not passed: promote them one by one", env, stage)
		}
		m.Steps = append(m.Steps, move.NewStep(to[i].Environment, *from[i].Binding, from[i].Env.String()))
	}
	return a.moved(s.Do(ctx, m))
}

// toPromote are the environments to move with the stage that each comes from. The
// others are named, each with the reason.
func (a *app) toPromote(st api.Status, stage string, hubs []string) (to, from []api.EnvironmentStatus, err error) {
	all := map[string]api.EnvironmentStatus{}
	for _, e := range st.Environments {
		all[e.Env.String()] = e
	}
	before, failed := 0, 0
	for _, e := range st.Environments {
		up, ok := all[e.Env.Hub()+"/"+stage]
		if !ok || !slices.Contains(e.Upstream, up.Env.String()) || len(hubs) > 0 && !slices.Contains(hubs, e.Env.Hub()) {
			continue
		}
		before++
		switch {
		case up.Pin == nil || up.Binding == nil:
			a.note("%s stays: %s has no pin", e.Env, up.Env)
		case e.Pin != nil && e.Pin.Binding == up.Pin.Binding:
			a.note("%s stays: it is at the pair of %s already", e.Env, up.Env)
		case up.Verdict != model.Passed:
			failed++
			a.note("%s stays: %s revision %d has no pass (%s)", e.Env, up.Env, up.Pin.Revision, verdictOf(up))
		default:
			to, from = append(to, e), append(from, up)
		}
	}
	switch {
	case before == 0:
		return nil, nil, &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("no environment has the stage %q before it: an upstream stage is part of the policy, chartctl env set", stage)}
	case len(to) == 0 && failed > 0:
		return nil, nil, &api.Error{Code: api.CodeGate, Rule: model.RuleUpstream, Message: fmt.Sprintf("no %s that has another pair than the stage after it has passed", stage), Want: "see", Command: "chartctl status"}
	case len(to) > maxSet:
		return nil, nil, usage("%d environments are ready, and one transaction moves %d: choose with --hub", len(to), maxSet)
	}
	return to, from, nil
}
