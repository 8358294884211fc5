package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// move is one environment's change: to which binding, from which revision.
type move struct {
	env     ref.Env
	base    uint64
	binding ref.BindingID
	from    string
	already *api.Pin // set where the environment is there already
	before  *api.Pin // nil for none
	to      api.Binding
}

// newMove plans the pin of an environment, as it was read, to b.
func newMove(e api.Environment, b api.Binding, from string) move {
	m := move{env: e.Env, base: e.Revision, binding: b.ID, from: from, before: e.Pin, to: b}
	if e.Pin != nil && e.Pin.Binding == b.ID {
		m.already = e.Pin
	}
	return m
}

// pinServer does a job where no files follow it.
func (a *app) pinServer(ctx context.Context, c *client.Client, j job) error {
	a.noteAlready(j)
	res, err := a.pinOnly(ctx, c, j, j.intent(c.Server()))
	if err != nil {
		return err
	}
	return a.printJob(j, res)
}

func (a *app) noteAlready(j job) {
	for _, m := range j.moves {
		if m.already != nil {
			a.note("%s is at that pair already, as revision %d", m.env, m.already.Revision)
		}
	}
}

// printJob prints the pin that each environment of the job has now.
func (a *app) printJob(j job, res api.PinSetResult) error {
	made := map[ref.Env]api.Pin{}
	for _, p := range res.Pins {
		made[p.Env] = p
	}
	res.Pins = []api.Pin{}
	shown := []api.Pin{}
	for _, m := range j.moves {
		p, ok := made[m.env]
		switch {
		case ok:
			a.notePinned(m, p)
		case m.already != nil:
			p = *m.already
		default:
			return &api.Error{Code: api.CodeInvalid, Message: fmt.Sprintf("the server's answer has no pin of %s: look with chartctl history %s", m.env, m.env)}
		}
		res.Pins = append(res.Pins, p)
		if !ok {
			p.Direction = nil // of the pin that it had already: nothing moves now
		}
		shown = append(shown, p)
	}
	if len(j.moves) == 1 {
		return a.print(res.Pins[0], func(w *writer) { pinLines(w, shown...) })
	}
	return a.print(res, func(w *writer) { pinLines(w, shown...) })
}

// notePinned says what may surprise about a bump or a promote that was made.
func (a *app) notePinned(m move, p api.Pin) {
	if m.before != nil && p.Kind != model.Rollback && lower(p.Version, m.before.Version) {
		a.note("note: %s goes from %s to %s, which is lower", p.Env, m.before.Version, p.Version)
	}
	if len(m.to.Images) > 0 && m.to.Sealed.IsZero() {
		a.note("note: %s@%s cannot be sealed (%s): the environment repository of %s is empty; use revisions/%d with values.yaml",
			p.Name, p.Version, first(m.to.Unsealed, "no reason is known"), p.Env, p.Revision)
	}
}

// lower compares by SemVer; versions that are none have no order.
func lower(a, b string) bool {
	x, err := semver.NewVersion(a)
	y, err2 := semver.NewVersion(b)
	return err == nil && err2 == nil && x.LessThan(y)
}

// pinOnly pins, and asks by the key what became of it where the answer is lost.
func (a *app) pinOnly(ctx context.Context, c *client.Client, j job, n intent) (api.PinSetResult, error) {
	res, err := j.send(ctx, c, n.Key)
	var e *api.Error
	lost := errors.As(err, &e) && (e.Foreign || e.Code == api.CodeUnavailable && e.Status == 0)
	if lost || errors.Is(err, context.Canceled) {
		res.Pins, err = outcome(c, n, err)
		return res, err
	}
	return res, a.explain(err, j)
}

// outcome asks by the key what became of pins whose answer was lost.
func outcome(c *client.Client, n intent, lost error) ([]api.Pin, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var out []api.Pin
	for _, env := range n.Envs {
		p, err := c.PinByKey(ctx, env, n.Key)
		switch {
		case code(err) == api.CodeNotFound:
			return nil, &api.Error{Code: api.CodeUnavailable, Message: fmt.Sprintf("%v; the server says that nothing was pinned", lost)}
		case err != nil:
			return nil, &api.Error{Code: api.CodeUnavailable,
				Message: fmt.Sprintf("%v; whether %s was pinned is not known: look with chartctl history %s", lost, env, env)}
		}
		out = append(out, p)
	}
	return out, nil
}

// explain tells who won, where a pin lost a race.
func (a *app) explain(err error, j job) error {
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
	case len(j.moves) == 1 && e.Revision > 0:
		m := j.moves[0]
		told.Message = fmt.Sprintf("%s moved meanwhile from revision %d to %d; look at it, then try again", m.env, m.base, e.Revision)
	}
	return &told
}

// parseEnvs parses each environment; one given twice is an error.
func parseEnvs(args []string) ([]ref.Env, error) {
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
	return envs, nil
}

func readEnvs(ctx context.Context, c *client.Client, envs []ref.Env) ([]api.Environment, error) {
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

// previous is the newest earlier revision with another pair than the current one.
func previous(ctx context.Context, c *client.Client, e api.Environment) (api.Pin, error) {
	return earlier(ctx, c, e, func(p api.Pin) bool { return p.Binding != e.Pin.Binding })
}

// earlier is the newest revision before the current one that fits.
func earlier(ctx context.Context, c *client.Client, e api.Environment, fits func(api.Pin) bool) (api.Pin, error) {
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
			if fits(p) {
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
