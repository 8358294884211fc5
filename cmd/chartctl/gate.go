package main

import (
	"context"
	"fmt"
	"slices"
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
	version, binding, from string
	images                 []string
	fix                    bool
	why                    move.Why
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
		e, err := c.Environment(ctx, env)
		if err != nil {
			return err
		}
		v, err := t.ask(ctx, c, e)
		if err != nil {
			return err
		}
		if err := a.print(v, func(w *writer) { verdictLines(w, v) }); err != nil {
			return err
		}
		return move.Refusal(v)
	})
	c.ValidArgsFunction = a.completeEnvs
	return c
}

// ask finds the pair and asks the gate about it.
func (t target) ask(ctx context.Context, c *client.Client, e api.Environment) (api.GateVerdict, error) {
	var none api.GateVerdict
	if err := t.one(e.Env); err != nil {
		return none, err
	}
	switch {
	case len(t.images) > 0 && t.version == "":
		return none, usage("%s: --image is for --version: a binding names its images", e.Env)
	case t.fix && t.from != "":
		return none, usage("%s: --fix and --from exclude each other", e.Env)
	}
	b, err := t.pair(ctx, c, e)
	if err != nil {
		return none, err
	}
	req := api.PinRequest{Binding: b.ID, From: t.from, Downgrade: t.why.Downgrade, BreakGlass: t.why.BreakGlass}
	switch {
	case t.from != "":
		req.Kind = model.Promote
	case t.fix:
		req.Kind = model.Fix
	}
	return c.CheckPin(ctx, client.PinCall{Env: e.Env, Base: e.Revision, Pin: req})
}

// one refuses a command line that names no pair, or two.
func (t target) one(env ref.Env) error {
	given := 0
	for _, s := range []string{t.version, t.binding, t.from} {
		if s != "" {
			given++
		}
	}
	if given != 1 {
		return usage("%s: which pair? give one of --version, --binding and --from", env)
	}
	return nil
}

// pair is the binding that is asked about.
func (t target) pair(ctx context.Context, c *client.Client, e api.Environment) (api.Binding, error) {
	switch {
	case t.binding != "":
		return named(ctx, c, bumpFlags{binding: t.binding})
	case t.from != "":
		env, err := parseEnv(t.from)
		if err != nil {
			return api.Binding{}, err
		}
		from, err := c.Environment(ctx, env)
		if err != nil {
			return api.Binding{}, err
		}
		if from.Binding == nil {
			return api.Binding{}, &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("%s is not pinned, so there is nothing to promote", env)}
		}
		return *from.Binding, nil
	}
	ch, err := c.Chart(ctx, e.Chart, t.version)
	if err != nil {
		return api.Binding{}, published(err, e.Chart)
	}
	list, err := candidates(ctx, c, e, ch)
	switch {
	case err != nil:
		return api.Binding{}, err
	case len(t.images) > 0:
		return t.withImages(ctx, c, ch)
	case len(list) > 0:
		return choose(e, ch, list)
	case ch.Binding != nil:
		return *ch.Binding, nil
	}
	return api.Binding{}, notBound(ch)
}

// withImages is the newest binding of the version that has the images asked
// for, whatever the environment accepts: the gate is to say that.
func (t target) withImages(ctx context.Context, c *client.Client, ch api.Chart) (api.Binding, error) {
	want, err := parseImages(t.images)
	if err != nil {
		return api.Binding{}, err
	}
	v, err := ref.ParseImported(ch.Name, ch.Version)
	if err != nil {
		return api.Binding{}, err
	}
	all, err := c.Bindings(ctx, v)
	if err != nil {
		return api.Binding{}, err
	}
	for _, b := range slices.Backward(all.Bindings) {
		if has, err := hasImages(b, want); err != nil || has {
			return b, err
		}
	}
	return api.Binding{}, &api.Error{Code: api.CodeGate, Rule: model.RuleBinding,
		Message: fmt.Sprintf("no binding of %s has %s", v, strings.Join(t.images, ", ")),
		Want:    "bind it first", Command: fmt.Sprintf("chartctl bind %s --image %s", v, strings.Join(t.images, " --image "))}
}

func hasImages(b api.Binding, want map[ref.Role]string) (bool, error) {
	found := 0
	for role, text := range want {
		r, err := ref.ParseReference(text)
		if err != nil {
			return false, usage("%v", err)
		}
		for _, i := range b.Images {
			if i.Role == role && i.Image.Repository == r.Repository && (r.Tag == "" || r.Tag == i.Tag) && (r.Digest.IsZero() || r.Digest == i.Image.Digest) {
				found++
			}
		}
	}
	return found == len(want), nil
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
