package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy/move"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// target is the pair that a command asks the gate about.
type target struct {
	pairFlags
	from string
	fix  bool
	why  move.Why
}

func (t *target) add(c *cobra.Command) {
	c.Flags().StringVar(&t.version, "version", "", "chart version")
	c.Flags().StringVar(&t.binding, "binding", "", "exactly this binding")
	c.Flags().StringArrayVar(&t.images, "image", nil, "with --version: the binding with this image, ROLE=REFERENCE (repeatable)")
	c.Flags().StringVar(&t.from, "from", "", "HUB/STAGE to promote from: its pair now")
	c.Flags().BoolVar(&t.fix, "fix", false, "as the one fix that a halt lets through")
	addGateFlags(c, &t.why)
}

func (a *app) gate() *cobra.Command {
	var t target
	c := &cobra.Command{
		Use:   "gate HUB/STAGE (--version V | --binding B | --from HUB/STAGE)",
		Short: "Ask what the gate would say to a pin; write nothing",
		Long: `Gate asks the server every rule that the pin would meet now, and exits as the
pin would: 0 if it would be made, 4 if it would be refused, 5 if it is halted.
It is for CI, on a pull request for example. With --version it asks about the
binding that bump would take. Nothing is bound: an --image must be bound already.`,
		Example: `  chartctl gate data8/prod --version 3.3.7
  chartctl gate data8/prod --version 3.3.7 --image hub=quay.io/berkeley/hub:2024.4.9
  chartctl gate data8/prod --from data8/staging -o json`,
		Args: args(1, 1),
	}
	t.add(c)
	c.RunE = a.with(func(ctx context.Context, c *client.Client, args []string) error {
		env, err := parseEnv(args[0])
		if err != nil {
			return err
		}
		q, err := t.question(env)
		if err != nil {
			return err
		}
		v, err := q.Ask(ctx, c)
		if err != nil {
			return err
		}
		a.notes(move.SealNotes(v))
		if err := a.print(v, func(w *writer) { verdictLines(w, v) }); err != nil {
			return err
		}
		return move.Refusal(v)
	})
	c.ValidArgsFunction = a.completeEnvs
	return c
}

// question is what the flags ask the gate.
func (t target) question(env ref.Env) (move.Question, error) {
	q := move.Question{Env: env, Why: t.why}
	given := 0
	for _, s := range []string{t.version, t.binding, t.from} {
		if s != "" {
			given++
		}
	}
	switch {
	case given != 1 && !t.latest:
		return q, usage("%s: which pair? give one of --version, --binding and --from", env)
	case len(t.images) > 0 && t.version == "":
		return q, usage("%s: --image is for --version: a binding names its images", env)
	case t.fix && t.from != "":
		return q, usage("%s: --fix and --from exclude each other", env)
	case t.fix:
		q.Kind = model.Fix
	}
	var err error
	if q.Pair, err = t.parse(); err != nil || t.from == "" {
		return q, err
	}
	from, err := parseEnv(t.from)
	q.Pair.From = &from
	return q, err
}

// marks of a rule's state.
var marks = map[model.RuleState]string{model.RulePassed: "ok", model.RuleRefused: "NO", model.RuleUnsure: "NO?", model.RuleWaived: "-"}

func verdictLines(w *writer, v api.GateVerdict) {
	word := "would be made"
	if !v.Pass {
		word = "would be refused"
	}
	w.line("%s to %s@%s (%s, from revision %d): %s", v.Env, v.Name, v.Version, v.Kind, v.Revision, word)
	w.line("  binding %s", v.Binding)
	for _, r := range v.Rules {
		ruleLines(w, marks[r.State], r)
	}
}

func ruleLines(w *writer, mark string, r api.GateRule) {
	w.line("  %-3s %-10s %s", mark, r.Rule, strings.Join(r.Facts, "; "))
	if r.State == model.RuleWaived {
		w.line("      passed by: %s", r.Waived)
	}
	if r.Want != "" && r.State != model.RulePassed {
		w.line("      want: %s", r.Want)
	}
	if r.Command != "" && r.State != model.RulePassed && !strings.Contains(r.Want, r.Command) {
		w.line("      %s", r.Command)
	}
}
