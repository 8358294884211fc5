package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/ref"
)

type bumpFlags struct {
	version, reason string
	latest, devel   bool
	images          []string
}

func (a *app) bump() *cobra.Command {
	var f bumpFlags
	c := &cobra.Command{
		Use:   "bump HUB/STAGE… (--version V | --latest)",
		Short: "Pin environments to another chart version and its images",
		Long: `Bump pins the default binding of the version, chart and images together; several
environments are pinned in one transaction, all or none. With --image, the
version is bound to that image first (scope bind) and then pinned.

--latest is the version published last that is verified with evidence which the
environment accepts, without pre-releases unless --devel is given, and without
imported versions whose place in the order is not known.

The pin builds on the revision that was read. If somebody else pins meanwhile,
it is refused (exit 6) and you are told who won.`,
		Example: `  chartctl bump data8/staging --latest
  chartctl bump data8/staging --version 3.3.7 --image hub=quay.io/berkeley/hub:2024.4.9
  chartctl bump data8/prod datahub/prod --version 3.3.7 --reason "security fix"`,
		Args: args(1, -1),
	}
	c.Flags().StringVar(&f.version, "version", "", "chart version")
	c.Flags().BoolVar(&f.latest, "latest", false, "the newest verified version")
	c.Flags().BoolVar(&f.devel, "devel", false, "with --latest: pre-releases too")
	c.Flags().StringArrayVar(&f.images, "image", nil, "bind to this image first: ROLE=REFERENCE (repeatable)")
	c.Flags().StringVar(&f.reason, "reason", "", "why; kept with the pin")
	c.RunE = a.with(func(ctx context.Context, c *client.Client, args []string) error { return a.doBump(ctx, c, f, args) })
	c.ValidArgsFunction = a.completeEnvs
	return c
}

func (a *app) doBump(ctx context.Context, c *client.Client, f bumpFlags, args []string) error {
	switch {
	case f.version == "" && !f.latest:
		return usage("bump %s: to which version? give --version V or --latest", args[0])
	case f.version != "" && f.latest:
		return usage("bump %s: --version and --latest exclude each other", args[0])
	case f.devel && !f.latest:
		return usage("bump %s: --devel is for --latest; --version names a pre-release as it is", args[0])
	}
	images, err := parseImages(f.images)
	if err != nil {
		return err
	}
	envs, err := readEnvs(ctx, c, args)
	if err != nil {
		return err
	}
	// Environments of one chart and one policy take one binding.
	bindings := map[string]ref.BindingID{}
	var moves []move
	for _, e := range envs {
		kind := e.Chart + " " + strings.Join(e.Accept, ",")
		if bindings[kind].IsZero() {
			if bindings[kind], err = a.bumpBinding(ctx, c, f, e, images); err != nil {
				return err
			}
		}
		moves = append(moves, newMove(e, bindings[kind], ""))
	}
	return a.apply(ctx, c, "bump", f.reason, moves)
}

// bumpBinding finds, or with images makes, the binding to pin.
func (a *app) bumpBinding(ctx context.Context, c *client.Client, f bumpFlags, e api.Environment, images map[ref.Role]string) (ref.BindingID, error) {
	var ch api.Chart
	var err error
	if f.latest {
		ch, err = latest(ctx, c, e, f.devel)
	} else {
		ch, err = c.Chart(ctx, e.Chart, f.version)
	}
	if err != nil {
		return ref.BindingID{}, err
	}
	if len(images) > 0 {
		v, err := ref.ParseImported(ch.Name, ch.Version)
		if err != nil {
			return ref.BindingID{}, err
		}
		b, _, err := c.Bind(ctx, v, api.BindRequest{Images: images})
		return b.ID, err
	}
	if ch.Binding == nil {
		why := ""
		if ch.Unbound != "" {
			why = " (" + ch.Unbound + ")"
		}
		return ref.BindingID{}, &api.Error{Code: api.CodeGate, Rule: "binding",
			Message: fmt.Sprintf("%s@%s is bound to no images%s and can't be pinned", ch.Name, ch.Version, why),
			Want:    fmt.Sprintf("bind it with chartctl bind %s@%s", ch.Name, ch.Version)}
	}
	return ch.Binding.ID, nil
}

func (a *app) promote() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:   "promote FROM TO…",
		Short: "Pin environments to the very pair that another one is pinned to",
		Long: `Promote takes the pair that FROM is pinned to now, by its digests, and pins each
TO to it; several in one transaction.`,
		Example: `  chartctl promote data8/staging data8/prod
  chartctl promote data8/staging data8/prod datahub/prod --reason "tested by the class"`,
		Args: args(2, -1),
	}
	c.Flags().StringVar(&reason, "reason", "", "why; kept with the pin")
	c.RunE = a.with(func(ctx context.Context, c *client.Client, args []string) error {
		envs, err := readEnvs(ctx, c, args)
		if err != nil {
			return err
		}
		from := envs[0]
		if from.Pin == nil {
			return &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("%s is not pinned, so there is nothing to promote", from.Env)}
		}
		var moves []move
		for _, to := range envs[1:] {
			moves = append(moves, newMove(to, from.Pin.Binding, from.Env.String()))
		}
		return a.apply(ctx, c, "promote", reason, moves)
	})
	c.ValidArgsFunction = a.completeEnvs
	return c
}

func (a *app) rollback() *cobra.Command {
	var to, reason string
	c := &cobra.Command{
		Use:   "rollback HUB/STAGE",
		Short: "Pin an environment to a pair that it had before",
		Long: `Rollback makes a new revision with the pair of an earlier one: without --to, of
the newest that had another pair than now. No registry is asked on the way.`,
		Example: `  chartctl rollback data8/prod --reason "hub does not start"
  chartctl rollback data8/prod --to 17`,
		Args: args(1, 1),
	}
	c.Flags().StringVar(&to, "to", "", "revision whose pair to take")
	c.Flags().StringVar(&reason, "reason", "", "why; kept with the pin")
	c.RunE = a.with(func(ctx context.Context, c *client.Client, args []string) error {
		envs, err := readEnvs(ctx, c, args)
		if err != nil {
			return err
		}
		var target api.Pin
		if to == "" {
			target, err = previous(ctx, c, envs[0])
		} else {
			var n uint64
			if n, err = parseRevision(to); err == nil {
				target, err = c.Revision(ctx, envs[0].Env, n)
			}
		}
		if err != nil {
			return err
		}
		m := newMove(envs[0], target.Binding, fmt.Sprint(target.Revision))
		return a.apply(ctx, c, "rollback", reason, []move{m})
	})
	c.ValidArgsFunction = a.completeEnvs
	return c
}
