// Package policy asks the server how the policies that a deploy repo names
// differ from its own, and sets them. Whether two ask for the same is the
// server's to say.
package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/ref"
)

// Setting is an environment whose policy the deploy repo names.
type Setting struct {
	Env     ref.Env            `json:"environment"`
	Action  string             `json:"action"` // set, keep
	Changes []api.PolicyChange `json:"changes"`
	Policy  api.Policy         `json:"policy"` // as it is to be, defaults filled in
}

// Of asks what the policy that the file names of an environment would change on
// the server.
func Of(ctx context.Context, c *client.Client, conf config.Config, env ref.Env) (Setting, error) {
	p, _ := conf.Policy(env)
	would, err := c.SetPolicy(ctx, env, p, true)
	s := Setting{Env: env, Action: "keep", Policy: would.Policy, Changes: would.Changes}
	if len(s.Changes) > 0 {
		s.Action = "set"
	}
	return s, err
}

// New is the policy of an environment that is still to be made: all that the
// file says is a change.
func New(env ref.Env, p api.Policy) Setting {
	s := Setting{Env: env, Action: "keep", Policy: p, Changes: []api.PolicyChange{}}
	for _, f := range Fields(p) {
		if f.Text != "" {
			s.Action, s.Changes = "set", append(s.Changes, api.PolicyChange{Field: f.Name, New: f.Text})
		}
	}
	return s
}

// Fresh reports whether an environment has the policy that a new one has.
func Fresh(ctx context.Context, c *client.Client, env ref.Env) (bool, error) {
	would, err := c.SetPolicy(ctx, env, api.Policy{}, true)
	return len(would.Changes) == 0, err
}

// Named are the environments whose policy is to be set, upstream ones first:
// those given, else all that the file names a policy of.
func Named(conf config.Config, envs []ref.Env) ([]ref.Env, error) {
	for _, env := range envs {
		if _, ok := conf.Environment(env); !ok {
			return nil, api.Errorf(api.CodeUsage, "%s is not in this deploy repo", env)
		}
		if _, ok := conf.Policy(env); !ok {
			return nil, api.Errorf(api.CodeUsage, "%s names no policy of %s: write one under policies, as %s or %s", config.Name, env, env.Stage(), env)
		}
	}
	if len(envs) == 0 {
		envs = slices.DeleteFunc(conf.Envs(), func(env ref.Env) bool { _, ok := conf.Policy(env); return !ok })
	}
	return upstreamFirst(conf, envs), nil
}

// upstreamFirst puts stages before those that come after them. So the server
// sees no circle on the way that the file does not have.
func upstreamFirst(conf config.Config, envs []ref.Env) []ref.Env {
	var out []ref.Env
	seen := map[ref.Env]bool{}
	var visit func(ref.Env)
	visit = func(env ref.Env) {
		if seen[env] {
			return
		}
		seen[env] = true
		p, _ := conf.Policy(env)
		for _, name := range p.Upstream {
			if up, err := env.ParseStage(name); err == nil {
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

// Set sets those that differ, upstream ones first, and says how far it came.
func Set(ctx context.Context, c *client.Client, conf config.Config, list []Setting) error {
	byEnv := map[ref.Env]Setting{}
	var envs []ref.Env
	for _, s := range list {
		byEnv[s.Env], envs = s, append(envs, s.Env)
	}
	var done []string
	for _, env := range upstreamFirst(conf, envs) {
		s := byEnv[env]
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
