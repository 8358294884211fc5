package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	repoconfig "chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/ref"
)

// fromRepo are the flags of "env set --from-repo".
type fromRepo struct {
	on, dryRun bool
	dir        string
}

// policySetting is an environment whose policy the deploy repo names.
type policySetting struct {
	Env     ref.Env        `json:"environment"`
	Action  string         `json:"action"` // set, keep
	Changes []policyChange `json:"changes"`
	Policy  api.Policy     `json:"policy"` // as it is to be, defaults filled in
}

// policySettings is what "env set --from-repo" prints.
type policySettings struct {
	Server       string          `json:"server"`
	DryRun       bool            `json:"dry_run"`
	Environments []policySetting `json:"environments"`
}

func (a *app) setFromRepo(ctx context.Context, f fromRepo, names []string) error {
	co, err := a.find(ctx, first(f.dir, "."), "")
	if err != nil {
		return err
	}
	defer co.Leave()
	conf := co.Repo.Config()
	envs, err := withPolicy(conf, names)
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
	now := map[ref.Env]api.Environment{}
	for _, e := range list.Environments {
		now[e.Env] = e
	}
	out := policySettings{Server: c.Server(), DryRun: f.dryRun, Environments: []policySetting{}}
	for _, env := range envs {
		have, ok := now[env]
		if !ok {
			return &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("%s is not on %s, so no policy was set", env, c.Server()), Want: "create it first with chartctl init"}
		}
		out.Environments = append(out.Environments, settingOf(conf, have))
	}
	if !f.dryRun {
		if err := setPolicies(ctx, c, out.Environments); err != nil {
			return err
		}
	}
	return a.print(out, func(w *writer) { out.show(w) })
}

// withPolicy are the environments whose policy is to be set: those named, else
// all that the file names a policy of.
func withPolicy(conf repoconfig.Config, names []string) ([]ref.Env, error) {
	envs, err := parseEnvs(names)
	if err != nil {
		return nil, err
	}
	for _, env := range envs {
		if _, ok := conf.Environment(env); !ok {
			return nil, usage("%s is not in this deploy repo", env)
		}
		if _, ok := conf.Policy(env); !ok {
			return nil, usage("%s names no policy of %s: write one under policies, as %s or %s", repoconfig.Name, env, env.Stage(), env)
		}
	}
	if len(envs) > 0 {
		return upstreamFirst(conf, envs), nil
	}
	for _, env := range conf.Envs() {
		if _, ok := conf.Policy(env); ok {
			envs = append(envs, env)
		}
	}
	return upstreamFirst(conf, envs), nil
}

// upstreamFirst puts stages before those that come after them. So the server
// sees no circle on the way that the file does not have.
func upstreamFirst(conf repoconfig.Config, envs []ref.Env) []ref.Env {
	var out []ref.Env
	seen := map[ref.Env]bool{}
	var visit func(ref.Env)
	visit = func(env ref.Env) {
		if seen[env] {
			return
		}
		seen[env] = true
		p, _ := conf.Policy(env)
		for _, name := range wholePolicy(env, p).Upstream {
			if up, err := ref.ParseEnv(name); err == nil {
				visit(up)
			}
		}
		if slices.Contains(envs, env) {
			out = append(out, env)
		}
	}
	for _, env := range envs {
		visit(env)
	}
	return out
}

// settingOf compares what the file asks for with what the server has.
func settingOf(conf repoconfig.Config, now api.Environment) policySetting {
	p, _ := conf.Policy(now.Env)
	s := policySetting{Env: now.Env, Action: "keep", Policy: wholePolicy(now.Env, p), Changes: policyChanges(wholePolicy(now.Env, now.Policy), wholePolicy(now.Env, p))}
	if len(s.Changes) > 0 {
		s.Action = "set"
	}
	return s
}

// setPolicies sets those that differ, and says how far it came.
func setPolicies(ctx context.Context, c *client.Client, list []policySetting) error {
	var done []string
	for _, s := range list {
		if s.Action != "set" {
			continue
		}
		_, err := c.SetPolicy(ctx, s.Env, s.Policy, false)
		var e *api.Error
		switch {
		case err == nil:
			done = append(done, s.Env.String())
		case errors.As(err, &e):
			told := *e
			told.Message = fmt.Sprintf("the policy of %s is not set: %s", s.Env, e.Message)
			if len(done) > 0 {
				told.Message += "; set before it: " + strings.Join(done, ", ")
			}
			return &told
		default:
			return err
		}
	}
	return nil
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
		s.show(w)
	}
	switch {
	case len(p.Environments) == 0:
		w.line("%s names no policies, so nothing is to be set", repoconfig.Name)
	case !any:
		w.line("nothing to set: every policy on %s is as %s has it", p.Server, repoconfig.Name)
	}
}

func (s policySetting) show(w *writer) {
	for _, c := range s.Changes {
		w.line("  %-13s %s -> %s", c.Field, first(c.Old, "none"), first(c.New, "none"))
	}
}
