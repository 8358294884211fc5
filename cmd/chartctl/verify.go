package main

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy/move"
	"chartd.dev/chartd/internal/deploy/release"
	"chartd.dev/chartd/internal/deploy/rendered"
	"chartd.dev/chartd/internal/deploy/verify"
	"chartd.dev/chartd/internal/ref"
)

type verifyFlags struct {
	dir, branch, deployed, release string
	offline, registry, pending     bool
	render                         bool
	helm                           string
	values                         []string
}

func (a *app) verify() *cobra.Command {
	var f verifyFlags
	c := &cobra.Command{
		Use:   "verify [HUB/STAGE…]",
		Short: "Compare the lock file with the files, the server, the registry and what runs",
		Long: `Verify compares chartd.lock with every place of the deploy repo where a pair is
written, with the packages in charts/ (by digest, else by content) and Helm's own
lock files, and with what the server has pinned. Without arguments it looks at
all environments of the checkout.

Each difference is one line: place, what is found, what is locked, how to mend
it, and whom it concerns. Any difference is exit 7.

  --offline     the files alone; fast enough for a pre-commit hook
  --registry    also what the tags are at their registries today
  --deployed F  also what runs: a Helm release secret (kubectl get secret NAME
                -o json or yaml, or the value in it), or helm list -o json,
                which holds no image: then only the chart is compared
  --render      also what Helm renders: the user's own helm template is run for
                each environment, with its chart and the values files of the
                checkout, and each image in it is compared with the pin. No
                chartd.lock is needed. Values that are not in the checkout are
                given with --values; secret files are left out, with a note
  --pending     for a pull request: the lock may be ahead of the pin (flow:
                review), if chartctl apply would pin it after the merge: the
                pin is that of an earlier lock, and nothing was rolled back
                since; or a chart prepared. The gate is asked, too

With -o github each difference is an annotation of a GitHub workflow. A server
that is unreachable is exit 10; what the files say is printed all the same.`,
		Example: `  chartctl verify
  chartctl verify --offline
  chartctl verify --pending -o github
  chartctl verify --render data8/prod --values decrypted.yaml
  kubectl get secret -n data8-prod sh.helm.release.v1.data8-prod.v7 -o json |
    chartctl verify data8/prod --deployed -`,
		Args: args(0, -1),
		// In place of the root's own check: one more format.
		PersistentPreRunE: func(c *cobra.Command, got []string) error {
			if a.output == "github" {
				return nil
			}
			return c.Root().PersistentPreRunE(c, got)
		},
	}
	c.Flags().StringVarP(&f.dir, "directory", "C", "", "verify the deploy repo of this directory")
	c.Flags().StringVar(&f.branch, "branch", "", "with branches as stages: the branch that the files are for")
	c.Flags().BoolVar(&f.offline, "offline", false, "compare the files alone, without the server")
	c.Flags().BoolVar(&f.registry, "registry", false, "also compare with what the tags are today")
	c.Flags().StringVar(&f.deployed, "deployed", "", "also compare with what runs: a file, or - for standard input")
	c.Flags().StringVar(&f.release, "release", "", "with --deployed: the name of the Helm release, where several are listed")
	c.Flags().BoolVar(&f.render, "render", false, "also compare with what Helm renders")
	c.Flags().StringArrayVarP(&f.values, "values", "f", nil, "with --render: a values file more for Helm (repeatable)")
	c.Flags().StringVar(&f.helm, "helm", "", "with --render: the helm program (env CHARTCTL_HELM; default helm)")
	c.Flags().BoolVar(&f.pending, "pending", false, "accept a lock that waits for its pin if apply would pin it")
	c.RunE = func(cmd *cobra.Command, got []string) error { return a.doVerify(cmd.Context(), f, got) }
	c.ValidArgsFunction = a.completeEnvs
	return c
}

func (f verifyFlags) check(envs int) error {
	switch {
	case f.offline && (f.registry || f.pending || f.render):
		return usage("--offline excludes --registry, --pending and --render: they ask the server")
	case !f.render && (len(f.values) > 0 || f.helm != ""):
		return usage("--values and --helm are for --render")
	case f.release != "" && f.deployed == "":
		return usage("--release is for --deployed")
	case f.deployed != "" && envs != 1:
		return usage("--deployed wants exactly one HUB/STAGE: the file is about one release")
	}
	return nil
}

func (a *app) doVerify(ctx context.Context, f verifyFlags, names []string) error {
	if err := f.check(len(names)); err != nil {
		return err
	}
	at := a.place(f.dir, f.branch)
	at.Guess = cmp.Or(at.Guess, a.merged())
	co, err := move.Find(ctx, at, true)
	if err != nil {
		return err
	}
	defer co.Leave()
	if err := co.Idle(); err != nil {
		return err
	}
	q, err := a.question(ctx, co, f, names)
	if err != nil {
		return err
	}
	out, err := verify.Ask(ctx, co.Repo, q)
	if err != nil {
		return err
	}
	if err := a.printVerified(co, out); err != nil {
		return err
	}
	return out.Err()
}

// question is what the flags ask about the checkout.
func (a *app) question(ctx context.Context, co *move.Checkout, f verifyFlags, names []string) (q verify.Question, err error) {
	var envs []ref.Env
	for _, name := range names {
		e, err := parseEnv(name)
		if err != nil {
			return q, err
		}
		envs = append(envs, e)
	}
	stage, err := co.StageOf(ctx)
	if err != nil {
		return q, err
	}
	if q.Options, err = verify.Scope(co.Repo, stage, envs); err != nil {
		return q, err
	}
	q.Pending, q.Registry, q.Ahead = f.pending, f.registry, ahead(co)
	if !f.offline {
		q.Connect = func() (*client.Client, error) {
			err := co.Connect()
			return co.Client, err
		}
	}
	if f.render {
		program, err := rendered.Find(cmp.Or(f.helm, a.getenv("CHARTCTL_HELM")))
		if err != nil {
			return q, err
		}
		set := rendered.Settings{Program: program, Values: f.values}
		q.Render = func(ctx context.Context, pairs []verify.Pair) (verify.Verdict, []verify.Rendering, error) {
			return rendered.Pairs(ctx, set, co.Repo, co.Client, pairs)
		}
	}
	if f.deployed == "" {
		return q, nil
	}
	env := q.Envs[0]
	conf, ok := co.Repo.Config().Environment(env)
	if !ok {
		return q, usage("%s is not in this deploy repo", env)
	}
	r, err := a.readRelease(f.deployed, f.release, env, conf.Chart)
	q.Deployed = map[ref.Env]release.Release{env: r}
	return q, err
}

// ahead judges the locks that wait for their pin.
func ahead(co *move.Checkout) func(context.Context, []ref.Env, map[ref.Env]api.Environment) (verify.Pending, error) {
	return func(ctx context.Context, envs []ref.Env, now map[ref.Env]api.Environment) (verify.Pending, error) {
		p, err := co.Pending(ctx, envs, now)
		if err != nil {
			return verify.Pending{}, err
		}
		return verify.Pending{Unfollowed: p.Unfollowed, Judged: p.Judged, Notes: p.Notes, AskGate: p.AskGate}, nil
	}
}
