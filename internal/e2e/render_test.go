package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy/verify"
	"chartd.dev/chartd/internal/testtools"
)

// What went wrong in production is found in what Helm renders, without a lock
// file: the pins are the truth.
func TestRenderFindsTheIncidents(t *testing.T) {
	r := newRealCheckout(t)
	r.run(0, "git", "rm", "-q", "chartd.lock")
	r.run(0, "git", "commit", "-q", "-m", "no lock")
	image := r.sealedTag()
	for _, major := range []int{3, 4} {
		// The chart of that repo does not render without its secrets.
		r.write("../secrets.yaml", "jupyterhub: {hub: {config: {}}}\netcGitConfig: {githubAppPrivateKey: secret}\n")
		verify := []string{"verify", "--render", "--helm", testtools.Helm(t, major), "--values", "../secrets.yaml", "data8/staging", "r/staging"}
		t.Run(fmt.Sprintf("helm%d", major), func(t *testing.T) {
			out := r.ctl(0, verify...).Out
			wants(t, "verify --render", out, "2 environments: no difference (compared: pin, render)",
				"rendered data8/staging: hub with deployments/data8/config/common.yaml, deployments/data8/config/staging.yaml, ", "there is no chartd.lock")
			for name, tt := range map[string]struct {
				change func()
				want   []string
			}{
				"2017, chart back and image forward": {func() {
					r.replace("hub/requirements.yaml", "3.3.8", "3.3.7")
					r.replace("hub/values.yaml", image, newerTag)
				}, []string{"hub/requirements.yaml:7: Helm renders jupyterhub 3.3.7, pinned is 3.3.8 with the hub image gcr.io/" + realHub + ":" + realTag,
					"hub/values.yaml:244: jupyterhub.hub.image.tag is " + newerTag + ", and so in what Helm renders Deployment hub of hub/charts/jupyterhub/templates/hub/deployment.yaml runs gcr.io/" + realHub + ":" + newerTag,
					"(data8/staging, r/staging)", "2 differences found"}},
				"2021, chart forward and image not": {func() {
					r.replace("hub/requirements.yaml", "3.3.8", "4.0.0")
				}, []string{"hub/requirements.yaml:7: Helm renders jupyterhub 4.0.0, pinned is 3.3.8", "what jupyterhub 4.0.0 renders is not known"}},
				"2024, chart back and image stays": {func() {
					r.replace("hub/requirements.yaml", "3.3.8", "3.3.7")
				}, []string{"hub/requirements.yaml:7: Helm renders jupyterhub 3.3.7, pinned is 3.3.8"}},
				"an override in a hub's own values": {func() {
					r.write("deployments/data8/config/staging.yaml", "jupyterhub:\n  hub:\n    image:\n      name: gcr.io/another/hub\n      tag: latest\n")
				}, []string{"deployments/data8/config/staging.yaml:4: jupyterhub.hub.image.name is gcr.io/another/hub", "runs gcr.io/another/hub:latest", "(data8/staging)"}},
			} {
				t.Run(name, func(t *testing.T) {
					defer r.run(0, "git", "checkout", "-q", ".")
					tt.change()
					got := r.ctl(api.ExitDrift, verify...)
					wants(t, strings.Join(verify, " "), got.Text(), tt.want...)
				})
			}
		})
	}
}

// rendering is a small checkout without a lock file, and verify --render in it.
type rendering struct {
	*smallCheckout
	helm string
}

func newRendering(t *testing.T, major int) rendering {
	t.Helper()
	r := rendering{newSmallCheckout(t, "pin"), testtools.Helm(t, major)}
	r.sh(0, "git rm -q chartd.lock && git commit -q -m 'no lock'")
	return r
}

func (r rendering) verify(want int, args string) string {
	r.Helper()
	return r.sh(want, "CHARTCTL_HELM="+r.helm+" chartctl verify --render "+args).Text()
}

// What a values file says over the pinned image is told with its line, on both
// Helms; what is the pinned image is none.
func TestRenderOfASmallRepo(t *testing.T) {
	for _, major := range []int{3, 4} {
		t.Run(fmt.Sprintf("helm%d", major), func(t *testing.T) {
			r := newRendering(t, major)
			wants(t, "as it is", r.verify(0, ""), "1 environment: no difference (compared: pin, render)", "rendered data8/prod: hub without values files")
			for name, tt := range map[string]struct {
				file, text string
				want       []string
			}{
				"a stage's values": {"deployments/data8/config/prod.yaml", "# ours\njupyterhub:\n  hub: {image: {tag: 1.1.0}}\n",
					[]string{"deployments/data8/config/prod.yaml:3: jupyterhub.hub.image.tag is 1.1.0, and so in what Helm renders Deployment data8-prod-hub of hub/charts/jupyterhub/templates/hub.yaml runs quay.io/example/hub:1.1.0: pinned is the hub image quay.io/example/hub:1.0.0@sha256:",
						"rendered data8/prod: hub with deployments/data8/config/prod.yaml", "chartctl bump data8/prod --version 1.0.0 --image hub=quay.io/example/hub:1.1.0"}},
				"another repository": {"deployments/data8/config/prod.yaml", "jupyterhub:\n  hub:\n    image:\n      name: ghcr.io/mine/hub\n",
					[]string{"deployments/data8/config/prod.yaml:4: jupyterhub.hub.image.name is ghcr.io/mine/hub, and so", "runs ghcr.io/mine/hub:1.0.0@sha256:"}},
				"the tag alone": {"hub/values.yaml", "jupyterhub:\n  hub:\n    image:\n      name: quay.io/example/hub\n      tag: 1.0.0\n",
					[]string{"hub/values.yaml:5: jupyterhub.hub.image.tag is 1.0.0, and so", "by the tag alone, which does not say which image runs", "bump data8/prod --allow-dirty --binding b1:"}},
				"the chart's own": {"hub/values.yaml", "jupyterhub: {}\n",
					[]string{"hub/Chart.yaml:6: no values file names it, it is the chart's own, and so"}},
				"a list": {"deployments/data8/config/prod.yaml", "- jupyterhub\n",
					[]string{"deployments/data8/config/prod.yaml: Helm does not render hub: ", "cannot unmarshal"}},
				"what does not render": {"hub/templates/bad.yaml", "{{ fail \"the moon is full\" }}\n",
					[]string{"hub/Chart.yaml:6: Helm does not render hub: ", "the moon is full", "given with --values FILE"}},
				"what does not render, and another image": {"deployments/data8/config/prod.yaml", "jupyterhub: {hub: {replicas: {{}}, image: {tag: 1.1.0}}}\n",
					[]string{"Helm does not render hub: "}},
				"a chart that is not published": {"hub/Chart.yaml", "apiVersion: v2\nname: hub\nversion: 0.1.0\ndependencies:\n- name: jupyterhub\n  version: 7.0.0\n  repository: https://x\n",
					[]string{"hub/Chart.yaml:6: Helm renders jupyterhub 7.0.0, pinned is 1.0.0 with the hub image quay.io/example/hub:1.0.0", "what jupyterhub 7.0.0 renders is not known"}},
				"no dependency": {"hub/Chart.yaml", "apiVersion: v2\nname: hub\nversion: 0.1.0\n", []string{"hub/Chart.yaml: no dependency of hub is jupyterhub, which is pinned"}},
			} {
				t.Run(name, func(t *testing.T) {
					defer r.sh(0, "git checkout -q . && git clean -qfd")
					r.write(tt.file, tt.text)
					wants(t, "verify --render", r.verify(api.ExitDrift, ""), tt.want...)
				})
			}
			t.Run("JSON", func(t *testing.T) {
				defer r.sh(0, "git checkout -q . && git clean -qfd")
				r.write("deployments/data8/config/prod.yaml", "jupyterhub: {hub: {image: {tag: 1.1.0}}}\n")
				var got verify.Answer
				if err := json.Unmarshal([]byte(r.sh(api.ExitDrift, "chartctl verify --render -o json --helm "+r.helm).Out), &got); err != nil {
					t.Fatal(err)
				}
				f := got.Findings[0]
				if len(got.Findings) != 1 || f.Kind != "render" || f.Line != 1 || f.File != "deployments/data8/config/prod.yaml" || f.Found != "quay.io/example/hub:1.1.0" ||
					len(got.Rendered) != 1 || got.Rendered[0].Chart != "hub" || got.Rendered[0].Version != "1.0.0" || len(got.Rendered[0].Values) != 1 || got.OK {
					t.Errorf("%+v", got)
				}
			})
		})
	}
}

// What Helm is given and what not, and what is wrong with the command line.
func TestRenderIsGiven(t *testing.T) {
	r := newRendering(t, 3)
	r.write("deployments/data8/config/prod.yaml", "jupyterhub: {hub: {replicas: 2}}\n")
	r.write("deployments/data8/secrets/prod.yaml", "jupyterhub: {hub: {image: {tag: from-a-secret}}}\n")
	r.write("deployments/data8/config/common.yaml", "jupyterhub: ENC[AES256]\nsops:\n  version: 3\n")
	out := r.verify(0, "")
	wants(t, "secrets", out, "deployments/data8/secrets/prod.yaml is left out of what is rendered: it is secret", "deployments/data8/config/common.yaml is left out of", "no difference")
	wants(t, "a pipe", r.verify(api.ExitDrift, "-f <(echo 'jupyterhub: {hub: {image: {tag: piped}}}')"), "runs quay.io/example/hub:piped")
	wants(t, "two files", r.verify(0, "-f deployments/data8/secrets/prod.yaml -f <(echo 'jupyterhub: {hub: {image: null}}') -f deployments/data8/config/prod.yaml || exit 0"), "rendered data8/prod")
	wants(t, "no file", r.verify(api.ExitLocalIO, "-f nowhere.yaml"), `read the values file "nowhere.yaml"`)
	wants(t, "a directory", r.verify(api.ExitLocalIO, "-f hub"), "it is a directory")
	wants(t, "no helm", r.sh(api.ExitUsage, "chartctl verify --render --helm no-such-helm").Err, `helm program "no-such-helm" can't be run: executable file not found`, "--helm or CHARTCTL_HELM")
	wants(t, "offline", r.verify(api.ExitUsage, "--offline"), "--offline excludes")
	wants(t, "without --render", r.sh(api.ExitUsage, "chartctl verify --values x").Err, "--values and --helm are for --render")
	wants(t, "no environment", r.verify(api.ExitNotFound, "data8/nowhere"), `names no environment "data8/nowhere"`)
	wants(t, "another directory", r.sh(0, "cd / && CHARTCTL_HELM="+r.helm+" chartctl verify --render -C "+r.dir).Out, "no difference")
	newEnv(t, r.Bench, "data8/staging")
	r.sh(0, "sed -i 's|^  data8/prod: .*|&\\n  data8/staging: {chart: jupyterhub, sites: [hub], wrapper: hub}|' .chartctl.yaml")
	wants(t, "no pin", r.verify(api.ExitDrift, ""), "the server has pinned nothing for data8/staging")
	r.Server.Stop()
	r.verify(api.ExitUnavailable, "")
}

// Helm gets nothing of the user's but the path: no cluster, no plugin, no
// setting, no token.
func TestRenderLeavesTheUserOut(t *testing.T) {
	r := newRendering(t, 3)
	spy := filepath.Join(t.TempDir(), "helm")
	if err := os.WriteFile(spy, []byte("#!/bin/sh\nenv > "+spy+".env; pwd > "+spy+".pwd; ls -A > "+spy+".ls\nexec "+r.helm+" \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.sh(0, "KUBECONFIG=/etc/kube HELM_PLUGINS="+r.dir+" HELM_NAMESPACE=other HELM_KUBETOKEN=t chartctl verify --render --helm "+spy)
	env, err := os.ReadFile(spy + ".env")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(env), "\n") {
		name, value, _ := strings.Cut(line, "=")
		if strings.HasPrefix(name, "CHARTCTL_") || strings.HasPrefix(name, "HELM_") && !strings.Contains(value, "chartctl-render-") || name == "KUBECONFIG" && !strings.HasSuffix(value, "no-cluster") || strings.HasPrefix(value, r.dir) {
			t.Errorf("Helm is given %s", line)
		}
	}
	if at, _ := os.ReadFile(spy + ".pwd"); strings.HasPrefix(string(at), r.dir) {
		t.Errorf("Helm runs in the checkout, in %s", at)
	}
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), "chartctl-render-*"))
	for _, dir := range left {
		if strings.Contains(string(env), dir) {
			t.Errorf("%s is still there", dir)
		}
	}
}

// Deploy refuses what Helm would render over the pin, before anything runs.
func TestDeployLooksAtWhatIsRendered(t *testing.T) {
	c := newSmallCheckout(t, "pin")
	helm := testtools.Helm(t, 4)
	c.write("hub/templates/extra.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: extra}\nspec:\n  containers:\n  - name: x\n    image: quay.io/example/hub:1.1.0\n")
	c.sh(0, "git add -A && git commit -q -m extra && chartctl verify")
	out := c.sh(api.ExitDrift, "CHARTCTL_HELM="+helm+" chartctl deploy data8/prod -- touch ran")
	wants(t, "deploy", out.Err, "Pod extra of hub/templates/extra.yaml runs quay.io/example/hub:1.1.0", "1 difference between what Helm renders and the pin of data8/prod: nothing was run")
	c.sh(1, "test -e ran")
	c.sh(0, "CHARTCTL_HELM="+helm+" chartctl deploy data8/prod --no-render -- touch ran && test -e ran")
	wants(t, "the report", c.sh(0, "chartctl journal -o json").Out, "what Helm renders was not looked at: --no-render")
	c.sh(0, "git rm -q hub/templates/extra.yaml && git commit -q -m gone")
	c.sh(0, "CHARTCTL_HELM="+helm+" chartctl deploy data8/prod -- true")
	wants(t, "without helm", c.sh(0, "CHARTCTL_HELM=no-such-helm chartctl deploy data8/prod -o json -- true").Out, `"not_rendered": "what Helm renders was not looked at: helm program`)
	c.write("hub/templates/bad.yaml", "{{ fail \"no secret\" }}\n")
	c.sh(0, "git add -A && git commit -q -m bad")
	wants(t, "what does not render", c.sh(0, "CHARTCTL_HELM="+helm+" chartctl deploy data8/prod -- true").Err, "note: Helm does not render hub: ", "no secret", "reported passed")
}

// Without a command deploy knows all that Helm is given.
func TestDeployByHelmLooksAtWhatIsRendered(t *testing.T) {
	for _, major := range []int{3, 4} {
		c := newSmallCheckout(t, "pin")
		c.sh(0, "mkdir away && echo 'hub: {image: {tag: 1.1.0}}' > away/mine.yaml")
		deploy := "cd away && chartctl deploy data8/prod --helm " + testtools.Helm(t, major)
		c.sh(0, "git rm -q .chartctl.yaml && git commit -q -m 'no deploy repo'")
		for args, want := range map[string]string{
			"--helm-arg=--set=hub.image.tag=1.1.0":                     "--helm-arg: the argument hub.image.tag=1.1.0 says so, and so in what Helm renders Deployment data8-prod-hub",
			"--helm-arg --set --helm-arg hub.image.name=quay.io/a/b":   "runs quay.io/a/b:1.0.0@sha256:",
			"--helm-arg=--atomic --helm-arg=-f --helm-arg=mine.yaml":   "/mine.yaml:1: hub.image.tag is 1.1.0, and so",
			"--helm-arg=--set-json --helm-arg='hub.image.tag=\"1.1\"'": "runs quay.io/example/hub:1.1",
		} {
			wants(t, args, c.sh(api.ExitDrift, deploy+" "+args).Err, want, "nothing was run")
		}
		// What stands in values comes before ours. That no cluster is there is
		// for Helm to say.
		wants(t, "values", c.sh(1, deploy+" --values mine.yaml").Err, "it is reported failed")
	}
}

// The pinned chart is found in a wrapper however it hangs there.
func TestRenderOfWrappers(t *testing.T) {
	chart := func(name, dependencies string) string {
		return "apiVersion: v2\nname: " + name + "\nversion: 0.1.0\ndependencies:\n" + dependencies
	}
	for name, tt := range map[string]struct {
		files  map[string]string // {} is the server, {T} the pinned tag
		prefix string
		want   int
		says   []string
	}{
		"an alias": {map[string]string{"hub/Chart.yaml": chart("hub", "- {name: jupyterhub, version: 1.0.0, repository: {}, alias: lab}\n"),
			"hub/values.yaml": "lab:\n  hub:\n    image:\n      tag: 1.1.0\n"}, "lab", api.ExitDrift,
			[]string{"hub/values.yaml:4: lab.hub.image.tag is 1.1.0"}},
		"a wrapper in a wrapper": {map[string]string{"hub/Chart.yaml": chart("hub", "- {name: base, version: 0.1.0, repository: 'file://../base'}\n"), "hub/values.yaml": "{}\n",
			"base/Chart.yaml": chart("base", "- {name: jupyterhub, version: 1.0.0, repository: {}}\n"), "base/values.yaml": "jupyterhub: {hub: {image: {tag: 1.1.0}}}\n"}, "base.jupyterhub", api.ExitDrift,
			[]string{"base/values.yaml:1: base.jupyterhub.hub.image.tag is 1.1.0, and so in what Helm renders Deployment data8-prod-hub of hub/charts/base/charts/jupyterhub/templates/hub.yaml"}},
		"the environment's repository": {map[string]string{"hub/Chart.yaml": chart("hub", "- {name: jupyterhub, version: 1.0.0, repository: {}/environments/data8/prod}\n"), "hub/values.yaml": "{}\n"}, "jupyterhub", 0,
			[]string{"no difference"}},
		"another dependency": {map[string]string{"hub/Chart.yaml": chart("hub", "- {name: jupyterhub, version: 1.0.0, repository: {}}\n- {name: moon, version: 2.0.0, repository: 'https://moon.example'}\n")}, "jupyterhub", 0,
			[]string{"hub/Chart.yaml:6: moon 2.0.0 is not in hub/charts, and only the pinned chart is fetched: rendered without it", "no difference"}},
		"a range": {map[string]string{"hub/Chart.yaml": chart("hub", "- {name: jupyterhub, version: ^1.0.0, repository: {}}\n")}, "jupyterhub", api.ExitDrift,
			[]string{"hub/Chart.yaml:5: Helm renders jupyterhub ^1.0.0, pinned is 1.0.0"}},
		"an old list": {map[string]string{"hub/Chart.yaml": "apiVersion: v1\nname: hub\nversion: 0.1.0\n", "hub/requirements.yaml": "dependencies:\n- name: jupyterhub\n  version: 1.1.0\n  repository: {}\n"}, "jupyterhub", api.ExitDrift,
			[]string{"hub/requirements.yaml:3: Helm renders jupyterhub 1.1.0, pinned is 1.0.0"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRendering(t, 4)
			for file, text := range tt.files {
				r.write(file, strings.ReplaceAll(text, "{}", map[bool]string{true: "{}", false: r.Server.URL}[text == "{}\n"]))
			}
			r.sh(0, "sed -i 's/prefix: jupyterhub/prefix: "+tt.prefix+"/' .chartctl.yaml")
			wants(t, "verify --render", r.verify(tt.want, ""), tt.says...)
		})
	}
	t.Run("what lies in charts/", func(t *testing.T) {
		r := newRendering(t, 3)
		h := r.Helm(3)
		h.Do("dependency", "update", filepath.Join(r.dir, "hub"))
		wants(t, "a package", r.verify(0, ""), "no difference")
		r.sh(0, "sed -i 's/version: 1.0.0/version: 1.1.0/' hub/Chart.yaml")
		h.Do("dependency", "update", filepath.Join(r.dir, "hub"))
		r.sh(0, "sed -i 's/version: 1.1.0/version: 1.0.0/' hub/Chart.yaml")
		wants(t, "an old package", r.verify(api.ExitDrift, ""), "hub/charts/jupyterhub-1.1.0.tgz: Helm renders jupyterhub 1.1.0, pinned is 1.0.0")
		r.sh(0, "cd hub/charts && tar xf jupyterhub-1.1.0.tgz && rm jupyterhub-1.1.0.tgz")
		wants(t, "a directory", r.verify(api.ExitDrift, ""), "hub/charts/jupyterhub/Chart.yaml: Helm renders jupyterhub 1.1.0, pinned is 1.0.0")
	})
	t.Run("no wrapper", func(t *testing.T) {
		r := newRendering(t, 3)
		r.write(".chartctl.yaml", "version: 1\nserver: "+r.Server.URL+"\nsites:\n  s:\n  - {kind: marker, file: deploy.sh, path: chart.version}\n  - {kind: image, file: values/common.yaml, path: hub.image, role: hub}\nenvironments:\n  data8/prod: {chart: jupyterhub, sites: [s]}\n")
		r.write("deploy.sh", "helm upgrade hub --version 1.0.0 # chartctl: chart.version\n")
		r.write("values/common.yaml", "hub: {image: {name: quay.io/example/hub, tag: 1.0.0}}\n")
		wants(t, "its tag", r.verify(api.ExitDrift, ""), "values/common.yaml:1: hub.image.tag is 1.0.0, and so", "by the tag alone")
		r.write("values/common.yaml", "hub: {replicas: 1}\n")
		wants(t, "the sealed package", r.verify(0, ""), "rendered data8/prod: jupyterhub-1.0.0 with values/common.yaml")
		r.sh(0, "sed -i 's/1.0.0/1.1.0/' deploy.sh")
		wants(t, "another version", r.verify(api.ExitDrift, ""), "deploy.sh:1: Helm renders jupyterhub 1.1.0, pinned is 1.0.0", "quay.io/example/hub:1.1.0")
	})
}
