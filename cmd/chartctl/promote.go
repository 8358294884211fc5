package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

func (a *app) promote() *cobra.Command {
	var reason string
	var f fileFlags
	var g gateFlags
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
	c.Flags().StringVar(&reason, "reason", "", "why; kept with the pin")
	f.add(c)
	g.add(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		j := job{kind: model.Promote, reason: reason, downgrade: g.downgrade, breakGlass: g.breakGlass}
		switch {
		case all != "":
			return a.promoteAll(cmd.Context(), f, j, all, hubs)
		case len(hubs) > 0:
			return usage("promote: --hub is for --all")
		}
		return a.doPromote(cmd.Context(), f, j, args)
	}
	c.ValidArgsFunction = a.completeEnvs
	return c
}

func (a *app) doPromote(ctx context.Context, f fileFlags, j job, args []string) error {
	all, err := parseEnvs(args)
	if err != nil {
		return err
	}
	s, err := a.begin(ctx, f, args[1:])
	if err != nil {
		return err
	}
	defer s.co.leave()
	from, err := s.client.Environment(ctx, all[0])
	if err != nil {
		return err
	}
	if from.Pin == nil || from.Binding == nil {
		return &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("%s is not pinned, so there is nothing to promote", from.Env)}
	}
	if slices.Contains(s.envs, from.Env) {
		return usage("%s shares sites with %s, so it cannot be promoted from it: they always have the same pair; bump them together", s.envs[0], from.Env)
	}
	to, err := readEnvs(ctx, s.client, s.envs)
	if err != nil {
		return err
	}
	for _, e := range to {
		source := from
		if _, member := s.leader[e.Env]; member {
			if source, err = ownSource(ctx, s, e.Env, from); err != nil {
				return err
			}
		}
		j.moves = append(j.moves, newMove(e, *from.Binding, source.Env.String()))
	}
	return a.do(ctx, s, j)
}

// ownSource is the environment of e's own hub at from's stage, if it is pinned
// as from is; else from.
func ownSource(ctx context.Context, s scope, e ref.Env, from api.Environment) (api.Environment, error) {
	own, err := ref.ParseEnv(e.Hub() + "/" + from.Env.Stage())
	if err != nil || own == e {
		return from, err
	}
	source, err := s.client.Environment(ctx, own)
	switch {
	case code(err) == api.CodeNotFound:
		return from, nil
	case err != nil:
		return from, err
	case source.Pin == nil || source.Pin.Binding != from.Pin.Binding:
		return from, nil
	}
	return source, nil
}

func (a *app) rollback() *cobra.Command {
	var to, reason string
	var f fileFlags
	var g gateFlags
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
	c.Flags().StringVar(&reason, "reason", "", "why; kept with the pin")
	f.add(c)
	g.add(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		j := job{kind: model.Rollback, reason: reason, downgrade: g.downgrade, breakGlass: g.breakGlass}
		return a.doRollback(cmd.Context(), f, j, to, args)
	}
	c.ValidArgsFunction = a.completeEnvs
	return c
}

func (a *app) doRollback(ctx context.Context, f fileFlags, j job, to string, args []string) error {
	s, err := a.begin(ctx, f, args)
	if err != nil {
		return err
	}
	defer s.co.leave()
	envs, err := readEnvs(ctx, s.client, s.envs)
	if err != nil {
		return err
	}
	var target api.Pin
	if to == "" {
		target, err = previous(ctx, s.client, envs[0])
	} else {
		var n uint64
		if n, err = parseRevision(to); err == nil {
			target, err = s.client.Revision(ctx, envs[0].Env, n)
		}
	}
	if err != nil {
		return err
	}
	b := api.Binding{ID: target.Binding}
	if s.co != nil { // the files say what the binding holds
		if b, err = s.client.Binding(ctx, target.Binding); err != nil {
			return err
		}
	}
	for i, e := range envs {
		p := target
		if i > 0 && (e.Pin == nil || e.Pin.Binding != b.ID) {
			p, err = earlier(ctx, s.client, e, func(p api.Pin) bool { return p.Binding == b.ID })
			if code(err) == api.CodeNotFound {
				return neverHad(e.Env, target)
			}
			if err != nil {
				return err
			}
		}
		j.moves = append(j.moves, newMove(e, b, fmt.Sprint(p.Revision)))
	}
	return a.do(ctx, s, j)
}

// neverHad refuses a rollback of a group of which one never had the pair.
func neverHad(env ref.Env, target api.Pin) error {
	return &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("%s never had %s@%s as it is in revision %d of %s, so it cannot be rolled back with it", env, target.Name, target.Version, target.Revision, target.Env),
		Want: "give --to with a revision whose pair both had, or bump them to it", Command: fmt.Sprintf("chartctl bump %s --binding %s --group", target.Env, target.Binding)}
}
