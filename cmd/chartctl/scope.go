package main

import (
	"context"
	"errors"
	"strings"

	"chartd.dev/chartd/internal/api"
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
		return s.grouped(a.inRepo(ctx, s, j))
	case s.dryRun:
		return a.dryRun(ctx, s, j, nil)
	}
	return a.pinServer(ctx, s.client, j)
}

// grouped adds --group to what a refusal says to run: the server knows of no
// files that environments share.
func (s scope) grouped(err error) error {
	var e *api.Error
	if s.co == nil || !s.co.flags.group || len(s.envs) < 2 || !errors.As(err, &e) {
		return err
	}
	told := *e
	for _, env := range s.envs {
		bump := "chartctl bump " + env.String() + " "
		told.Want = strings.ReplaceAll(told.Want, bump, bump+"--group ")
		for _, verb := range []string{"bump ", "rollback "} {
			if strings.HasPrefix(told.Command, "chartctl "+verb+env.String()+" ") {
				told.Command += " --group"
			}
		}
	}
	return &told
}
