package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/api"
	repoconfig "chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/policy"
	"chartd.dev/chartd/internal/model"
)

func (a *app) envSet() *cobra.Command {
	var file string
	var f fromRepo
	var seal string
	c := &cobra.Command{
		Use:   "set HUB/STAGE --policy FILE | --seal FORM | --from-repo [HUB/STAGE…]",
		Short: "Replace an environment's policy",
		Long: `The policy is what the gate asks for before it lets a pin through. The file says
all of it: what it leaves out is the default. It is YAML, with these keys:

  accept: [chart-values, base-layers]   evidence; values-only, base-label, declared too
  upstream: [staging]                   stages of this hub, or HUB/STAGE
  soak: 24h                             that each held the pair after it passed
  approvals: 1                          by others than the one who pins
  freeze:                               windows in which nothing is pinned
    - {cron: "0 17 * * 5", zone: America/Los_Angeles, for: 62h, reason: weekend}
  halt: hub                             scope of a failure: environment, hub, everything
  deadline: 30m                         for a verdict on a new revision
  overdue: unknown                      a missed deadline is: unknown, or halt
  seal: guarded                         the sealed package refuses another image;
                                        plain leaves it to your values

That no half of a pair goes back unproven is always asked. The change stands in
the journal with the policy before it.

With --seal only that key of the policy is set, the others stay.

With --from-repo the policies are those that .chartctl.yaml of the deploy repo
names under "policies", by stage or by HUB/STAGE: of the environments named, else
of all in the repo that have one, whatever branch is checked out. Those that the
server has already are left alone.`,
		Example: `  chartctl env set data8/prod --policy prod.yaml
  chartctl env set data8/prod --seal plain
  chartctl env set --from-repo --dry-run
  chartctl env set --from-repo data8/prod r/prod`,
		Args: args(0, -1),
	}
	c.Flags().StringVar(&file, "policy", "", "file with the policy, - for standard input")
	c.Flags().StringVar(&seal, "seal", "", "set this key of the policy alone: guarded or plain")
	c.Flags().BoolVar(&f.on, "from-repo", false, "set the policies that .chartctl.yaml names")
	c.Flags().StringVarP(&f.dir, "directory", "C", "", "with --from-repo: the deploy repo of this directory")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "with --from-repo: only show what differs from the server")
	c.RunE = func(cmd *cobra.Command, names []string) error {
		switch {
		case f.on && (file != "" || seal != "") || file != "" && seal != "":
			return usage("--from-repo, --policy and --seal exclude each other")
		case f.on:
			return a.setFromRepo(cmd.Context(), f, names)
		case f.dir != "" || f.dryRun:
			return usage("-C and --dry-run are for --from-repo")
		case len(names) != 1:
			return usage("env set: want one HUB/STAGE and --policy FILE, or --from-repo")
		case file == "" && seal == "":
			return usage("env set %s: --policy FILE, --seal FORM or --from-repo is missing", names[0])
		}
		return a.setPolicy(cmd.Context(), names[0], file, model.Seal(seal))
	}
	c.ValidArgsFunction = a.completeEnvs
	return c
}

// setPolicy sets the policy of a file, or one key of the policy that is there.
func (a *app) setPolicy(ctx context.Context, name, file string, seal model.Seal) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	env, err := parseEnv(name)
	if err != nil {
		return err
	}
	var p api.Policy
	if file != "" {
		p, err = a.readPolicy(file)
	} else {
		var now api.Environment
		now, err = c.Environment(ctx, env)
		p = now.Policy
		p.Seal = seal
	}
	if err != nil {
		return err
	}
	e, err := c.SetPolicy(ctx, env, p, false)
	if err != nil {
		return err
	}
	return a.print(e, func(w *writer) {
		w.line("the policy of %s is now:", e.Env)
		policyLines(w, e.Policy)
	})
}

func (a *app) readPolicy(file string) (api.Policy, error) {
	b, err := a.readInput(file, repoconfig.MaxPolicy)
	if err != nil {
		return api.Policy{}, localIO("read policy: %v", err)
	}
	p, err := repoconfig.ParsePolicy(b)
	var syntax *repoconfig.SyntaxError
	if errors.As(err, &syntax) {
		return p, &api.Error{Code: api.CodeInvalid, Message: fmt.Sprintf("policy %q, line %d: %s", file, syntax.Line, syntax.Text), Want: fmt.Sprintf("see %s --help", advice.EnvSet)}
	}
	return p, err
}

// policyLines writes what a policy asks for.
func policyLines(w *writer, p api.Policy) {
	for _, f := range policy.Fields(p) {
		w.field(f.Name, f.Text)
	}
}
