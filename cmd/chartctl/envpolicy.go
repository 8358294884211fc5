package main

import (
	"cmp"
	"context"
	"fmt"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/api"
	repoconfig "chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/policy"
	"chartd.dev/chartd/internal/ref"
)

// fromRepo are the flags of "env set --from-repo".
type fromRepo struct {
	on, dryRun bool
	dir        string
}

// policySettings is what "env set --from-repo" prints.
type policySettings struct {
	Server       string           `json:"server"`
	DryRun       bool             `json:"dry_run"`
	Environments []policy.Setting `json:"environments"`
}

func (a *app) setFromRepo(ctx context.Context, f fromRepo, names []string) error {
	co, err := a.find(ctx, cmp.Or(f.dir, "."), "")
	if err != nil {
		return err
	}
	defer co.Leave()
	conf := co.Repo.Config()
	envs, err := parseEnvs(names)
	if err == nil {
		envs, err = policy.Named(conf, envs)
	}
	if err != nil {
		return err
	}
	c, err := a.clientAt(conf.Server)
	if err != nil {
		return err
	}
	list, err := c.Environments(ctx)
	if err != nil {
		return err
	}
	known := map[ref.Env]bool{}
	for _, e := range list.Environments {
		known[e.Env] = true
	}
	out := policySettings{Server: c.Server(), DryRun: f.dryRun, Environments: []policy.Setting{}}
	for _, env := range envs {
		if !known[env] {
			return &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("%s is not on %s, so no policy was set", env, c.Server()), Want: "create it first with " + string(advice.Init)}
		}
		s, err := policy.Of(ctx, c, conf, env)
		if err != nil {
			return err
		}
		out.Environments = append(out.Environments, s)
	}
	if !f.dryRun {
		if err := policy.Set(ctx, c, conf, out.Environments); err != nil {
			return err
		}
	}
	return a.print(out, func(w *writer) { out.show(w) })
}

func (p policySettings) show(w *writer) {
	verb, any := "is set", false
	if p.DryRun {
		verb = "would be set"
	}
	for _, s := range p.Environments {
		if s.Action != "set" {
			continue
		}
		any = true
		w.line("the policy of %s %s:", s.Env, verb)
		changeLines(w, s.Changes)
	}
	switch {
	case len(p.Environments) == 0:
		w.line("%s names no policies, so nothing is to be set", repoconfig.Name)
	case !any:
		w.line("nothing to set: every policy on %s is as %s has it", p.Server, repoconfig.Name)
	}
}

func changeLines(w *writer, list []api.PolicyChange) {
	for _, c := range list {
		w.line("  %-13s %s -> %s", c.Field, cmp.Or(c.Old, "none"), cmp.Or(c.New, "none"))
	}
}
