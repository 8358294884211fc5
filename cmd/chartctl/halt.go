package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

func (a *app) halt() *cobra.Command {
	var in api.HaltRequest
	c := withReason[ref.Env, api.Halt]{
		command: &cobra.Command{
			Use:   "halt HUB/STAGE --reason R",
			Short: "Stop all pins of an environment, its hub, or everything",
			Long: `A halt stops every pin in its scope until somebody resolves it. A rollback to a
pair that passed is let through all the same. Without --scope it is the scope
that the environment's policy names: by default the hub, every stage of it.
--scope everything wants the scope override:* on the token.`,
			Example: `  chartctl halt data8/prod --reason "the storage is being moved"
  chartctl halt data8/prod --scope everything --reason "the cluster is down"`,
			ValidArgsFunction: a.completeEnvs,
		},
		parse: parseEnv,
		usage: "why; it is what everybody else is told (required)",
		kept:  "it is what the others are told",
		do: func(c *client.Client, ctx context.Context, env ref.Env, reason string) (api.Halt, error) {
			in.Reason = reason
			return c.Halt(ctx, env, in)
		},
		lines: haltLines,
	}.of(a)
	c.Flags().StringVar((*string)(&in.Scope), "scope", "", "environment, hub or everything")
	return c
}

// halted is a halt in words.
func halted(h api.Halt) string {
	s := fmt.Sprintf("%s (%s)", h.ID, haltScope(h))
	switch h.Cause {
	case model.CauseReport:
		s += fmt.Sprintf(": %s revision %d was reported failed", h.Env, h.Revision)
	case model.CauseDeadline:
		s += fmt.Sprintf(": %s revision %d got no verdict in time", h.Env, h.Revision)
	default:
		s += fmt.Sprintf(": %s by hand", h.Env)
	}
	if h.Reason != "" {
		s += ": " + h.Reason
	}
	return s
}

// haltScope is what is stopped.
func haltScope(h api.Halt) string {
	switch h.Scope {
	case model.ScopeEnvironment:
		return h.Env.String()
	case model.ScopeHub:
		return "all of " + h.Env.Hub()
	}
	return string(h.Scope)
}

func haltLines(w *writer, h api.Halt) {
	w.line("%s", halted(h))
	w.line("  since %s, by %s", when(h.At), h.By)
	switch {
	case h.Open:
		w.line("  it ends by: %s", strings.Join(waysOut(h), "; or: "))
	case h.Ended.Revision > 0:
		w.line("  ended %s: revision %d passed, reported by %s", when(h.Ended.At), h.Ended.Revision, h.Ended.By)
	default:
		w.line("  resolved %s by %s: %s", when(h.Ended.At), h.Ended.By, h.Ended.Reason)
	}
}

// waysOut are the commands that end a halt, as things stand.
func waysOut(h api.Halt) []string {
	f := model.Facts{Env: h.Env, Halt: h.ID, Revision: h.Awaits}
	resolve := advice.ResolveBy.With(f)
	switch {
	case h.Cause == model.CauseHand:
		return []string{resolve}
	case h.Awaits > 0:
		return []string{advice.Redeploy.With(f) + ", which then passes", advice.Passed.With(f), resolve}
	}
	return []string{advice.Rollback.With(f) + ", which then passes", advice.BumpFix.With(f) + ", which then passes", resolve}
}

func (a *app) halts() *cobra.Command {
	var all bool
	var limit int
	var before uint64
	c := &cobra.Command{
		Use:   "halts",
		Short: "List what is halted, and by what",
		Example: `  chartctl halts
  chartctl halts --all --limit 50`,
		Args: args(0, 0),
	}
	c.Flags().BoolVar(&all, "all", false, "those that ended too, newest first")
	c.Flags().IntVar(&limit, "limit", 20, "with --all: at most so many")
	c.Flags().Uint64Var(&before, "before", 0, "with --all: only those before this number")
	c.RunE = printing(a, func(ctx context.Context, c *client.Client, _ []string) (api.Halts, error) {
		if err := positive(limit); err != nil {
			return api.Halts{}, err
		}
		if all {
			return c.AllHalts(ctx, before, limit)
		}
		return c.Halts(ctx)
	}, func(w *writer, list api.Halts) { haltsTable(w, list, all) })
	return c
}

func haltsTable(w *writer, list api.Halts, all bool) {
	if len(list.Halts) == 0 {
		w.line("Nothing is halted.")
		return
	}
	tableOf(w, []string{"HALT", "STATE", "STOPS", "FAILED", "REV", "CAUSE", "SINCE", "BY", "REASON"}, list.Halts, func(h api.Halt) []string {
		state, revision := "open", "-"
		if h.Ended != nil {
			state = "ended " + when(h.Ended.At)
		}
		if h.Revision > 0 {
			revision = fmt.Sprint(h.Revision)
		}
		return []string{h.ID, state, haltScope(h), h.Env.String(), revision, string(h.Cause), when(h.At), h.By, cmp.Or(h.Reason, "-")}
	})
	if all && list.Next > 0 {
		w.line("older ones: chartctl halts --all --before %d", list.Next)
	}
}

func (a *app) resolve() *cobra.Command {
	return withReason[string, api.Halt]{
		command: &cobra.Command{
			Use:   "resolve HALT --reason R",
			Short: "End a halt on your word",
			Long: `A halt ends by itself when the rollback or the fix that followed the failure is
reported passed. Resolve ends it without; the reason stands in every later view.
It wants the scope override on the environment that failed.`,
			Example: `  chartctl resolve halt-12 --reason "the check was wrong, not the hub"`,
		},
		parse: func(id string) (string, error) { return id, nil },
		kept:  "it stands in every later view",
		do:    (*client.Client).ResolveHalt,
		lines: haltLines,
	}.of(a)
}
