package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy/move"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

func (a *app) promote() *cobra.Command {
	var f moveFlags
	var all string
	var hubs []string
	c := &cobra.Command{
		Use:   "promote FROM TO… | promote --all STAGE",
		Short: "Pin environments to the very pair that another one is pinned to",
		Long: `Promote takes the pair that FROM is pinned to now, by its digests, and pins each
TO to it; several in one transaction. In a deploy repo that names TO it writes
the files too, as bump does. With --group each further environment is promoted
from its own hub's environment of FROM's stage, if that has the same pair, else
from FROM.

With --all, every environment that has STAGE of its hub before it, by policy, is
promoted from there if that passed: in one transaction, of at most 60. Those
that stay are named with the reason.`,
		Example: `  chartctl promote data8/staging data8/prod
  chartctl promote data8/staging data8/prod datahub/prod --reason "tested by the class"
  chartctl promote data8/staging data8/prod --group --commit
  chartctl promote --all staging --reason "the summer release"`,
		Args: func(c *cobra.Command, got []string) error {
			if all != "" {
				return args(0, 0)(c, got)
			}
			return args(2, -1)(c, got)
		},
	}
	c.Flags().StringVar(&all, "all", "", "promote every hub from this stage, where it passed")
	c.Flags().StringArrayVar(&hubs, "hub", nil, "with --all: only this hub (repeatable)")
	f.add(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case all != "":
			return a.promoteAll(cmd.Context(), f, all, hubs)
		case len(hubs) > 0:
			return usage("promote: --hub is for --all")
		}
		return a.doPromote(cmd.Context(), f, args)
	}
	c.ValidArgsFunction = a.completeEnvs
	return c
}

func (a *app) doPromote(ctx context.Context, f moveFlags, args []string) error {
	all, err := parseEnvs(args)
	if err != nil {
		return err
	}
	s, err := move.Begin(ctx, a.place(f.dir, f.branch), f.Files, all[1:])
	defer s.Leave()
	if err != nil {
		return a.moved(s.Said(), err)
	}
	from, err := s.Client.Environment(ctx, all[0])
	if err != nil {
		return err
	}
	m := move.Move{Kind: model.Promote, Why: f.Why}
	if from.Pin == nil || from.Binding == nil {
		return &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("%s is not pinned, so there is nothing to promote", from.Env)}
	}
	if slices.Contains(s.Envs, from.Env) {
		return usage("%s shares sites with %s, so it cannot be promoted from it: they always have the same pair; bump them together", s.Envs[0], from.Env)
	}
	to, err := readEnvs(ctx, s.Client, s.Envs)
	if err != nil {
		return err
	}
	for _, e := range to {
		source := from
		if !s.Leader(e.Env).IsZero() {
			if source, err = ownSource(ctx, s, e.Env, from); err != nil {
				return err
			}
		}
		m.Steps = append(m.Steps, move.NewStep(e, *from.Binding, source.Env.String()))
	}
	return a.moved(s.Do(ctx, m))
}

// ownSource is the environment of e's own hub at from's stage, if it is pinned
// as from is; else from.
func ownSource(ctx context.Context, s *move.Act, e ref.Env, from api.Environment) (api.Environment, error) {
	own, err := ref.ParseEnv(e.Hub() + "/" + from.Env.Stage())
	if err != nil || own == e {
		return from, err
	}
	source, err := s.Client.Environment(ctx, own)
	switch {
	case api.CodeOf(err) == api.CodeNotFound:
		return from, nil
	case err != nil:
		return from, err
	case source.Pin == nil || source.Pin.Binding != from.Pin.Binding:
		return from, nil
	}
	return source, nil
}

func (a *app) rollback() *cobra.Command {
	var to string
	var f moveFlags
	c := &cobra.Command{
		Use:   "rollback HUB/STAGE",
		Short: "Pin an environment to a pair that it had before",
		Long: `Rollback makes a new revision with the pair of an earlier one. Without --to that
is the newest earlier revision whose binding is not the one pinned now, of
whatever kind it was, so a second rollback goes forward again. No registry is
asked on the way. In a deploy repo that names the environment it writes the
files too, as bump does. With --group the others go back to the newest revision
of theirs that has the same pair; one that never had it is an error (exit 3).`,
		Example: `  chartctl rollback data8/prod --reason "hub does not start"
  chartctl rollback data8/prod --to 17`,
		Args: args(1, 1),
	}
	c.Flags().StringVar(&to, "to", "", "revision whose pair to take")
	f.add(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return a.doRollback(cmd.Context(), f, to, args)
	}
	c.ValidArgsFunction = a.completeEnvs
	return c
}

func (a *app) doRollback(ctx context.Context, f moveFlags, to string, args []string) error {
	named, err := parseEnvs(args)
	if err != nil {
		return err
	}
	s, err := move.Begin(ctx, a.place(f.dir, f.branch), f.Files, named)
	defer s.Leave()
	if err != nil {
		return a.moved(s.Said(), err)
	}
	m := move.Move{Kind: model.Rollback, Why: f.Why}
	envs, err := readEnvs(ctx, s.Client, s.Envs)
	if err != nil {
		return err
	}
	var target api.Pin
	if to == "" {
		target, err = previous(ctx, s.Client, envs[0])
	} else {
		var n uint64
		if n, err = parseRevision(to); err == nil {
			target, err = s.Client.Revision(ctx, envs[0].Env, n)
		}
	}
	if err != nil {
		return err
	}
	b, err := s.Client.Binding(ctx, target.Binding)
	if err != nil {
		return err
	}
	for i, e := range envs {
		p := target
		if i > 0 && (e.Pin == nil || e.Pin.Binding != b.ID) {
			p, err = earlier(ctx, s.Client, e, func(p api.Pin) bool { return p.Binding == b.ID })
			if api.CodeOf(err) == api.CodeNotFound {
				return neverHad(e.Env, target)
			}
			if err != nil {
				return err
			}
		}
		m.Steps = append(m.Steps, move.NewStep(e, b, fmt.Sprint(p.Revision)))
	}
	return a.moved(s.Do(ctx, m))
}

// neverHad refuses a rollback of a group of which one never had the pair.
func neverHad(env ref.Env, target api.Pin) error {
	return &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("%s never had %s@%s as it is in revision %d of %s, so it cannot be rolled back with it", env, target.Name, target.Version, target.Revision, target.Env),
		Want: "give --to with a revision whose pair both had, or bump them to it", Command: fmt.Sprintf("chartctl bump %s --binding %s --group", target.Env, target.Binding)}
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
