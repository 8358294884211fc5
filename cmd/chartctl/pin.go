package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/ref"
)

// move is one environment's change: to which binding, from which revision.
type move struct {
	env     ref.Env
	base    uint64
	binding ref.BindingID
	from    string
	already *api.Pin // set where the environment is there already
}

// newMove reads an environment and plans its pin to b.
func newMove(e api.Environment, b ref.BindingID, from string) move {
	m := move{env: e.Env, base: e.Revision, binding: b, from: from}
	if e.Pin != nil && e.Pin.Binding == b {
		m.already = e.Pin
	}
	return m
}

// apply pins what is not there yet, several environments in one transaction,
// and prints the pins.
func (a *app) apply(ctx context.Context, c *client.Client, kind, reason string, moves []move) error {
	todo := []move{}
	for _, m := range moves {
		if m.already != nil {
			a.note("%s is at that pair already, as revision %d", m.env, m.already.Revision)
			continue
		}
		todo = append(todo, m)
	}
	switch {
	case len(todo) == 0 && len(moves) == 1:
		return a.print(moves[0].already, func(w *writer) { pinLines(w, *moves[0].already) })
	case len(moves) == 1:
		p, err := a.pinOne(ctx, c, kind, reason, todo[0])
		if err != nil {
			return err
		}
		return a.print(p, func(w *writer) { pinLines(w, p) })
	case len(todo) == 0:
		return a.print(api.PinSetResult{Pins: []api.Pin{}}, func(*writer) {})
	}
	set := api.PinSetRequest{Kind: kind, Reason: reason}
	for _, m := range todo {
		set.Pins = append(set.Pins, api.SetPin{Env: m.env, Revision: m.base, Binding: m.binding, From: m.from})
	}
	res, err := c.PinSet(ctx, set, "")
	if err != nil {
		return a.explain(err, nil)
	}
	return a.print(res, func(w *writer) { pinLines(w, res.Pins...) })
}

func (a *app) pinOne(ctx context.Context, c *client.Client, kind, reason string, m move) (api.Pin, error) {
	call := client.PinCall{Env: m.env, Base: m.base, Key: client.NewKey(),
		Pin: api.PinRequest{Binding: m.binding, Kind: kind, Reason: reason, From: m.from}}
	p, err := c.Pin(ctx, call)
	if err == nil {
		return p, nil
	}
	var e *api.Error
	lost := errors.As(err, &e) && e.Code == api.CodeUnavailable && e.Status == 0
	if lost || errors.Is(err, context.Canceled) {
		return a.outcome(c, call, err)
	}
	return p, a.explain(err, &m)
}

// outcome asks by the key what became of a pin whose answer was lost.
func (a *app) outcome(c *client.Client, call client.PinCall, lost error) (api.Pin, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	p, err := c.PinByKey(ctx, call.Env, call.Key)
	if err == nil {
		return p, nil
	}
	var e *api.Error
	if errors.As(err, &e) && e.Code == api.CodeNotFound {
		return p, &api.Error{Code: api.CodeUnavailable, Message: fmt.Sprintf("%v; the server says that nothing was pinned", lost)}
	}
	return p, &api.Error{Code: api.CodeUnavailable,
		Message: fmt.Sprintf("%v; whether %s was pinned is not known: look with chartctl history %s", lost, call.Env, call.Env)}
}

// explain tells who won, where a pin lost a race.
func (a *app) explain(err error, m *move) error {
	var e *api.Error
	if !errors.As(err, &e) || e.Code != api.CodeStale {
		return err
	}
	told := *e
	told.Want = ""
	switch {
	case e.Current != nil:
		p := e.Current
		told.Message = fmt.Sprintf("%s moved meanwhile: %s pinned revision %d (%s@%s, %s) first; look at it, then try again",
			p.Env, p.By, p.Revision, p.Name, p.Version, p.Kind)
	case m != nil && e.Revision > 0:
		told.Message = fmt.Sprintf("%s moved meanwhile from revision %d to %d; look at it, then try again", m.env, m.base, e.Revision)
	}
	return &told
}

// readEnvs parses and reads each environment; one given twice is an error.
func readEnvs(ctx context.Context, c *client.Client, args []string) ([]api.Environment, error) {
	seen := map[ref.Env]bool{}
	var envs []ref.Env
	for _, s := range args {
		env, err := parseEnv(s)
		if err != nil {
			return nil, err
		}
		if seen[env] {
			return nil, usage("environment %q is given twice", env)
		}
		seen[env] = true
		envs = append(envs, env)
	}
	var out []api.Environment
	for _, env := range envs {
		e, err := c.Environment(ctx, env)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// latest is the newest version by publication that is verified with evidence
// which the environment accepts. A version whose place in that order is not
// known cannot be the newest.
func latest(ctx context.Context, c *client.Client, e api.Environment, devel bool) (api.Chart, error) {
	var best *api.Chart
	for ch, err := range c.AllCharts(ctx, client.ChartQuery{Name: e.Chart}) {
		if err != nil {
			return api.Chart{}, err
		}
		if ch.State != "listed" || !accepted(e, ch.Binding) || ch.OrderUnknown || preRelease(ch.Version) && !devel {
			continue
		}
		if best == nil || ch.Seq > best.Seq {
			best = &ch
		}
	}
	if best == nil {
		what := "stable, verified version"
		hint := "give --version, or --devel to allow pre-releases"
		if devel {
			what, hint = "verified version", "bind one with chartctl bind, or give --version"
		}
		return api.Chart{}, &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("chart %q has no %s that %s accepts: %s", e.Chart, what, e.Env, hint)}
	}
	return *best, nil
}

func accepted(e api.Environment, b *api.Binding) bool {
	if b == nil || b.State != "verified" {
		return false
	}
	return !slices.ContainsFunc(b.Images, func(i api.BoundImage) bool { return i.Required && !slices.Contains(e.Accept, i.Evidence) })
}

// previous is the newest revision that was another pair than the current one.
func previous(ctx context.Context, c *client.Client, e api.Environment) (api.Pin, error) {
	before := e.Revision
	for e.Pin != nil && before > 1 {
		page, err := c.Pins(ctx, e.Env, before, 100)
		if err != nil {
			return api.Pin{}, err
		}
		if len(page.Pins) == 0 {
			break
		}
		for _, p := range page.Pins {
			if p.Binding != e.Pin.Binding {
				return p, nil
			}
			before = min(before, p.Revision)
		}
	}
	return api.Pin{}, &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("%s has no earlier revision with another pair to roll back to", e.Env)}
}

func parseRevision(s string) (uint64, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "#"), 10, 64)
	if err != nil || n == 0 {
		return 0, usage("revision %q is not a number such as 17", s)
	}
	return n, nil
}
