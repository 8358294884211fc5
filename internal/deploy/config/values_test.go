package config

import (
	"slices"
	"testing"

	"chartd.dev/chartd/internal/deploy/site"
)

// Whom a values file is for is clear from its path only as far as the config
// calls its environments the same.
func TestValuesFiles(t *testing.T) {
	files := []string{"hub/Chart.yaml", "hub/values.yaml", "hub/values-prod.yaml", "hub/templates/a.yaml", ".github/a.yaml", "README.md", "../out.yaml",
		"deployments/a/config/prod.yaml", "deployments/a/config/common.yaml", "deployments/b/config/prod.yaml", "deployments/b/config/staging.yaml"}
	for name, tt := range map[string]struct {
		keys []string
		want []ValuesFile
	}{
		"the same names": {[]string{"a/prod"}, []ValuesFile{
			{"deployments/a/config/common.yaml", "", "a", ""}, {"deployments/a/config/prod.yaml", "", "a", "prod"},
			{"deployments/b/config/prod.yaml", "", "b", "prod"}, {"deployments/b/config/staging.yaml", "", "b", "staging"},
			{"hub/Chart.yaml", "hub", "", ""}, {"hub/values-prod.yaml", "hub", "", "prod"}, {"hub/values.yaml", "hub", "", ""}}},
		"another hub's name": {[]string{"a/prod", "campus/prod"}, []ValuesFile{
			{"deployments/a/config/common.yaml", "", "a", ""}, {"deployments/a/config/prod.yaml", "", "a", "prod"},
			{"deployments/b/config/prod.yaml", "", "", "prod"}, {"deployments/b/config/staging.yaml", "", "", "staging"},
			{"hub/Chart.yaml", "hub", "", ""}, {"hub/values-prod.yaml", "hub", "", "prod"}, {"hub/values.yaml", "hub", "", ""}}},
		"another stage's name": {[]string{"a/live"}, []ValuesFile{
			{"deployments/a/config/common.yaml", "", "a", ""}, {"deployments/a/config/prod.yaml", "", "a", ""},
			{"deployments/b/config/prod.yaml", "", "b", ""}, {"deployments/b/config/staging.yaml", "", "b", ""},
			{"hub/Chart.yaml", "hub", "", ""}, {"hub/values-prod.yaml", "hub", "", ""}, {"hub/values.yaml", "hub", "", ""}}},
	} {
		c := Config{Environments: map[string]Environment{}}
		for _, k := range tt.keys {
			c.Environments[k] = Environment{Key: k}
		}
		if got := c.ValuesFiles("repo", files); !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n%+v\nwant\n%+v", name, got, tt.want)
		}
	}
}

// Documentation and examples are values files only where the config itself
// says that something there is deployed.
func TestValuesFilesOfExamples(t *testing.T) {
	files := []string{"docs/a.yaml", "examples/b.yaml", "docs.yaml"}
	for name, tt := range map[string]struct {
		c    Config
		want []string
	}{
		"neither":         {Config{}, []string{"docs.yaml"}},
		"a site":          {Config{Sites: map[string][]site.Site{"s": {{File: "docs/x.yaml"}}}}, []string{"docs.yaml", "docs/a.yaml"}},
		"a wrapper":       {Config{Environments: map[string]Environment{"a/prod": {Key: "a/prod", Wrapper: "./examples"}}}, []string{"docs.yaml", "examples/b.yaml"}},
		"a hub of a name": {Config{Environments: map[string]Environment{"docs/prod": {Key: "docs/prod"}}}, []string{"docs.yaml", "docs/a.yaml"}},
	} {
		var got []string
		for _, v := range tt.c.ValuesFiles("repo", files) {
			got = append(got, v.File)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
