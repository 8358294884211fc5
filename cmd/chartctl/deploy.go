package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy/move"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

type deployFlags struct {
	dir, valuesFile, url   string
	limit, deliver         time.Duration
	helm                   string
	release, namespace     string
	values, helmArgs       []string
	command                []string
	helmFlagsGiven, wanted bool // a flag for Helm was given; a command was
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
			f.wanted = dash >= 0
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
	c.Flags().StringVarP(&f.dir, "directory", "C", "", "work in this directory of a deploy repo")
	c.Flags().StringVar(&f.valuesFile, "values-file", "", "write the file of CHARTCTL_VALUES here, and leave it there")
	c.Flags().StringVar(&f.url, "url", "", "where the evidence is (default: the CI run's page, where CI's variables name one)")
	c.Flags().DurationVar(&f.limit, "timeout", 0, "stop the command after this time; 0 is never")
	c.Flags().DurationVar(&f.deliver, "report-timeout", 5*time.Minute, "how long to try to report the verdict")
	c.Flags().StringVar(&f.helm, "helm", "helm", "without COMMAND: the helm program")
	c.Flags().StringVar(&f.release, "release", "", "without COMMAND: name of the Helm release (default HUB-STAGE)")
	c.Flags().StringVarP(&f.namespace, "namespace", "n", "", "without COMMAND: its namespace (default HUB-STAGE)")
	c.Flags().StringArrayVarP(&f.values, "values", "f", nil, "without COMMAND: a values file (repeatable)")
	c.Flags().StringArrayVar(&f.helmArgs, "helm-arg", nil, "without COMMAND: one argument more for helm upgrade (repeatable)")
	c.RunE = func(c *cobra.Command, args []string) error {
		f.command = args[1:]
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
	if f.wanted && f.helmFlagsGiven {
		return usage("deploy %s: --helm, --release, --namespace, --values and --helm-arg are for a deploy without COMMAND", env)
	}
	co, err := a.deployRepo(ctx, f.dir, env)
	if err != nil {
		return err
	}
	defer co.Leave()
	var c *client.Client
	if co == nil {
		c, err = a.client()
	} else {
		c, err = a.clientAt(co.Repo.Config().Server)
	}
	if err != nil {
		return err
	}
	h, err := a.readyToDeploy(ctx, c, co, f, env)
	if err != nil {
		return err
	}
	defer h.drop()
	return a.runDeploy(ctx, c, f, h)
}

// readyToDeploy checks the pin and the checkout, and fetches what the command gets.
func (a *app) readyToDeploy(ctx context.Context, c *client.Client, co *move.Checkout, f deployFlags, env ref.Env) (handed, error) {
	e, err := c.Environment(ctx, env)
	if err != nil {
		return handed{}, err
	}
	if e.Pin == nil || e.Binding == nil {
		return handed{}, &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("%s is not pinned, so there is nothing to deploy", env), Want: "pin it with chartctl bump " + env.String()}
	}
	prefix := ""
	if co != nil {
		conf, _ := co.Repo.Config().Environment(env)
		if conf.Wrapper != "" {
			prefix = first(conf.Prefix, e.Pin.Name)
		}
		if conf.Wrapper != "" && !f.wanted {
			return handed{}, wrapped(env, conf.Wrapper)
		}
		if err := a.fresh(ctx, co, c, e); err != nil {
			return handed{}, err
		}
	}
	a.noteWithdrawn(e)
	values := f.valuesFile
	if values != "" && !filepath.IsAbs(values) {
		if values, err = filepath.Abs(filepath.Join(f.dir, values)); err != nil {
			return handed{}, localIO("find the values file: %v", err)
		}
	}
	return a.hand(ctx, c, e, prefix, values)
}

// wrapped refuses to install the package alone where a wrapper is deployed.
func wrapped(env ref.Env, wrapper string) error {
	return usage(`deploy %s: it is deployed by the wrapper chart %q, not by the package alone: give the command, such as -- sh -c 'helm upgrade --install %s %s -n %s -f "$CHARTCTL_VALUES"'`,
		env, wrapper, hubStage(env), wrapper, hubStage(env))
}

func (a *app) noteWithdrawn(e api.Environment) {
	if e.ChartState != model.Listed {
		a.note("note: %s@%s was %s after it was pinned", e.Pin.Name, e.Pin.Version, e.ChartState)
	}
	if e.Binding.State == model.Revoked {
		a.note("note: the pair of %s revision %d was revoked after it was pinned: %s", e.Env, e.Revision, e.Binding.Reason)
	}
}

// helmCommand is the helm that installs the downloaded package. Its values
// files come before ours, so that an image left behind in one does not win.
func (f deployFlags) helmCommand(h handed) []string {
	name := hubStage(h.pin.Env)
	argv := []string{f.helm, "upgrade", "--install", first(f.release, name), h.Package, "--namespace", first(f.namespace, name)}
	for _, v := range f.values {
		argv = append(argv, "-f", v)
	}
	if h.Values != "" {
		argv = append(argv, "-f", h.Values)
	}
	return append(argv, f.helmArgs...)
}

// hubStage names what an environment is in a cluster, as hubploy does.
func hubStage(e ref.Env) string { return e.Hub() + "-" + e.Stage() }

// prepare makes the command without starting it.
func (a *app) prepare(f deployFlags, h handed) (*exec.Cmd, error) {
	cmd := exec.Command(f.command[0], f.command[1:]...)
	cmd.Dir, cmd.Env = f.dir, h.environ(os.Environ())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.in, a.out, a.err
	if a.output != "table" {
		cmd.Stdout = a.err
	}
	if isTerminal(a.in) {
		cmd.Stdin = nil // a group of its own that reads from it would be stopped
	}
	err := cmd.Err
	if path := cmd.Path; err == nil && strings.ContainsRune(path, filepath.Separator) {
		if !filepath.IsAbs(path) {
			path, err = filepath.Abs(filepath.Join(f.dir, path))
		}
		if err == nil {
			_, err = exec.LookPath(path)
		}
	}
	if err != nil {
		cause := err
		if e := (*exec.Error)(nil); errors.As(err, &e) {
			cause = e.Err
		}
		return nil, usage("deploy %s: command %q can't be run: %v", h.pin.Env, f.command[0], cause)
	}
	return cmd, nil
}
