package main

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/testtools"
)

// tick is a line of the list as it is printed.
var tick = regexp.MustCompile(`(?m)^\[[x ]\] (?:\(a person\) )?(.+)$`)

// The how-to on deploying shows each line that the command knows, and none that
// it does not.
func TestChecklistIsThatOfTheHowTo(t *testing.T) {
	root, err := testtools.Root()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "how-to", "deploy.md"))
	if err != nil {
		t.Fatal(err)
	}
	var shown []string
	for _, m := range tick.FindAllSubmatch(page, -1) {
		shown = append(shown, string(m[1]))
	}
	want := slices.Collect(maps.Values(ruleTexts))
	for _, pin := range []*api.Pin{nil, {Revision: 3}} {
		for _, l := range liveLines(api.EnvironmentStatus{Environment: api.Environment{Pin: pin}}, api.GateVerdict{}) {
			want = append(want, l.Text)
		}
	}
	slices.Sort(shown)
	slices.Sort(want)
	if d := cmp.Diff(slices.Compact(want), slices.Compact(shown)); d != "" {
		t.Errorf("docs/how-to/deploy.md does not show the checklist (-chartctl +page):\n%s", d)
	}
}

// Every rule of the gate has its line, and a name that a rule has only where it
// refuses leads to it.
func TestChecklistHasALineForEachRule(t *testing.T) {
	var v api.GateVerdict
	for name := range ruleTexts {
		v.Rules = append(v.Rules, api.GateRule{Rule: name, State: model.RulePassed})
	}
	for name := range otherRules {
		v.Rules = append(v.Rules, api.GateRule{Rule: name, State: model.RuleRefused, Want: "w", Command: "c"})
	}
	v.Rules = append(v.Rules, api.GateRule{Rule: model.RuleBase, State: model.RulePassed}, api.GateRule{Rule: model.RuleApprovals, State: model.RuleUnsure}, api.GateRule{Rule: model.RuleHalt, State: model.RuleWaived})
	list := checklistOf(api.EnvironmentStatus{}, v)
	count := map[string]int{}
	for _, l := range list.Lines {
		count[l.State]++
		if _, known := ruleTexts[model.Rule(l.Text)]; known {
			t.Errorf("the line %+v has the rule's name for its text", l)
		}
	}
	if want := len(otherRules) + 1; list.Open != want || count["open"] != want {
		t.Errorf("%d lines are open (%v), want %d", list.Open, count, want)
	}
	var e *api.Error
	if err := list.err(v); !errors.As(err, &e) || e.Code != api.CodeGate {
		t.Errorf("the error is %v", err)
	}
	v.Refusal = &api.Error{Code: api.CodeHalted}
	if err := list.err(v); !errors.As(err, &e) || e.Code != api.CodeHalted {
		t.Errorf("the error of a halt is %v", err)
	}
}
