package main

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/client"
	repoconfig "chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/move"
	"chartd.dev/chartd/internal/deploy/rollout"
	"chartd.dev/chartd/internal/ref"
)

type deployFlags struct {
	plan           rollout.Plan
	url            string
	limit, deliver time.Duration
	helmFlagsGiven bool // a flag for Helm was given
}

const deployHelp = `Deploy runs COMMAND with the pair that the environment is pinned to, and reports
to the server that it started, and then that it passed or failed: the verdict
that a promotion to the next stage waits for. Nothing in COMMAND is replaced,
and no shell is between: what it needs it finds in its environment.

  CHARTCTL_ENVIRONMENT, _HUB, _STAGE     data8/prod, data8, prod
  CHARTCTL_REVISION, _BINDING            17, b1:…
  CHARTCTL_CHART, _VERSION               jupyterhub, 3.3.7
  CHARTCTL_CHART_DIGEST                  sha256:… of the package as published
  CHARTCTL_IMAGE_HUB, _IMAGE_HUB_DIGEST  for each role; with tag and digest
  CHARTCTL_PACKAGE                       file: the sealed package, which holds the
                                         images (the original, if there is none)
  CHARTCTL_VALUES                        file: the images, to be given last; under
                                         the chart's name in a repo with a wrapper
  CHARTCTL_REPOSITORY                    the environment's Helm repository
  CHARTCTL_REVISION_REPOSITORY           the same of this revision; never changes
  CHARTCTL_SEALED_URL, _SEALED_DIGEST    the sealed package, if there is one

Both files are gone when deploy ends. Without COMMAND it is
  helm upgrade --install RELEASE PACKAGE --namespace NS -f … -f VALUES
with the package downloaded and checked by digest here. RELEASE and NS are
HUB-STAGE unless --release and --namespace say otherwise.

In a deploy repo that names the environment the checkout is compared first, as
chartctl verify does. One that differs from the pin is refused (exit 7), and
COMMAND does not run. Neither does it if the start can't be reported.

Then, where Helm is at hand, what it renders is compared with the pin, as
chartctl verify --render does: of the checkout, or without COMMAND of just what
is installed. Another image is refused (exit 7). What does not render is noted,
in the report too, as is --no-render; Helm itself is named by CHARTCTL_HELM.

COMMAND's input and output are those of chartctl (with -o json or yaml its
output goes to standard error); a terminal is not given to it as input. SIGINT,
SIGTERM and SIGHUP are passed on to it and all that it started. It has failed
if it was told to stop, even if it then ends with 0; the exit code is then 128
and the signal's number, and 124 after --timeout.

Deploy's exit code is COMMAND's. If COMMAND passed and that could not be
reported, it is the report's error: never 0. If chartctl itself is killed, the
revision has no verdict: that satisfies nothing, and you can say how it went
with chartctl report.`

func (a *app) deploy() *cobra.Command {
	var f deployFlags
	c := &cobra.Command{
		Use:   "deploy HUB/STAGE [-- COMMAND…]",
		Short: "Run what deploys an environment's pin, and report how it went",
		Long:  deployHelp,
		Example: `  chartctl deploy data8/prod --values hubs/data8.yaml --values hubs/data8-prod.yaml
  chartctl deploy data8/prod -- ./deploy.sh
  chartctl deploy data8/staging -- hubploy deploy --timeout 30m data8 hub staging
  chartctl deploy data8/prod -- sh -c 'helm upgrade --install data8-prod hub -n data8-prod -f "$CHARTCTL_VALUES"'`,
		Args: func(c *cobra.Command, got []string) error {
			dash := c.ArgsLenAtDash()
			switch {
			case len(got) == 0 || dash == 0:
				return usage("deploy: which environment? want %s", c.UseLine())
			case dash < 0 && len(got) > 1 || dash > 1:
				return usage("deploy %s: argument %q: a command stands after --", got[0], got[1])
			case dash == 1 && len(got) == 1:
				return usage("deploy %s: no command after --", got[0])
			}
			return nil
		},
	}
	helm := &f.plan.Helm
	c.Flags().StringVarP(&f.plan.Dir, "directory", "C", "", "work in this directory of a deploy repo")
	c.Flags().StringVar(&f.plan.Values, "values-file", "", "write the file of CHARTCTL_VALUES here, and leave it there")
	c.Flags().StringVar(&f.url, "url", "", "where the evidence is (default: the CI run's page, where CI's variables name one)")
	c.Flags().DurationVar(&f.limit, "timeout", 0, "stop the command after this time; 0 is never")
	c.Flags().DurationVar(&f.deliver, "report-timeout", 5*time.Minute, "how long to try to report the verdict")
	c.Flags().BoolVar(&f.plan.Look.Skip, "no-render", false, "do not compare what Helm renders with the pin; the report says so")
	c.Flags().StringVar(&helm.Program, "helm", "helm", "without COMMAND: the helm program")
	c.Flags().StringVar(&helm.Release, "release", "", "without COMMAND: name of the Helm release (default HUB-STAGE)")
	c.Flags().StringVarP(&helm.Namespace, "namespace", "n", "", "without COMMAND: its namespace (default HUB-STAGE)")
	c.Flags().StringArrayVarP(&helm.Values, "values", "f", nil, "without COMMAND: a values file (repeatable)")
	c.Flags().StringArrayVar(&helm.Args, "helm-arg", nil, "without COMMAND: one argument more for helm upgrade (repeatable)")
	c.RunE = func(c *cobra.Command, args []string) error {
		f.plan.Command = args[1:]
		f.helmFlagsGiven = slices.ContainsFunc([]string{"helm", "release", "namespace", "values", "helm-arg"}, c.Flags().Changed)
		return a.doDeploy(c.Context(), f, args[0])
	}
	c.ValidArgsFunction = a.completeEnvs
	return c
}

func (a *app) doDeploy(ctx context.Context, f deployFlags, name string) error {
	env, err := parseEnv(name)
	if err != nil {
		return err
	}
	if len(f.plan.Command) > 0 && f.helmFlagsGiven {
		return usage("deploy %s: --helm, --release, --namespace, --values and --helm-arg are for a deploy without COMMAND", env)
	}
	f.plan.Env, f.plan.Look.Program = env, a.getenv("CHARTCTL_HELM")
	if len(f.plan.Command) == 0 {
		f.plan.Look.Program = cmp.Or(f.plan.Look.Program, f.plan.Helm.Program)
	}
	co, err := a.deployRepo(ctx, f.plan.Dir, env)
	if err != nil {
		return err
	}
	defer co.Leave()
	server := ""
	if co != nil {
		server, f.plan.Repo = co.Repo.Config().Server, co.Repo
	}
	c, err := a.clientAt(server)
	if err != nil {
		return err
	}
	if co != nil {
		if err := co.Idle(); err != nil {
			return err
		}
		if f.plan.Stage, err = co.StageOf(ctx); err != nil {
			return err
		}
	}
	return a.runDeploy(ctx, c, f)
}

func (a *app) runDeploy(ctx context.Context, c *client.Client, f deployFlags) error {
	h, err := f.plan.Prepare(ctx, c)
	defer h.Drop()
	a.notes(h.Notes)
	if err != nil {
		return err
	}
	cmd, err := f.plan.Cmd(h)
	if err != nil {
		return err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.in, a.out, a.err
	if a.output != "table" {
		cmd.Stdout = a.err
	}
	if isTerminal(a.in) {
		cmd.Stdin = nil // a group of its own that reads from it would be stopped
	}
	run, err := rollout.Start(ctx, c, h, cmd, cmp.Or(f.url, ciRun(a.getenv)))
	if err != nil {
		return err
	}
	a.note("%s", run)
	return a.conclude(run.Finish(ctx, f.limit, f.deliver))
}

// conclude tells the outcome.
func (a *app) conclude(o rollout.Outcome) error {
	if a.output != "table" {
		if err := a.print(o, nil); err != nil {
			return err
		}
	}
	if n := o.Note(); n != "" {
		a.note("note: %s", n)
	}
	err := o.Err()
	if err == nil {
		a.note("%s", o)
	}
	return err
}

// deployRepo is the deploy repo that names the environment; nil if there is
// none. One that was asked for has to be there.
func (a *app) deployRepo(ctx context.Context, dir string, env ref.Env) (*move.Checkout, error) {
	co, err := a.find(ctx, dir, "")
	if err != nil || co == nil {
		return nil, err
	}
	if _, ok := co.Repo.Config().Environment(env); ok {
		return co, nil
	}
	top := co.Repo.Root().Dir()
	co.Leave()
	if dir != "" {
		return nil, usage("%s in %s does not name %s", repoconfig.Name, top, env)
	}
	a.note("note: %s in %s does not name %s: what is deployed is the server's pin alone", repoconfig.Name, top, env)
	return nil, nil
}

// ciRun is the page of the CI run that this is part of.
func ciRun(getenv func(string) string) string {
	if server, repo, id := getenv("GITHUB_SERVER_URL"), getenv("GITHUB_REPOSITORY"), getenv("GITHUB_RUN_ID"); server != "" && repo != "" && id != "" {
		return server + "/" + repo + "/actions/runs/" + id
	}
	return cmp.Or(getenv("CI_JOB_URL"), getenv("CIRCLE_BUILD_URL"), getenv("BUILD_URL"))
}
