package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/ref"
)

func (a *app) yank() *cobra.Command {
	return withReason[ref.ChartVersion, api.Chart]{
		command: &cobra.Command{
			Use:   "yank NAME@VERSION --reason R",
			Short: "Hide a version from the index and from new pins",
			Long: `A yanked version is gone from the index and takes no new pin but a rollback;
those who have pinned it can still fetch it. The version is never reused.

A client that follows a range in the whole index, such as Flux, takes an older
version by itself then, and one that names the version does not find it any more.
The repository of an environment stays as it is.`,
			Example:           `  chartctl yank jupyterhub@3.3.6 --reason "hub crashes on start"`,
			ValidArgsFunction: a.completeCharts,
		},
		parse: parseChart,
		kept:  "it is kept with the version",
		do:    (*client.Client).Yank,
		lines: func(w *writer, ch api.Chart) {
			w.line("yanked %s@%s: %s", ch.Name, ch.Version, ch.Reason)
			w.line("who follows a range in the whole index goes down to an older version, and who names this one no longer finds it; environments stay")
		},
	}.of(a)
}

func (a *app) purge() *cobra.Command {
	var yes bool
	c := withReason[ref.ChartVersion, api.Chart]{
		command: &cobra.Command{
			Use:   "purge NAME@VERSION --reason R",
			Short: "Remove a version's bytes for ever, such as a leaked secret",
			Long: `Purge removes the package for good; its name and version stay taken. Clusters
pinned to it can't fetch it any more. On a terminal it asks first; elsewhere it
wants --yes. Yank is enough for a version that merely does not work.`,
			Example:           `  chartctl purge jupyterhub@3.3.6 --reason "holds a private key" --yes`,
			ValidArgsFunction: a.completeCharts,
		},
		parse: parseChart,
		kept:  "it is kept with the version",
		do: func(c *client.Client, ctx context.Context, v ref.ChartVersion, reason string) (api.Chart, error) {
			if err := a.confirm(yes, v); err != nil {
				return api.Chart{}, err
			}
			return c.Purge(ctx, v, reason)
		},
		lines: func(w *writer, ch api.Chart) { w.line("purged %s@%s: %s", ch.Name, ch.Version, ch.Reason) },
	}.of(a)
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

func (a *app) revoke() *cobra.Command {
	return withReason[ref.BindingID, api.Binding]{
		command: &cobra.Command{
			Use:   "revoke BINDING --reason R",
			Short: "Make a binding unfit for every new pin, rollbacks included",
			Example: `  chartctl show jupyterhub@3.3.7     # prints the bindings
  chartctl revoke b1:AbCd… --reason "image holds a vulnerable hub"`,
		},
		parse: parseBinding,
		kept:  "it is kept with the binding",
		do:    (*client.Client).Revoke,
		lines: func(w *writer, b api.Binding) { w.line("revoked %s of %s@%s: %s", b.ID, b.Name, b.Version, b.Reason) },
	}.of(a)
}

func parseBinding(s string) (ref.BindingID, error) {
	id, err := ref.ParseBindingID(s)
	if err != nil {
		return id, usage("%v", err)
	}
	return id, nil
}

func (a *app) confirm(yes bool, v ref.ChartVersion) error {
	if yes {
		return nil
	}
	if !isTerminal(a.in) {
		return usage("purge %s: this can't be undone: give --yes", v)
	}
	fmt.Fprintf(a.err, "Purging can't be undone. Type %s to go on: ", v)
	if a.line() != v.String() {
		return usage("purge %s: not confirmed, nothing was changed", v)
	}
	return nil
}
