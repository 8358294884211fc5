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

func TestNew(t *testing.T) {
	env, err := ref.ParseEnv("data8/prod")
	if err != nil {
		t.Fatal(err)
	}
	if s := New(env, api.Policy{}); s.Action != "keep" || len(s.Changes) != 0 {
		t.Errorf("the default policy: %+v", s)
	}
	want := []api.PolicyChange{{Field: "upstream", New: "staging"}, {Field: "soak", New: "24h"}, {Field: "failure halts", New: "environment"}, {Field: "deadline", New: "1h, then unknown"}}
	if s := New(env, api.Policy{Upstream: []string{"staging"}, Soak: "24h", Halt: model.ScopeEnvironment, Deadline: "1h"}); s.Action != "set" || !slices.Equal(s.Changes, want) {
		t.Errorf("%+v, want %+v", s.Changes, want)
	}
}
