package main

import (
	"context"

	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/ref"
)

// scope is where a command pins: the server, the environments, and the deploy
// repo whose files follow.
type scope struct {
	client *client.Client
	co     *checkout // nil: no files
	dryRun bool
	envs   []ref.Env // those named first, then the rest of their groups
	leader map[ref.Env]ref.Env
}

// begin finds out what a command that names environments is about. The scope's
// checkout is to be left.
func (a *app) begin(ctx context.Context, f fileFlags, args []string) (scope, error) {
	envs, err := parseEnvs(args)
	if err != nil {
		return scope{}, err
	}
	s := scope{envs: envs, dryRun: f.dryRun}
	if s.co, err = a.enter(ctx, f, envs); err != nil {
		return s, err
	}
	if s.co == nil {
		s.client, err = a.client()
		return s, err
	}
	s.client = s.co.client
	s.envs, s.leader, err = s.co.together(envs)
	if err == nil {
		err = s.co.clean(ctx, s.envs)
	}
	if err != nil {
		s.co.leave()
	}
	return s, err
}

// do pins, and brings the files with it where there are any.
func (a *app) do(ctx context.Context, s scope, j job) error {
	switch {
	case s.co != nil:
		return a.inRepo(ctx, s, j)
	case s.dryRun:
		return a.dryRun(ctx, s, j, nil)
	}
	return a.pinServer(ctx, s.client, j)
}
