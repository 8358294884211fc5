package config

import (
	"slices"
	"testing"

	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/ref"
)

// What Helm is given, in its order, by the names that teams give their files.
func TestHelmValues(t *testing.T) {
	for name, tt := range map[string]struct {
		env, image           string // image: a file with an image site
		files, given, secret []string
	}{
		"hubploy": {"data8/prod", "hub/values.yaml",
			[]string{"hub/Chart.yaml", "hub/values.yaml", "chartpress.yaml", "deployments/data8/hubploy.yaml", "deployments/data8/config/common.yaml", "deployments/data8/config/prod.yaml",
				"deployments/data8/config/staging.yaml", "deployments/data8/secrets/prod.yaml", "deployments/data8/secrets/staging.yaml", "deployments/data8/image/environment.yml",
				"deployments/r/config/common.yaml", "deployments/r/config/prod.yaml", "deployments/r/config/staging.yaml"},
			[]string{"deployments/data8/config/common.yaml", "deployments/data8/config/prod.yaml"}, []string{"deployments/data8/secrets/prod.yaml"}},
		"a stage beside the chart": {"a/prod", "a/values.yaml",
			[]string{"a/Chart.yaml", "a/values.yaml", "a/prod.yaml", "a/staging.yaml", "b/Chart.yaml", "b/values.yaml", "b/prod.yaml"},
			[]string{"a/prod.yaml"}, nil},
		"values-STAGE.yaml": {"hub/staging", "hub/values.yaml",
			[]string{"hub/Chart.yaml", "hub/values.yaml", "hub/values-staging.yaml", "hub/values-prod.yaml", "hub/values-common.yaml"},
			[]string{"hub/values-common.yaml", "hub/values-staging.yaml"}, nil},
		"a directory for each": {"data8/prod", "hubs/data8/prod/values.yaml",
			[]string{"hubs/common.yaml", "hubs/data8/common.yaml", "hubs/data8/prod/values.yaml", "hubs/data8/prod/secrets.yaml", "hubs/data8/prod/notes.yaml", "hubs/data8/staging/values.yaml"},
			[]string{"hubs/data8/common.yaml", "hubs/data8/prod/values.yaml"}, []string{"hubs/data8/prod/secrets.yaml"}},
		"an image that all share": {"hub/prod", "images.yaml",
			[]string{"images.yaml", "other.yaml", "values/prod.yaml", "values/staging.yaml"},
			[]string{"images.yaml", "values/prod.yaml"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			env, err := ref.ParseEnv(tt.env)
			if err != nil {
				t.Fatal(err)
			}
			c := Config{Sites: map[string][]site.Site{"s": {{Kind: site.Image, File: tt.image, Path: "hub.image", Role: "hub"}}}, Environments: map[string]Environment{}}
			for _, key := range []string{tt.env, env.Hub() + "/staging", env.Hub() + "/prod"} {
				c.Environments[key] = Environment{Key: key, Chart: "jupyterhub", Sites: []string{"s"}}
			}
			given, secret := c.HelmValues(env, c.ValuesFiles("hub", tt.files))
			if !slices.Equal(given, tt.given) || !slices.Equal(secret, tt.secret) {
				t.Errorf("given %q, left out %q\nwant  %q, left out %q", given, secret, tt.given, tt.secret)
			}
		})
	}
}
