package policy

import (
	"slices"
	"testing"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

func TestUpstreamFirst(t *testing.T) {
	conf, err := config.Parse([]byte(`version: 1
server: https://charts.example.edu
branches: {dev: dev, prod: prod, staging: staging}
sites: {a: [{kind: marker, file: a, path: chart.version}]}
environments: {b: {chart: c, sites: [a]}, r: {chart: c, sites: [a]}}
policies:
  dev: {upstream: [staging]}
  staging: {upstream: [prod]}
  prod: {}
  b/prod: {upstream: [r/dev]}
`))
	if err != nil {
		t.Fatal(err)
	}
	envs, err := Named(conf, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range envs {
		got = append(got, e.String())
	}
	if want := []string{"r/prod", "r/staging", "r/dev", "b/prod", "b/staging", "b/dev"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if envs, err = Named(conf, []ref.Env{envs[2], envs[0]}); err != nil || len(envs) != 2 || envs[0].Stage() != "prod" {
		t.Errorf("two by name: %v, %v", envs, err)
	}
}

// Two policies that ask for the same are equal, however they are written; any
// field that differs is told.
func TestPolicyChanges(t *testing.T) {
	env, err := ref.ParseEnv("data8/prod")
	if err != nil {
		t.Fatal(err)
	}
	changes := func(old, now api.Policy) []api.PolicyChange {
		return Changes(env, old, now)
	}
	freeze := func(length string) []api.Freeze {
		return []api.Freeze{{Cron: "0 17 * * 5", Zone: "UTC", For: length}}
	}
	for _, same := range [][2]api.Policy{
		{{}, {Accept: []model.Evidence{model.BaseLayers, model.ChartValues}, Halt: model.ScopeHub, Overdue: model.OverdueUnknown, Soak: "0s"}},
		{{Upstream: []string{"staging", "r/dev"}, Soak: "24h"}, {Upstream: []string{"r/dev", "data8/staging"}, Soak: "1440m"}},
		{{Freeze: freeze("90m"), Deadline: "30m"}, {Freeze: freeze("1h30m0s"), Deadline: "1800s"}},
	} {
		if got := changes(same[0], same[1]); len(got) != 0 {
			t.Errorf("%+v and %+v: %v", same[0], same[1], got)
		}
	}
	for field, now := range map[string]api.Policy{
		"accepts": {Accept: []model.Evidence{model.ChartValues}}, "upstream": {Upstream: []string{"staging"}}, "soak": {Soak: "1h"},
		"approvals": {Approvals: 1}, "freeze": {Freeze: freeze("1h")}, "failure halts": {Halt: model.ScopeEnvironment}, "deadline": {Deadline: "1h"},
	} {
		if got := changes(api.Policy{}, now); len(got) != 1 || got[0].Field != field || got[0].New == "" {
			t.Errorf("%s: %v", field, got)
		}
	}
	if got := changes(api.Policy{Deadline: "1h"}, api.Policy{Deadline: "1h", Overdue: model.OverdueHalt}); len(got) != 1 {
		t.Errorf("overdue: %v", got)
	}
}
