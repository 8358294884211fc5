package main

import (
	"context"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy/move"
	"chartd.dev/chartd/internal/ref"
)

type bumpFlags struct {
	moveFlags
	pair         pairFlags
	prepare, fix bool
}

// pairFlags say which pair is meant.
type pairFlags struct {
	version, binding string
	latest, devel    bool
	images           []string
}

func (f pairFlags) parse() (move.Pair, error) {
	p := move.Pair{Choice: api.Choice{Version: f.version, Latest: f.latest, Devel: f.devel}}
	var err error
	if f.binding != "" {
		if p.Binding, err = ref.ParseBindingID(f.binding); err != nil {
			return p, usage("%v", err)
		}
	}
	p.Images, err = parseImages(f.images)
	return p, err
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
pinned; --dry-run binds nothing, and wants it bound (exit 4). --binding
names the pair exactly; chartctl show lists a version's.

--latest is the highest version that has such a binding, without pre-releases
unless --devel is given, and without imported versions whose place in the order
of publication is not known. A note names a newer one that was passed over, and
a lower one that was published after it.

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
	c.Flags().StringVar(&f.pair.version, "version", "", "chart version")
	c.Flags().BoolVar(&f.pair.latest, "latest", false, "the newest version that each can take")
	c.Flags().StringVar(&f.pair.binding, "binding", "", "exactly this binding of the version (its version, without --version)")
	c.Flags().BoolVar(&f.pair.devel, "devel", false, "with --latest: pre-releases too")
	c.Flags().StringArrayVar(&f.pair.images, "image", nil, "bind to this image first: ROLE=REFERENCE (repeatable)")
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
	r, err := f.request(args)
	if err != nil {
		return err
	}
	p, err := f.pair.parse()
	if err != nil {
		return err
	}
	return a.moved(move.Bump(ctx, a.place(f.dir, f.branch), move.BumpRequest{Request: r, Pair: p, Fix: f.fix, Prepare: f.prepare}))
}

func (f bumpFlags) check(env string) error {
	p := f.pair
	switch {
	case p.version == "" && !p.latest && p.binding == "":
		return usage("bump %s: to which version? give --version V or --latest", env)
	case p.version != "" && p.latest:
		return usage("bump %s: --version and --latest exclude each other", env)
	case p.binding != "" && p.latest:
		return usage("bump %s: --binding and --latest exclude each other", env)
	case p.binding != "" && len(p.images) > 0:
		return usage("bump %s: --binding and --image exclude each other: a binding names its images", env)
	case f.prepare && (p.version == "" || len(p.images) > 0 || p.binding != ""):
		return usage("bump %s: --prepare wants --version alone: the image comes after it", env)
	case f.prepare && f.None:
		return usage("bump %s: --prepare only changes files, so --no-files leaves nothing to do", env)
	case p.devel && !p.latest:
		return usage("bump %s: --devel is for --latest; --version names a pre-release as it is", env)
	}
	return nil
}
