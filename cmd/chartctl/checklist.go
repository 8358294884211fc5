package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy/move"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// checklist is what is to be true before the next pin of an environment.
type checklist struct {
	Env     string          `json:"environment"`
	Pair    string          `json:"pair"` // NAME@VERSION
	Binding string          `json:"binding"`
	Open    int             `json:"open"` // lines of the server's that are not true yet
	Lines   []checklistLine `json:"lines"`
}

// checklistLine is ticked from the live state, or is a person's job.
type checklistLine struct {
	Text    string `json:"text"`
	State   string `json:"state"` // "done", "open", "person"
	Facts   string `json:"facts,omitempty"`
	Want    string `json:"want,omitempty"`
	Command string `json:"command,omitempty"`
}

func (a *app) checklist() *cobra.Command {
	var t target
	c := &cobra.Command{
		Use:   "checklist HUB/STAGE",
		Short: "Print the checklist for the next bump, ticked from the live state",
		Long: `The list is that of the how-to on deploying. Each line is ticked by what the
server knows now, or marked as a person's job. It exits with 4 while a line of
the server's is open, with 5 while it is a halt. The pair is the one of
--version, --binding or --from; without them it is the pair of the first upstream
stage, or of the latest version where there is none.`,
		Example: "  chartctl checklist data8/prod\n  chartctl checklist data8/staging --version 3.3.7",
		Args:    args(1, 1),
	}
	t.add(c)
	c.RunE = a.with(func(ctx context.Context, c *client.Client, args []string) error {
		env, err := parseEnv(args[0])
		if err != nil {
			return err
		}
		e, err := c.Why(ctx, env)
		if err != nil {
			return err
		}
		q, err := t.orLikely(e).question(env)
		if err != nil {
			return err
		}
		v, err := q.Ask(ctx, c)
		if err != nil {
			return err
		}
		a.notes(append(move.ChoiceNotes(v), move.SealNotes(v)...))
		list := checklistOf(e, v)
		if err := a.print(list, func(w *writer) { list.lines(w) }); err != nil {
			return err
		}
		return list.err(v)
	})
	c.ValidArgsFunction = a.completeEnvs
	return c
}

// orLikely is the pair that is asked about, else the one that the next pin is
// most likely about.
func (t target) orLikely(e api.EnvironmentStatus) target {
	switch {
	case t.version != "" || t.binding != "" || t.from != "" || len(t.images) > 0:
	case len(e.Upstream) > 0:
		t.from = e.Upstream[0]
	default:
		t.latest = true
	}
	return t
}

// ruleTexts are the lines of the list that the gate's rules tick.
var ruleTexts = map[model.Rule]string{
	model.RulePair:      "chart and images are bound, and proven to belong together",
	model.RuleHalt:      "nothing is halted here",
	model.RuleUpstream:  "the stages before passed this very pair and held it",
	model.RuleApprovals: "others approved this pair",
	model.RuleFreeze:    "no freeze window is open",
	model.RuleDirection: "neither half goes back",
}

// otherRules are names that a rule has where it refuses.
var otherRules = map[model.Rule]model.Rule{
	model.RuleChart: model.RulePair, model.RuleRevoked: model.RulePair, model.RuleUnverified: model.RulePair,
	model.RuleEvidence: model.RulePair, model.RulePurged: model.RulePair, model.RuleYanked: model.RulePair, model.RuleFix: model.RuleHalt,
}

func checklistOf(e api.EnvironmentStatus, v api.GateVerdict) checklist {
	out := checklist{Env: e.Env.String(), Pair: v.Name + "@" + v.Version, Binding: v.Binding.String()}
	add := func(l checklistLine) {
		if l.State == "open" {
			out.Open++
		}
		out.Lines = append(out.Lines, l)
	}
	for _, r := range v.Rules {
		text, ok := ruleTexts[cmp.Or(otherRules[r.Rule], r.Rule)]
		if !ok && r.State == model.RulePassed {
			continue // about the request itself: there is nothing to tick
		}
		l := checklistLine{Text: cmp.Or(text, string(r.Rule)), State: "done", Facts: strings.Join(r.Facts, "; ")}
		if r.State == model.RuleRefused || r.State == model.RuleUnsure {
			l.State, l.Want, l.Command = "open", r.Want, r.Command
		}
		add(l)
	}
	for _, l := range liveLines(e, v) {
		add(l)
	}
	return out
}

// liveLines are those that no rule asks for, and those that only people can
// tick.
func liveLines(e api.EnvironmentStatus, v api.GateVerdict) []checklistLine {
	last := checklistLine{Text: "the revision that runs now has a verdict", State: "done", Facts: "nothing is pinned yet"}
	back := checklistLine{Text: "there is a way back", State: "person", Facts: "it is the first pin: nothing to roll back to"}
	f := model.Facts{Env: e.Env}
	f.Chart, _ = ref.ParseImported(v.Name, v.Version) // as the server sent it
	read := advice.Show
	if p := e.Pin; p != nil {
		read, f.Revision = advice.Diff, p.Revision
		last.Facts = fmt.Sprintf("revision %d: %s", p.Revision, e.Went())
		back = checklistLine{Text: "there is a way back", State: "done", Facts: fmt.Sprintf("revision %d passed", p.Revision),
			Command: advice.RollbackTo.With(f)}
		if e.Verdict == "" {
			last.State, last.Want = "open", "say how it went"
			last.Command = advice.Passed.With(f)
		}
		if e.Verdict != model.Passed {
			back.State, back.Facts, back.Command = "person", "what runs now has not passed: choose the revision to go back to", advice.History.With(f)
		}
	}
	return []checklistLine{
		last, back,
		{Text: "somebody read what changes", State: "person", Command: read.With(f)},
		{Text: "the hub's people know, and somebody watches it afterwards", State: "person"},
		{Text: "it is deployed by chartctl deploy, which reports", State: "person", Command: advice.Deploy.With(f)},
	}
}

var ticks = map[string]string{"done": "[x]", "open": "[ ]", "person": "[ ] (a person)"}

func (l checklist) lines(w *writer) {
	w.line("Before %s is pinned to %s:", l.Env, l.Pair)
	w.line("  binding %s", l.Binding)
	for _, c := range l.Lines {
		w.line("%s %s", ticks[c.State], c.Text)
		if c.Facts != "" {
			w.line("      %s", c.Facts)
		}
		if c.Want != "" {
			w.line("      want: %s", c.Want)
		}
		if c.Command != "" && !strings.Contains(c.Want, c.Command) {
			w.line("      %s", c.Command)
		}
	}
}

// err is the exit while something is open.
func (l checklist) err(v api.GateVerdict) error {
	if l.Open == 0 {
		return nil
	}
	e := &api.Error{Code: api.CodeGate, Message: fmt.Sprintf("%s open on the checklist of %s", are(l.Open), l.Env)}
	if v.Refusal != nil && v.Refusal.Code == api.CodeHalted {
		e.Code = api.CodeHalted
	}
	return e
}

func are(n int) string {
	if n == 1 {
		return "1 line is"
	}
	return fmt.Sprintf("%d lines are", n)
}
