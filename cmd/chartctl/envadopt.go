package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy/move"
	"chartd.dev/chartd/internal/deploy/release"
	"chartd.dev/chartd/internal/ref"
)

type adoptFlags struct {
	version, reason, deployed, release string
	images                             []string
	passed                             bool
}

func (a *app) envAdopt() *cobra.Command {
	var f adoptFlags
	c := &cobra.Command{
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
		Args: args(1, 1),
	}
	c.Flags().StringVar(&f.version, "version", "", "chart version that runs today")
	c.Flags().StringArrayVar(&f.images, "image", nil, "image that runs today: ROLE=REFERENCE (repeatable)")
	c.Flags().StringVar(&f.deployed, "deployed", "", "take both from a Helm release: a file, or - for standard input")
	c.Flags().StringVar(&f.release, "release", "", "with --deployed: the name of the Helm release, where several are listed")
	c.Flags().StringVar(&f.reason, "reason", "", "why it is taken as it is (required)")
	c.Flags().BoolVar(&f.passed, "assume-passed", false, "count what runs today as passed")
	c.RunE = a.with(func(ctx context.Context, c *client.Client, args []string) error {
		env, err := parseEnv(args[0])
		if err != nil {
			return err
		}
		if err := f.check(env); err != nil {
			return err
		}
		q := api.AdoptRequest{Version: f.version, Reason: f.reason, AssumePassed: f.passed}
		if f.deployed == "" {
			q.Images, err = parseImages(f.images)
		} else {
			err = a.fromRelease(ctx, c, env, f, &q)
		}
		if err != nil {
			return err
		}
		p, err := c.Adopt(ctx, env, q)
		if err != nil {
			return err
		}
		return a.print(p, func(w *writer) { pinLines(w, move.Now{Pin: p, Made: true}) })
	})
	c.ValidArgsFunction = a.completeEnvs
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

// fromRelease takes the version and the images from what Helm deployed.
func (a *app) fromRelease(ctx context.Context, c *client.Client, env ref.Env, f adoptFlags, q *api.AdoptRequest) error {
	now, err := c.Environment(ctx, env)
	if err != nil {
		return err
	}
	r, err := a.readRelease(f.deployed, f.release, env, now.Chart)
	if err != nil {
		return err
	}
	byHand := fmt.Sprintf("chartctl env adopt %s --version V --image ROLE=REFERENCE --reason R", env)
	if !r.Rendered {
		return &api.Error{Code: api.CodeInvalid, Message: fmt.Sprintf("%q holds no image of release %q, and the pair cannot be adopted by half", f.deployed, r.Name),
			Want: "give the release secret instead (kubectl get secret sh.helm.release.v1.NAME.vN -o json), or both halves yourself: " + byHand}
	}
	version, ok := r.VersionOf(now.Chart)
	if !ok {
		return &api.Error{Code: api.CodeInvalid, Message: fmt.Sprintf("release %q in %q does not say which version of %s it runs", r.Name, f.deployed, now.Chart), Want: byHand}
	}
	ch, err := c.Chart(ctx, now.Chart, version)
	if api.CodeOf(err) == api.CodeNotFound {
		return &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("%s runs %s@%s, which is not published on %s", env, now.Chart, version, c.Server()), Want: "import it first with chartctl import"}
	}
	if err != nil {
		return err
	}
	q.Version, q.Images = version, map[ref.Role]string{}
	for _, i := range ch.Images {
		if !i.Required {
			continue
		}
		running, err := r.ImageOf(i.Role, i.Repository)
		if err != nil {
			return &api.Error{Code: api.CodeInvalid, Message: fmt.Sprintf("%q: %v", f.deployed, err), Want: strings.Replace(byHand, "ROLE", string(i.Role), 1)}
		}
		q.Images[i.Role] = running.Text
		if running.Ref.Digest.IsZero() {
			a.note("note: container %s of %s runs %s by its tag: it is adopted with the digest that the tag has today", running.Container, running.Object, running.Text)
		}
	}
	if r.Status != "deployed" {
		a.note("note: Helm says that revision %d of release %s is %q, and not deployed", r.Revision, r.Name, r.Status)
	}
	return nil
}

// readRelease reads the release of an environment out of a file.
func (a *app) readRelease(file, name string, env ref.Env, chart string) (release.Release, error) {
	b, err := a.readInput(file, release.MaxSize)
	if err != nil {
		return release.Release{}, localIO("read what runs: %v", err)
	}
	all, err := release.Read(b)
	if err != nil {
		return release.Release{}, &api.Error{Code: api.CodeInvalid, Message: fmt.Sprintf("read %q: %v", file, err)}
	}
	r, err := release.Pick(all, env, chart, name)
	if err != nil {
		return r, &api.Error{Code: api.CodeInvalid, Message: fmt.Sprintf("%q: %v", file, err)}
	}
	return r, nil
}
