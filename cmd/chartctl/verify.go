package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/move"
	"chartd.dev/chartd/internal/deploy/release"
	"chartd.dev/chartd/internal/deploy/verify"
	"chartd.dev/chartd/internal/ref"
)

type verifyFlags struct {
	dir, branch, deployed, release string
	offline, registry, pending     bool
}

// verified is what verify prints.
type verified struct {
	OK           bool              `json:"ok"`
	Environments []string          `json:"environments"`
	Checked      []string          `json:"checked"` // sites, pin, history, registry, deployed, gate
	Findings     []verify.Finding  `json:"findings"`
	Notes        []string          `json:"notes"`
	Gate         []api.GateVerdict `json:"gate,omitempty"`

	pending *move.Pending // nil unless it is asked for
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
  --pending     for a pull request: the lock may be ahead of the pin (flow:
                review), if chartctl apply would pin it after the merge: the
                pin is that of an earlier lock, and nothing was rolled back
                since; or a chart prepared. The gate is asked, too

With -o github each difference is an annotation of a GitHub workflow. A server
that is unreachable is exit 10; what the files say is printed all the same.`,
		Example: `  chartctl verify
  chartctl verify --offline
  chartctl verify --pending -o github
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
	c.Flags().BoolVar(&f.pending, "pending", false, "accept a lock that waits for its pin if apply would pin it")
	c.RunE = func(cmd *cobra.Command, got []string) error { return a.doVerify(cmd.Context(), f, got) }
	c.ValidArgsFunction = a.completeEnvs
	return c
}

func (f verifyFlags) check(envs int) error {
	switch {
	case f.offline && (f.registry || f.pending):
		return usage("--offline excludes --registry and --pending: they ask the server")
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
	o, err := a.verifyScope(ctx, co, names)
	if err != nil {
		return err
	}
	o.Pending = f.pending
	out := verified{Checked: []string{"sites"}, Findings: []verify.Finding{}, Notes: []string{}}
	if f.deployed != "" {
		if o.Deployed, err = a.readDeployed(co, f, o.Envs[0]); err != nil {
			return err
		}
		out.Checked = append(out.Checked, "deployed")
	}
	var asked error
	if !f.offline {
		asked = a.askServer(ctx, co, f, &o, &out)
	}
	verdict, err := verify.Repo(co.Repo, o)
	if err != nil {
		return deploy.Coded(err)
	}
	out.Findings = append(out.Findings, verdict.Findings...)
	out.Notes = append(out.Notes, verdict.Notes...)
	for _, e := range o.Envs {
		out.Environments = append(out.Environments, a.shownEnv(co, o, e))
	}
	if asked == nil && out.pending != nil {
		if out.Gate, asked = out.pending.AskGate(ctx); len(out.Gate) > 0 {
			out.Checked = append(out.Checked, "gate")
		}
	}
	out.OK = len(out.Findings) == 0 && asked == nil
	if err := a.printVerified(co, out, asked); err != nil {
		return err
	}
	return verdictError(out, asked)
}

// verdictError decides the exit code: what could not be asked comes first,
// then the differences, then the gate.
func verdictError(out verified, asked error) error {
	var e *api.Error
	gate := errors.As(asked, &e) && (e.Code == api.CodeGate || e.Code == api.CodeHalted)
	switch {
	case asked != nil && !gate:
		return asked
	case len(out.Findings) > 0:
		return &api.Error{Code: api.CodeDrift, Message: fmt.Sprintf("%s found", plural(len(out.Findings), "difference"))}
	}
	return asked
}

// verifyScope finds the environments to look at.
func (a *app) verifyScope(ctx context.Context, co *move.Checkout, names []string) (verify.Options, error) {
	var o verify.Options
	for _, s := range names {
		e, err := parseEnv(s)
		if err != nil {
			return o, err
		}
		o.Envs = append(o.Envs, e)
	}
	conf := co.Repo.Config()
	stage, err := co.StageOf(ctx)
	if err != nil {
		return o, err
	}
	for _, e := range o.Envs {
		if _, ok := conf.Environment(e); ok && conf.ByBranch() && stage != "" && e.Stage() != stage {
			return o, usage("the files here are those of stage %q, and %s is not of it: check out its branch", stage, e)
		}
	}
	if len(names) > 0 {
		return o, nil
	}
	if conf.ByBranch() && stage == "" {
		o.AnyStage, stage = true, conf.Stages()[0]
	}
	o.Envs, err = co.Repo.Environments(stage)
	return o, deploy.Coded(err)
}

// shownEnv is what an environment is called where its stage is not known.
func (a *app) shownEnv(co *move.Checkout, o verify.Options, e ref.Env) string {
	if o.AnyStage {
		return co.Repo.Key(e)
	}
	return e.String()
}

// readDeployed reads what runs in an environment.
func (a *app) readDeployed(co *move.Checkout, f verifyFlags, env ref.Env) (map[ref.Env]release.Release, error) {
	conf, ok := co.Repo.Config().Environment(env)
	if !ok {
		return nil, usage("%s is not in this deploy repo", env)
	}
	r, err := a.readRelease(f.deployed, f.release, env, conf.Chart)
	if err != nil {
		return nil, err
	}
	return map[ref.Env]release.Release{env: r}, nil
}
