package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy/move"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

type bumpFlags struct {
	moveFlags
	version, binding            string
	latest, devel, prepare, fix bool
	images                      []string
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
pinned; --dry-run binds nothing, and wants it bound (exit 3). --binding
names the pair exactly; chartctl show lists a version's.

--latest is the version published last that has such a binding, without
pre-releases unless --devel is given, and without imported versions whose place
in the order is not known. A note names a newer one that was passed over.

The pin builds on the revision that was read. If somebody else pins meanwhile,
it is refused (exit 6) and you are told who won.

In a deploy repo whose .chartctl.yaml names the environment, bump also brings
chartd.lock and every site to the pair, with the pin, as one act: an interrupted
one is finished or discarded by the next command or by chartctl recover. What is
already pinned is only written. Environments that share sites can only move
together: without --group that is refused (exit 2) and they are listed. Files
with uncommitted changes are refused (exit 6) unless --allow-dirty is given;
other files do not matter. With "flow: review" the gate is asked and the files
are written, but nothing is pinned: chartctl apply does that after the merge.

--prepare moves only what images are built FROM, notes the version in
chartd.lock, and pins nothing; once the image is built, a bump with --version
and --image completes it.`,
		Example: `  chartctl bump data8/staging --latest
  chartctl bump data8/staging --version 3.3.7 --image hub=quay.io/berkeley/hub:2024.4.9
  chartctl bump data8/prod datahub/prod --version 3.3.7 --reason "security fix"
  chartctl bump data8/prod --binding b1:AbCd…
  chartctl bump data8/staging --latest --group --dry-run
  chartctl bump data8/staging --version 3.3.8 --prepare --commit`,
		Args: args(1, -1),
	}
	c.Flags().StringVar(&f.version, "version", "", "chart version")
	c.Flags().BoolVar(&f.latest, "latest", false, "the newest version that each can take")
	c.Flags().StringVar(&f.binding, "binding", "", "exactly this binding of the version (its version, without --version)")
	c.Flags().BoolVar(&f.devel, "devel", false, "with --latest: pre-releases too")
	c.Flags().StringArrayVar(&f.images, "image", nil, "bind to this image first: ROLE=REFERENCE (repeatable)")
	c.Flags().BoolVar(&f.prepare, "prepare", false, "only move what images are built on, and pin nothing")
	c.Flags().BoolVar(&f.fix, "fix", false, "the one pin that a halted environment takes to mend what failed")
	f.moveFlags.add(c)
	c.RunE = func(cmd *cobra.Command, args []string) error { return a.doBump(cmd.Context(), f, args) }
	c.ValidArgsFunction = a.completeEnvs
	return c
}

func (a *app) doBump(ctx context.Context, f bumpFlags, args []string) error {
	if err := f.check(args[0]); err != nil {
		return err
	}
	images, err := parseImages(f.images)
	if err != nil {
		return err
	}
	envs, err := parseEnvs(args)
	if err != nil {
		return err
	}
	s, err := move.Begin(ctx, a.place(f.dir, f.branch), f.Files, envs)
	defer s.Leave()
	if err != nil {
		return a.moved(s.Said(), err)
	}
	if f.prepare {
		return a.moved(s.Prepare(ctx, f.version))
	}
	read, err := readEnvs(ctx, s.Client, s.Envs)
	if err != nil {
		return a.moved(s.Said(), err)
	}
	m := move.Move{Kind: model.Bump, Why: f.Why}
	if f.fix {
		m.Kind = model.Fix
	}
	chosen := map[ref.Env]api.Binding{}
	for _, e := range read {
		b, ok := chosen[s.Leader(e.Env)]
		if !ok {
			if b, err = a.bumpBinding(ctx, s.Client, f, e, images); err != nil {
				return a.moved(s.Said(), s.Grouped(err))
			}
		}
		chosen[e.Env] = b
		m.Steps = append(m.Steps, move.NewStep(e, b, ""))
	}
	return a.moved(s.Do(ctx, m))
}

func readEnvs(ctx context.Context, c *client.Client, envs []ref.Env) ([]api.Environment, error) {
	var out []api.Environment
	for _, env := range envs {
		e, err := c.Environment(ctx, env)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
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
	case f.prepare && (f.version == "" || len(f.images) > 0 || f.binding != ""):
		return usage("bump %s: --prepare wants --version alone: the image comes after it", env)
	case f.prepare && f.None:
		return usage("bump %s: --prepare only changes files, so --no-files leaves nothing to do", env)
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
		err = published(err, e.Chart)
	}
	switch {
	case err != nil:
		return b, err
	case len(images) > 0 && f.DryRun:
		return boundTo(ctx, c, ch, images)
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
	e := &api.Error{Code: api.CodeGate, Rule: model.RuleBinding, Want: "bind it with chartctl bind " + version}
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

// boundTo is the newest binding of a version to the images; a dry run makes none.
func boundTo(ctx context.Context, c *client.Client, ch api.Chart, images map[ref.Role]string) (api.Binding, error) {
	v, err := ref.ParseImported(ch.Name, ch.Version)
	if err != nil {
		return api.Binding{}, err
	}
	list, err := c.Bindings(ctx, v)
	if err != nil {
		return api.Binding{}, err
	}
	for i := len(list.Bindings) - 1; i >= 0; i-- {
		if has, err := hasImages(list.Bindings[i], images); err != nil || has {
			return list.Bindings[i], err
		}
	}
	return api.Binding{}, &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("%s is not bound to%s yet, and a dry run binds nothing: without a binding neither the digest for the diff is known nor the gate's verdict", v, strings.ReplaceAll(imageFlags(images), " --image", "")),
		Want: fmt.Sprintf("bind it first, which pins nothing and changes no file, then try again: chartctl bind %s%s", v, imageFlags(images))}
}

func imageFlags(images map[ref.Role]string) string {
	var out string
	for _, role := range slices.Sorted(maps.Keys(images)) {
		out += fmt.Sprintf(" --image %s=%s", role, images[role])
	}
	return out
}
