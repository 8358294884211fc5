package main

import (
	"context"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy/move"
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
	from, err := parseEnv(args[0])
	if err != nil {
		return err
	}
	if _, err := parseEnvs(args); err != nil {
		return err
	}
	r, err := f.request(args[1:])
	if err != nil {
		return err
	}
	return a.moved(move.Promote(ctx, a.place(f.dir, f.branch), from, r))
}

func (a *app) promoteAll(ctx context.Context, f moveFlags, stage string, hubs []string) error {
	out, err := move.PromoteAll(ctx, a.place(f.dir, f.branch), stage, hubs, move.Request{Files: f.Files, Why: f.Why})
	if err == nil && out.Proposal == nil && len(out.Pins) == 0 {
		a.notes(out.Notes)
		return a.print(api.PinSetResult{Pins: []api.Pin{}}, func(w *writer) { w.line("Nothing is to be promoted from %s.", stage) })
	}
	return a.moved(out, err)
}

func (a *app) rollback() *cobra.Command {
	var to string
	var f moveFlags
	c := &cobra.Command{
		Use:   "rollback HUB/STAGE",
		Short: "Pin an environment to a pair that it had before",
		Long: `Rollback makes a new revision with the pair of an earlier one. Without --to that
is the newest pair that passed here and is not the present one; where there is
none the revisions are listed that --to could name (exit 4). No registry is
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
	env, err := parseEnv(args[0])
	if err != nil {
		return err
	}
	var revision uint64
	if to != "" {
		if revision, err = parseRevision(to); err != nil {
			return err
		}
	}
	return a.moved(move.Rollback(ctx, a.place(f.dir, f.branch), env, revision, move.Request{Files: f.Files, Why: f.Why}))
}
