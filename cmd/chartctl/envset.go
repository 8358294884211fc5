package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
)

const maxPolicy = 64 << 10 // bytes of a policy file

func (a *app) envSet() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "set HUB/STAGE --policy FILE",
		Short: "Replace an environment's policy",
		Long: `The policy is what the gate asks for before it lets a pin through. The file says
all of it: what it leaves out is the default. It is YAML, with these keys:

  accept: [chart-values, base-layers]   evidence; also base-label, declared
  upstream: [staging]                   stages of this hub, or HUB/STAGE
  soak: 24h                             that each held the pair after it passed
  approvals: 1                          by others than the one who pins
  freeze:                               windows in which nothing is pinned
    - {cron: "0 17 * * 5", zone: America/Los_Angeles, for: 62h, reason: weekend}
  halt: hub                             scope of a failure: environment, hub, everything
  deadline: 30m                         for a verdict on a new revision
  overdue: unknown                      a missed deadline is: unknown, or halt

That no half of a pair goes back unproven is always asked. The change stands in
the journal with the policy before it.`,
		Example: "  chartctl env set data8/prod --policy prod.yaml\n  chartctl env show data8/prod",
		Args:    args(1, 1),
	}
	c.Flags().StringVar(&file, "policy", "", "file with the policy, - for standard input (required)")
	c.RunE = a.with(func(ctx context.Context, c *client.Client, args []string) error {
		env, err := parseEnv(args[0])
		if err != nil {
			return err
		}
		if file == "" {
			return usage("env set %s: --policy FILE is missing", env)
		}
		p, err := a.readPolicy(file)
		if err != nil {
			return err
		}
		e, err := c.SetPolicy(ctx, env, p)
		if err != nil {
			return err
		}
		return a.print(e, func(w *writer) {
			w.line("the policy of %s is now:", e.Env)
			policyLines(w, e.Policy)
		})
	})
	c.ValidArgsFunction = a.completeEnvs
	return c
}

func (a *app) readPolicy(file string) (api.Policy, error) {
	var b []byte
	var err error
	if file == "-" {
		b, err = io.ReadAll(io.LimitReader(a.in, maxPolicy+1))
	} else {
		b, err = readFile(file, maxPolicy)
	}
	if err != nil {
		return api.Policy{}, localIO("read policy: %v", err)
	}
	p, err := parsePolicy(b)
	if err != nil {
		return p, &api.Error{Code: api.CodeInvalid, Message: fmt.Sprintf("policy %q: %s; see chartctl env set --help", file, strings.Join(strings.Fields(err.Error()), " "))}
	}
	return p, nil
}

// parsePolicy is strict: a key that nobody reads would be a rule that nobody
// keeps.
func parsePolicy(b []byte) (api.Policy, error) {
	var p api.Policy
	if len(b) > maxPolicy {
		return p, fmt.Errorf("it is larger than %d bytes", maxPolicy)
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&p); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty: for the defaults write {}")
		}
		return p, err
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return p, errors.New("there is a second document in it")
	}
	return p, nil
}

// policyLines writes what a policy asks for.
func policyLines(w *writer, p api.Policy) {
	w.field("accepts", strings.Join(p.Accept, ", "))
	w.field("upstream", strings.Join(p.Upstream, ", "))
	w.field("soak", p.Soak)
	if p.Approvals > 0 {
		w.field("approvals", fmt.Sprint(p.Approvals))
	}
	for _, f := range p.Freeze {
		s := fmt.Sprintf("%s for %s (%s)", f.Cron, f.For, f.Zone)
		if f.Reason != "" {
			s += ": " + f.Reason
		}
		w.field("freeze", s)
	}
	w.field("failure halts", p.Halt)
	if p.Deadline != "" {
		w.field("deadline", fmt.Sprintf("%s, then %s", p.Deadline, first(p.Overdue, "unknown")))
	}
}
