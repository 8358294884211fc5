package main

import (
	"context"
	"errors"
	"fmt"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy"
	repoconfig "chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/deploy/move"
	"chartd.dev/chartd/internal/deploy/verify"
	"chartd.dev/chartd/internal/ref"
)

// deployRepo is the deploy repo that names the environment; nil if there is
// none. One that was asked for has to be there.
func (a *app) deployRepo(ctx context.Context, dir string, env ref.Env) (*move.Checkout, error) {
	co, err := a.find(ctx, dir, "")
	if err != nil || co == nil {
		return nil, err
	}
	if _, ok := co.Repo.Config().Environment(env); ok {
		return co, nil
	}
	top := co.Repo.Root().Dir()
	co.Leave()
	if dir != "" {
		return nil, usage("%s in %s does not name %s", repoconfig.Name, top, env)
	}
	a.note("note: %s in %s does not name %s: what is deployed is the server's pin alone", repoconfig.Name, top, env)
	return nil, nil
}

// fresh refuses a checkout that differs from the pin: it may deploy what
// nobody has pinned, as the submodule did that nobody had updated.
func (a *app) fresh(ctx context.Context, co *move.Checkout, c *client.Client, e api.Environment) error {
	if err := co.Idle(); err != nil {
		return err
	}
	stage, err := co.StageOf(ctx)
	if err != nil {
		return err
	}
	if stage != "" && stage != e.Env.Stage() {
		return &api.Error{Code: api.CodeDrift, Message: fmt.Sprintf("this checkout is of stage %q, and %s is not: nothing was run", stage, e.Env),
			Want: fmt.Sprintf("check out the branch of %q", e.Env.Stage())}
	}
	o := verify.Options{Envs: []ref.Env{e.Env}, Environments: map[ref.Env]api.Environment{e.Env: e}}
	entries, err := lockedEntries(co, o.Envs)
	if err != nil {
		return deploy.Coded(err)
	}
	if o.Charts, err = lockedCharts(ctx, c, entries); err != nil {
		return err
	}
	verdict, err := verify.Repo(co.Repo, o)
	if err != nil {
		return deploy.Coded(err)
	}
	for _, n := range verdict.Notes {
		a.note("note: %s", n)
	}
	for _, f := range verdict.Findings {
		a.note("%s", f)
	}
	if n := len(verdict.Findings); n > 0 {
		return &api.Error{Code: api.CodeDrift, Message: fmt.Sprintf("%s between this checkout and the pin of %s: nothing was run", plural(n, "difference"), e.Env)}
	}
	return nil
}

// lockedCharts is what the server knows of the locked versions alone. With
// their content a package in charts/ that was packed anew is recognised.
func lockedCharts(ctx context.Context, c *client.Client, entries []lockfile.Entry) (map[string]api.Chart, error) {
	out := map[string]api.Chart{}
	for _, e := range entries {
		ch, err := c.Chart(ctx, e.Chart.Name, e.Chart.Version)
		var missing *api.Error
		switch {
		case errors.As(err, &missing) && missing.Code == api.CodeNotFound:
		case err != nil:
			return nil, err
		default:
			out[ch.Name+"@"+ch.Version] = ch
		}
	}
	return out, nil
}
