package main

import (
	"errors"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// Whatever anybody is told to type is a command with flags and arguments that
// it takes.
func TestAdviceCanBeTyped(t *testing.T) {
	lines := advice.Lines()
	if len(lines) < 25 {
		t.Fatalf("%d lines", len(lines))
	}
	var chart ref.ChartVersion
	var prod, staging, other ref.Env
	for to, text := range map[interface{ UnmarshalText([]byte) error }]string{
		&chart: "jupyterhub@3.3.7", &prod: "data8/prod", &staging: "data8/staging", &other: "prob140/prod",
	} {
		if err := to.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range lines {
		text := l.With(model.Facts{
			Env: prod, From: staging, Others: []ref.Env{other},
			Binding: ref.BindingIDOf(ref.DigestOf(nil), nil), Chart: chart, Name: "jupyterhub", Revision: 7, Halt: "halt-12",
			Images: []model.RoleImage{{Role: "hub", Image: "quay.io/berkeley/hub:1"}, {Role: "main"}},
			Server: "https://charts.example.edu", Verdict: model.Passed, Group: true,
		})
		if !strings.Contains(string(l), "bump {env}") { // alone in taking several
			text = strings.Replace(text, " prob140/prod", "", 1)
		}
		if err := typed(t, text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, bad := range []string{"chartctl bumps data8/prod", "chartctl bump data8/prod --newest", "chartctl rollback a/b c/d", "chartctl env create a/b c/d", "chartctl why a/b --binding x"} {
		if typed(t, bad) == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

// typed finds the command of a line and parses its flags, and runs nothing.
func typed(t *testing.T, text string) error {
	t.Helper()
	words := words(text)
	if words[0] != "chartctl" {
		return errors.New("it is not of chartctl")
	}
	a, _, _ := newApp(nil)
	root := a.root()
	c, rest, err := root.Find(words[1:])
	if err != nil {
		return err
	}
	if c == root {
		return errors.New("it names no command")
	}
	if err := c.ParseFlags(rest); err != nil {
		return err
	}
	if len(rest) == 0 {
		return nil // the command by its name
	}
	return errors.Join(c.ValidateArgs(c.Flags().Args()), c.ValidateRequiredFlags(), c.ValidateFlagGroups())
}

// words are those of a command line, which quotes only whole words.
func words(line string) []string {
	var out []string
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			out = append(out, part)
		} else {
			out = append(out, strings.Fields(part)...)
		}
	}
	return out
}
