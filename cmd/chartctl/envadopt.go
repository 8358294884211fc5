package main

import (
	"context"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy/move"
	"chartd.dev/chartd/internal/deploy/release"
	"chartd.dev/chartd/internal/deploy/setup"
	"chartd.dev/chartd/internal/ref"
)

type adoptFlags struct {
	version, reason, deployed, release string
	images                             []string
	passed                             bool
}

func (a *app) envAdopt() *cobra.Command {
	var f adoptFlags
	c := ofEnv(a, &cobra.Command{
		Use:   "adopt HUB/STAGE --version V | --deployed FILE --reason R",
		Short: "Make revision 1 from what runs today",
		Long: `Adopt records what an environment runs already, even a pair that binding would
refuse. Such a pair is then marked unverified, and no promote or rollback goes
to it. With --assume-passed it counts as passed, so that the stages after this
one can be pinned to it without waiting for a report.

With --deployed, Helm says what runs: the file is the release secret (kubectl get
secret NAME -o json or yaml, or the value in it), or the release in JSON. The
chart's version and the image of each role that has to be bound are taken from it.
What helm list prints holds no image, and is refused.`,
		Example: `  chartctl env adopt data8/prod --version 3.3.7 --reason "runs since May"
  chartctl env adopt data8/prod --version 3.3.7 --image hub=quay.io/berkeley/hub:2024.4.9 --reason "as deployed"
  kubectl get secret -n data8-prod sh.helm.release.v1.data8-prod.v7 -o json |
    chartctl env adopt data8/prod --deployed - --reason "runs since May"`,
	}, func(c *client.Client, ctx context.Context, env ref.Env) (p api.Pin, err error) {
		q, err := a.adoption(ctx, c, env, f)
		if err == nil {
			p, err = c.Adopt(ctx, env, q)
		}
		return p, err
	}, func(w *writer, p api.Pin) { pinLines(w, move.Now{Pin: p, Made: true}) })
	c.Flags().StringVar(&f.version, "version", "", "chart version that runs today")
	c.Flags().StringArrayVar(&f.images, "image", nil, "image that runs today: ROLE=REFERENCE (repeatable)")
	c.Flags().StringVar(&f.deployed, "deployed", "", "take both from a Helm release: a file, or - for standard input")
	c.Flags().StringVar(&f.release, "release", "", "with --deployed: the name of the Helm release, where several are listed")
	c.Flags().StringVar(&f.reason, "reason", "", "why it is taken as it is (required)")
	c.Flags().BoolVar(&f.passed, "assume-passed", false, "count what runs today as passed")
	return c
}

func (f adoptFlags) check(env ref.Env) error {
	switch {
	case f.release != "" && f.deployed == "":
		return usage("--release is for --deployed")
	case f.deployed != "" && (f.version != "" || len(f.images) > 0):
		return usage("--deployed excludes --version and --image: the release says them")
	case f.version == "" && f.deployed == "" || f.reason == "":
		return usage("env adopt %s: want --version or --deployed, and --reason", env)
	}
	return nil
}

// adoption is what the flags say that runs.
func (a *app) adoption(ctx context.Context, c *client.Client, env ref.Env, f adoptFlags) (q api.AdoptRequest, err error) {
	if err := f.check(env); err != nil {
		return q, err
	}
	if f.deployed == "" {
		q.Version = f.version
		q.Images, err = parseImages(f.images)
	} else {
		q, err = a.fromRelease(ctx, c, env, f)
	}
	q.Reason, q.AssumePassed = f.reason, f.passed
	return q, err
}

func (a *app) fromRelease(ctx context.Context, c *client.Client, env ref.Env, f adoptFlags) (q api.AdoptRequest, err error) {
	now, err := c.Environment(ctx, env)
	if err != nil {
		return q, err
	}
	r, err := a.readRelease(f.deployed, f.release, env, now.Chart)
	if err != nil {
		return q, err
	}
	q, notes, err := setup.Running{Env: env, Chart: now.Chart, File: f.deployed, Release: r}.Adoption(ctx, c)
	a.notes(notes)
	return q, err
}

// readRelease reads the release of an environment out of a file.
func (a *app) readRelease(file, name string, env ref.Env, chart string) (release.Release, error) {
	b, err := a.readInput(file, release.MaxSize)
	if err != nil {
		return release.Release{}, localIO("read what runs: %v", err)
	}
	all, err := release.Read(b)
	if err != nil {
		return release.Release{}, api.Errorf(api.CodeInvalid, "read %q: %v", file, err)
	}
	r, err := release.Pick(all, env, chart, name)
	if err != nil {
		return r, api.Errorf(api.CodeInvalid, "%q: %v", file, err)
	}
	return r, nil
}
