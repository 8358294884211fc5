package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/ref"
)

type bumpFlags struct {
	version, binding, reason string
	latest, devel            bool
	images                   []string
}

func (a *app) bump() *cobra.Command {
	var f bumpFlags
	c := &cobra.Command{
		Use:   "bump HUB/STAGE… (--version V | --latest | --binding B)",
		Short: "Pin environments to another chart version and its images",
		Long: `Bump pins chart and images together, as one binding; several environments are
pinned in one transaction, all or none. Without --image and --binding each
environment takes the newest binding of the version that is verified, not
revoked, has evidence which the environment accepts (proven before declared),
and has its images from the repositories that the environment's pin has them
from. Where there is none, or where there is no pin yet and the version is bound
to images from different repositories, it is refused (exit 4): an image's
repository changes only if you say so.

With --image, the version is bound to that image first (scope bind) and then
pinned. --binding names the pair exactly; chartctl show lists a version's.

--latest is the version published last that has such a binding, without
pre-releases unless --devel is given, and without imported versions whose place
in the order is not known. A note names a newer one that was passed over.

The pin builds on the revision that was read. If somebody else pins meanwhile,
it is refused (exit 6) and you are told who won.`,
		Example: `  chartctl bump data8/staging --latest
  chartctl bump data8/staging --version 3.3.7 --image hub=quay.io/berkeley/hub:2024.4.9
  chartctl bump data8/prod datahub/prod --version 3.3.7 --reason "security fix"
  chartctl bump data8/prod --binding b1:AbCd…`,
		Args: args(1, -1),
	}
	c.Flags().StringVar(&f.version, "version", "", "chart version")
	c.Flags().BoolVar(&f.latest, "latest", false, "the newest version that each can take")
	c.Flags().StringVar(&f.binding, "binding", "", "exactly this binding of the version (its version, without --version)")
	c.Flags().BoolVar(&f.devel, "devel", false, "with --latest: pre-releases too")
	c.Flags().StringArrayVar(&f.images, "image", nil, "bind to this image first: ROLE=REFERENCE (repeatable)")
	c.Flags().StringVar(&f.reason, "reason", "", "why; kept with the pin")
	c.RunE = a.with(func(ctx context.Context, c *client.Client, args []string) error { return a.doBump(ctx, c, f, args) })
	c.ValidArgsFunction = a.completeEnvs
	return c
}

func (a *app) doBump(ctx context.Context, c *client.Client, f bumpFlags, args []string) error {
	if err := f.check(args[0]); err != nil {
		return err
	}
	images, err := parseImages(f.images)
	if err != nil {
		return err
	}
	envs, err := readEnvs(ctx, c, args)
	if err != nil {
		return err
	}
	var moves []move
	for _, e := range envs {
		b, err := a.bumpBinding(ctx, c, f, e, images)
		if err != nil {
			return err
		}
		moves = append(moves, newMove(e, b, ""))
	}
	return a.apply(ctx, c, "bump", f.reason, moves)
}

func (f bumpFlags) check(env string) error {
	switch {
	case f.version == "" && !f.latest && f.binding == "":
		return usage("bump %s: to which version? give --version V or --latest", env)
	case f.version != "" && f.latest:
		return usage("bump %s: --version and --latest exclude each other", env)
	case f.binding != "" && f.latest:
		return usage("bump %s: --binding and --latest exclude each other", env)
	case f.binding != "" && len(f.images) > 0:
		return usage("bump %s: --binding and --image exclude each other: a binding names its images", env)
	case f.devel && !f.latest:
		return usage("bump %s: --devel is for --latest; --version names a pre-release as it is", env)
	}
	return nil
}

// bumpBinding finds, or with images makes, the binding to pin.
func (a *app) bumpBinding(ctx context.Context, c *client.Client, f bumpFlags, e api.Environment, images map[ref.Role]string) (api.Binding, error) {
	if f.binding != "" {
		return named(ctx, c, f)
	}
	var ch api.Chart
	var b api.Binding
	var err error
	if f.latest {
		ch, b, err = a.latest(ctx, c, e, f)
	} else {
		ch, err = c.Chart(ctx, e.Chart, f.version)
	}
	switch {
	case err != nil:
		return b, err
	case len(images) > 0:
		v, err := ref.ParseImported(ch.Name, ch.Version)
		if err != nil {
			return b, err
		}
		b, _, err = c.Bind(ctx, v, api.BindRequest{Images: images})
		return b, err
	case f.latest:
		return b, nil
	}
	list, err := candidates(ctx, c, e, ch)
	switch {
	case err != nil:
		return b, err
	case len(list) > 0:
		return choose(e, ch, list)
	case ch.Binding != nil: // the server says by which rule it can't be pinned
		return *ch.Binding, nil
	}
	return b, notBound(ch)
}

// named is the binding of --binding.
func named(ctx context.Context, c *client.Client, f bumpFlags) (api.Binding, error) {
	id, err := ref.ParseBindingID(f.binding)
	if err != nil {
		return api.Binding{}, usage("%v", err)
	}
	b, err := c.Binding(ctx, id)
	if err == nil && f.version != "" && f.version != b.Version {
		err = usage("binding %q is of %s@%s, not of version %q", f.binding, b.Name, b.Version, f.version)
	}
	return b, err
}

// notBound refuses a version without a binding that could be pinned.
func notBound(ch api.Chart) error {
	version := ch.Name + "@" + ch.Version
	e := &api.Error{Code: api.CodeGate, Rule: "binding", Want: "bind it with chartctl bind " + version}
	switch {
	case len(ch.Bindings) > 0:
		e.Message = fmt.Sprintf("no binding of %s is verified, so it can't be pinned", version)
		e.Want = "bind another image, or see why with chartctl show " + version
	case ch.Unbound != "":
		e.Message = fmt.Sprintf("%s is bound to no images (%s) and can't be pinned", version, ch.Unbound)
	default:
		e.Message = fmt.Sprintf("%s is bound to no images and can't be pinned", version)
	}
	return e
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
		if from.Pin == nil || from.Binding == nil {
			return &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("%s is not pinned, so there is nothing to promote", from.Env)}
		}
		var moves []move
		for _, to := range envs[1:] {
			moves = append(moves, newMove(to, *from.Binding, from.Env.String()))
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
		Long: `Rollback makes a new revision with the pair of an earlier one. Without --to that
is the newest earlier revision whose binding is not the one pinned now, of
whatever kind it was, so a second rollback goes forward again. No registry is
asked on the way.`,
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
		m := newMove(envs[0], api.Binding{ID: target.Binding}, fmt.Sprint(target.Revision))
		return a.apply(ctx, c, "rollback", reason, []move{m})
	})
	c.ValidArgsFunction = a.completeEnvs
	return c
}
