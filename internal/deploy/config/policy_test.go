package config_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/model"
)

const withPolicies = sample + `policies:
  staging: {}
  prod:
    accept: [chart-values, base-layers]
    upstream: [staging]
    soak: 24h
    approvals: 1
    freeze:
      - {cron: "0 17 * * 5", zone: America/Los_Angeles, for: 62h, reason: "week: end"}
      - {cron: "0 0 25 12 *", zone: UTC, for: 24h}
    halt: hub
    deadline: 30m
    overdue: unknown
  dev/prod: {upstream: [data8/prod]}
`

func TestPolicies(t *testing.T) {
	c, err := config.Parse([]byte(withPolicies))
	if err != nil {
		t.Fatal(err)
	}
	prod := api.Policy{Accept: []model.Evidence{model.ChartValues, model.BaseLayers}, Upstream: []string{"staging"}, Soak: "24h", Approvals: 1,
		Freeze: []api.Freeze{{Cron: "0 17 * * 5", Zone: "America/Los_Angeles", For: "62h", Reason: "week: end"}, {Cron: "0 0 25 12 *", Zone: "UTC", For: "24h"}},
		Halt:   model.ScopeHub, Deadline: "30m", Overdue: model.OverdueUnknown}
	for name, want := range map[string]api.Policy{
		"data8/prod": prod, "r/prod": prod, "data8/staging": {}, "dev/prod": {Upstream: []string{"data8/prod"}},
	} {
		got, ok := c.Policy(env(t, name))
		if d := cmp.Diff(want, got); !ok || d != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, ok, d)
		}
	}
	if _, ok := c.Policy(env(t, "data8/other")); ok {
		t.Error("a policy of a stage that has none")
	}
	again, err := config.Parse(c.Bytes())
	if err != nil {
		t.Fatalf("%v\n%s", err, c.Bytes())
	}
	if d := cmp.Diff(c, again); d != "" {
		t.Errorf("printed and read (-want +got):\n%s\n%s", d, c.Bytes())
	}
}

func TestPolicySyntax(t *testing.T) {
	swap := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(withPolicies) }
	for _, c := range []struct{ name, text, want string }{
		{"none", sample + "policies: {}\n", ".chartctl.yaml:17: policies: none is given"},
		{"a list", sample + "policies: []\n", ".chartctl.yaml:17: policies: want a mapping"},
		{"an unknown stage", swap("  staging: {}", "  stagin: {}"), `.chartctl.yaml:18: policies: "stagin" is no environment of this file`},
		{"an unknown hub", swap("dev/prod", "dav/prod"), `.chartctl.yaml:30: policies: "dav/prod" is no environment of this file`},
		{"no name", swap("dev/prod", "Dev/prod"), `.chartctl.yaml:30: policies: "Dev/prod" is neither a stage nor HUB/STAGE`},
		{"twice", swap("  dev/prod:", "  staging:"), `.chartctl.yaml:30: policies: "staging" is given twice`},
		{"empty", swap("staging: {}", "staging:"), ".chartctl.yaml:18: policy of staging: it is empty: for the defaults write {}"},
		{"unknown field", swap("approvals", "approvers"), `.chartctl.yaml:23: policy of prod: unknown field "approvers"; want accept`},
		{"field twice", swap("overdue: unknown", "soak: 1h"), `.chartctl.yaml:29: policy of prod: "soak" is given twice`},
		{"evidence", swap("base-layers]", "layers]"), `.chartctl.yaml:20: accept "layers" is not known; want chart-values`},
		{"accept is no list", swap("[chart-values, base-layers]", "declared"), ".chartctl.yaml:20: accept: want a list"},
		{"upstream", swap("[staging]", "[Staging]"), `.chartctl.yaml:21: upstream "Staging" is neither a stage nor HUB/STAGE`},
		{"upstream twice", swap("[staging]", "[staging, staging]"), `.chartctl.yaml:21: upstream: "staging" is given twice`},
		{"soak", swap("soak: 24h", "soak: 1d"), `.chartctl.yaml:22: soak "1d" is no duration: write it as 24h, 90m or 1h30m`},
		{"soak below zero", swap("soak: 24h", "soak: -24h"), `.chartctl.yaml:22: soak "-24h" is no duration`},
		{"soak is a list", swap("soak: 24h", "soak: [24h]"), ".chartctl.yaml:22: soak: want one value"},
		{"approvals", swap("approvals: 1", "approvals: one"), `.chartctl.yaml:23: approvals "one" is no number`},
		{"freeze is no list", swap("staging: {}", "staging: {freeze: {cron: x}}"), ".chartctl.yaml:18: freeze: want a list"},
		{"unknown field of a window", swap("zone: UTC", "zones: UTC"), `.chartctl.yaml:26: freeze: unknown field "zones"`},
		{"window without an end", swap(", for: 24h", ""), ".chartctl.yaml:26: freeze: for is missing"},
		{"window for no time", swap("for: 62h", "for: long"), `.chartctl.yaml:25: for "long" is no duration`},
		{"halt", swap("halt: hub", "halt: all"), `.chartctl.yaml:27: halt "all" is not known; want environment, hub, everything`},
		{"deadline", swap("deadline: 30m", "deadline: soon"), `.chartctl.yaml:28: deadline "soon" is no duration`},
		{"overdue", swap("overdue: unknown", "overdue: fail"), `.chartctl.yaml:29: overdue "fail" is not known; want unknown, halt`},
		{"alias", swap("staging: {}", "staging: &s {}", "dev/prod: {upstream: [data8/prod]}", "dev/prod: *s"), ".chartctl.yaml:30: policy of dev/prod: want a mapping"},
	} {
		_, err := config.Parse([]byte(c.text))
		var e *config.SyntaxError
		if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", c.name, err, c.want)
		}
	}
}

// A policy file is read by the same parser.
func TestAPolicyFileIsStrict(t *testing.T) {
	p, err := config.ParsePolicy([]byte("upstream: [staging]\nsoak: 24h\nfreeze:\n  - {cron: '0 0 * * *', zone: UTC, for: 1h}\n"))
	if err != nil || p.Soak != "24h" || len(p.Freeze) != 1 || p.Freeze[0].For != "1h" {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := config.ParsePolicy([]byte("{}")); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	for _, c := range []struct {
		text, want string
		line       int
	}{
		{"", "it is empty: for the defaults write {}", 1},
		{"# nothing\n", "it is empty: for the defaults write {}", 1},
		{"upstream: [staging]\nsoaks: 1h\n", `policy: unknown field "soaks"`, 2},
		{"soak: 1h\nsoak: 2h\n", `"soak" is given twice`, 2},
		{"soak: [1h]\n", "soak: want one value", 1},
		{"{}\n---\n{}\n", "there is a second document in it", 1},
		{"- soak: 1h\n", "policy: want a mapping", 1},
		{"soak: [", "read YAML", 1},
		{"freeze:\n- {cron: x, zones: UTC}\n", `freeze: unknown field "zones"`, 2},
		{strings.Repeat("#", config.MaxPolicy+1), "65537 bytes, and 65536 are the most", 1},
	} {
		_, err := config.ParsePolicy([]byte(c.text))
		var e *config.SyntaxError
		if !errors.As(err, &e) || e.Line != c.line || !strings.Contains(e.Text, c.want) {
			t.Errorf("%.40q: %v, want line %d: %s", c.text, err, c.line, c.want)
		}
	}
}
