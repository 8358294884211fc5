package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/registrytest"
	"chartd.dev/chartd/internal/testtools"
)

var realHubs = []string{"a11y", "astro", "data100", "data8", "datahub", "dev", "eecs", "julia", "r", "stat20"}

const (
	realHub  = "ucb-datahub-2018/jupyterhub-hub" // at gcr.io
	oldTag   = "20240712-101500.git.8033.h1c0ffee1"
	realTag  = "20240731-224556.git.8057.h9643afd4"
	newerTag = "20240815-083000.git.8101.h2badcafe"
)

// realCheckout is a git checkout of a real deploy repo, pinned and locked at
// the real pair under its real names.
type realCheckout struct {
	*rig.Bench
	dir string
}

func newRealCheckout(t testing.TB) *realCheckout {
	t.Helper()
	source, charts := testtools.Shared(t, "data", "deploy-repo"), testtools.Shared(t, "data", "charts")
	b := rig.New(t)
	r := &realCheckout{b, filepath.Join(t.TempDir(), "deploy")}
	own := map[string]registrytest.Image{}
	versions := []string{"3.3.7", "3.3.8"} // in the order of their publication
	for _, v := range versions {
		own[v] = registrytest.Make("system", "hub "+v)
		b.Image("jupyterhub/k8s-hub", v, own[v])
	}
	for tag, on := range map[string]string{oldTag: "3.3.7", realTag: "3.3.8", newerTag: "3.3.8"} {
		b.Image(realHub, tag, registrytest.From(own[on], "berkeley "+tag))
	}
	for _, v := range versions {
		pkg, err := os.ReadFile(filepath.Join(charts, "jupyterhub-"+v+".tgz"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Client.Publish(t.Context(), client.PublishRequest{Package: pkg}); err != nil {
			t.Fatal(err)
		}
	}
	for _, hub := range realHubs {
		for _, stage := range []string{"staging", "prod"} {
			env, _ := ref.ParseEnv(hub + "/" + stage)
			if _, err := b.Client.CreateEnvironment(t.Context(), api.CreateEnvironment{Env: env, Chart: "jupyterhub"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.CopyFS(r.dir, os.DirFS(source)); err != nil {
		t.Fatal(err)
	}
	r.run(0, "sh", "-c", "chmod -R u+w . && git init -q -b staging && git add -A && git commit -q -m 'as it was'")
	r.write(".chartctl.yaml", r.config())
	r.replace("hub/requirements.yaml", "https://jupyterhub.github.io/helm-chart/", b.Server.URL)
	r.commit("chartctl")
	r.ctl(0, "bump", "data8/staging", "--group", "--version", "3.3.8", "--image", "hub=gcr.io/"+realHub+":"+realTag, "--commit")
	return r
}

// config names the ten hubs, whose user images are sites of their own.
func (r *realCheckout) config() string {
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\nserver: %s\nflow: pin\nbranches:\n  prod: prod\n  staging: staging\nsites:\n  hub:\n", r.Server.URL)
	b.WriteString("    - {kind: dependency, file: hub/requirements.yaml, name: jupyterhub}\n" +
		"    - {kind: image, file: hub/values.yaml, path: jupyterhub.hub.image, role: hub}\n" +
		"    - {kind: from, file: images/hub/Dockerfile, repository: jupyterhub/k8s-hub, role: hub}\nenvironments:\n")
	for _, hub := range realHubs {
		fmt.Fprintf(&b, "  %s:\n    chart: jupyterhub\n    sites: [hub]\n    wrapper: hub\n    prefix: jupyterhub\n", hub)
	}
	return b.String()
}

func (r *realCheckout) env() []string {
	return []string{"CHARTCTL_SERVER=" + r.Server.URL, "CHARTCTL_TOKEN=" + r.Server.Token, "HOME=" + r.dir + ".home", "XDG_CONFIG_HOME=",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.edu", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.edu", "GIT_CONFIG_NOSYSTEM=1"}
}

func (r *realCheckout) run(want int, name string, args ...string) rig.Result {
	r.Helper()
	if err := os.MkdirAll(r.dir+".home", 0o755); err != nil {
		r.Fatal(err)
	}
	out, err := rig.Run(r.Context(), r.dir, r.env(), name, args...)
	if err != nil || out.Code != want {
		r.Fatalf("%s %s: %v, exit %d, want %d\n%s", filepath.Base(name), strings.Join(args, " "), err, out.Code, want, out.Text())
	}
	return out
}

func (r *realCheckout) ctl(want int, args ...string) rig.Result {
	r.Helper()
	return r.run(want, testtools.Chartctl(r), args...)
}

func (r *realCheckout) write(file, text string) {
	r.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, file), []byte(text), 0o644); err != nil {
		r.Fatal(err)
	}
}

// replace changes one place of a file, which has to be there.
func (r *realCheckout) replace(file, old, new string) {
	r.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, file))
	if err != nil || strings.Count(string(b), old) != 1 {
		r.Fatalf("%s: %v, %q stands in it %d times", file, err, old, strings.Count(string(b), old))
	}
	r.write(file, strings.Replace(string(b), old, new, 1))
}

func (r *realCheckout) commit(message string) {
	r.Helper()
	r.run(0, "git", "add", "-A")
	r.run(0, "git", "commit", "-q", "-m", message)
}

// The pair, as it is and as it was broken: what verify says, in one line, and
// that it says it with the server and without.
func TestVerifyOfARealRepo(t *testing.T) {
	r := newRealCheckout(t)
	for _, mode := range [][]string{{"verify", "--offline"}, {"verify"}, {"verify", "--registry"}, {"verify", "data8/staging", "astro/staging"}} {
		wants(t, strings.Join(mode, " "), r.ctl(0, mode...).Out, "no difference")
	}
	binding := r.binding()
	image := r.sealedTag()
	stay := "to stay at 3.3.8: chartctl bump a11y/staging --group --allow-dirty --binding " + binding
	all := " (a11y/staging, astro/staging, data100/staging and 7 more)"
	still := "; the hub image in hub/values.yaml:244 is still " + realTag + ", the one built for 3.3.8. Mend: "
	build := " --image hub=gcr.io/" + realHub + ":TAG, with an image built for it"
	for name, tt := range map[string]struct {
		change func()
		want   string
	}{
		"2017, the submodule: chart back, image forward in one commit": {func() {
			r.replace("hub/requirements.yaml", "3.3.8", "3.3.7")
			r.replace("hub/values.yaml", image, newerTag)
		}, "hub/requirements.yaml:7: jupyterhub is 3.3.7, locked is 3.3.8: the chart moved back while the hub image in hub/values.yaml:244 moved forward, from " +
			realTag + " to " + newerTag + ": the halves went opposite ways and do not belong together. Mend: " + stay +
			"; to move both: chartctl bump a11y/staging --group --allow-dirty --version 3.3.7 --image hub=gcr.io/" + realHub + ":" + newerTag + all},
		"2021: chart and FROM forward, image not": {func() {
			r.replace("hub/requirements.yaml", "3.3.8", "4.0.0")
			r.replace("images/hub/Dockerfile", "k8s-hub:3.3.8", "k8s-hub:4.0.0")
		}, "hub/requirements.yaml:7: jupyterhub is 4.0.0, locked is 3.3.8: the chart and FROM in images/hub/Dockerfile:3 moved forward alone" + still + stay +
			"; to move both: chartctl bump a11y/staging --group --allow-dirty --version 4.0.0" + build + all},
		"2024, the debump: chart and Dockerfile back, image stays": {func() {
			r.replace("hub/requirements.yaml", "3.3.8", "3.3.7")
			r.replace("images/hub/Dockerfile", "k8s-hub:3.3.8", "k8s-hub:3.3.7")
		}, "hub/requirements.yaml:7: jupyterhub is 3.3.7, locked is 3.3.8: the chart and FROM in images/hub/Dockerfile:3 moved back alone" + still + stay +
			"; to move both: chartctl bump a11y/staging --group --allow-dirty --version 3.3.7" + build + all},
	} {
		t.Run(name, func(t *testing.T) {
			defer r.run(0, "git", "checkout", "-q", ".")
			tt.change()
			defer r.mends(stay) // what it says to do does it, though nothing is committed
			for _, args := range [][]string{{"verify", "--offline"}, {"verify"}} {
				out := r.ctl(api.ExitDrift, args...)
				if out.Out != tt.want+"\n" || out.Err != "chartctl: 1 difference found\n" {
					t.Errorf("chartctl %s prints\n%s%s\nwant\n%s", strings.Join(args, " "), out.Out, out.Err, tt.want)
				}
			}
		})
	}
}

// mends runs the command that verify gives, after which nothing differs.
func (r *realCheckout) mends(stay string) {
	r.Helper()
	_, command, _ := strings.Cut(stay, ": chartctl ")
	r.ctl(0, strings.Fields(command)...)
	wants(r.TB.(*testing.T), "verify", r.ctl(0, "verify").Out, "no difference")
	if out := r.run(0, "git", "status", "--porcelain").Out; out != "" {
		r.Errorf("mending changed more than was broken:\n%s", out)
	}
}

// Taking the halves of 2017 together as they stand is refused: the image was
// not built for that chart.
func TestHalvesOf2017AreRefused(t *testing.T) {
	r := newRealCheckout(t)
	r.replace("hub/requirements.yaml", "3.3.8", "3.3.7")
	r.replace("hub/values.yaml", r.sealedTag(), newerTag)
	r.commit("only the tag")
	out := r.ctl(api.ExitDrift, "verify", "--offline").Out
	_, command, _ := strings.Cut(out, "to move both: chartctl ")
	command, _, _ = strings.Cut(command, " (")
	wants(t, "bump", r.ctl(api.ExitGate, strings.Fields(command)...).Err, "3.3.7", newerTag)
	if again := r.ctl(api.ExitDrift, "verify", "--offline").Out; again != out {
		t.Errorf("a refused bump changed what verify says:\n%s", again)
	}
}

// binding is the one in the lock file.
func (r *realCheckout) binding() string {
	_, rest, _ := strings.Cut(r.read("chartd.lock"), " binding: ")
	id, _, _ := strings.Cut(rest, "\n")
	return id
}

// sealedTag is the tag with its digest in the values.
func (r *realCheckout) sealedTag() string {
	_, rest, _ := strings.Cut(r.read("hub/values.yaml"), realTag)
	digest, _, _ := strings.Cut(rest, "'")
	return realTag + digest
}

func (r *realCheckout) read(file string) string {
	r.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, file))
	if err != nil {
		r.Fatal(err)
	}
	return string(b)
}

// Offline, verify starts no other program: it is the step of every commit.
func TestVerifyOfflineStartsNothing(t *testing.T) {
	r := newRealCheckout(t)
	bin := t.TempDir()
	started := filepath.Join(bin, "started")
	if err := os.WriteFile(filepath.Join(bin, "git"), []byte("#!/bin/sh\necho \"$@\" >> "+started+"\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	out := r.run(0, "env", "PATH="+bin, testtools.Chartctl(t), "verify", "--offline")
	wants(t, "verify", out.Out, "10 environments: no difference (compared: sites)")
	if b, err := os.ReadFile(started); err == nil {
		t.Errorf("it ran git %s", b)
	}
}

// BenchmarkVerifyOffline is the whole process on the real repo, as a
// pre-commit hook runs it.
func BenchmarkVerifyOffline(b *testing.B) {
	r := newRealCheckout(b)
	binary := testtools.Chartctl(b)
	for b.Loop() {
		r.run(0, binary, "verify", "--offline")
	}
}

// What lies outside the files: the pin, the registry, what runs, the gate.
func TestVerifyAgainstTheWorld(t *testing.T) {
	r := newRealCheckout(t)
	t.Run("a tag that was moved", func(t *testing.T) {
		r.Image(realHub, realTag, registrytest.Make("system", "something else"))
		wants(t, "verify", r.ctl(0, "verify").Out, "no difference")
		out := r.ctl(api.ExitDrift, "verify", "--registry").Out
		wants(t, "verify --registry", out, "chartd.lock:6: the tag gcr.io/"+realHub+":"+realTag+" was moved: it is sha256:", "which stays pinned", "(a11y/staging, astro/staging, data100/staging and 7 more)")
		if n := strings.Count(out, "\n"); n != 1 {
			t.Errorf("%d lines for ten environments that share the image:\n%s", n, out)
		}
	})
	t.Run("what runs", func(t *testing.T) {
		r.write("../list.json", `[{"name":"data8-staging","namespace":"data8-staging","revision":"9","status":"deployed","chart":"jupyterhub-3.3.7","app_version":"4.1.6"}]`)
		wants(t, "verify --deployed", r.ctl(api.ExitDrift, "verify", "data8/staging", "--offline", "--deployed", "../list.json").Out,
			"release data8-staging runs jupyterhub 3.3.7, locked is 3.3.8", "chartctl deploy data8/staging", "holds no image: only the chart was checked")
		r.write("../list.json", `[{"name":"data8-staging","revision":"9","status":"deployed","chart":"hub-1.0.0"}]`)
		wants(t, "a wrapper in helm list", r.ctl(api.ExitInvalid, "verify", "data8/staging", "--deployed", "../list.json").Err, "give the release secret")
		wants(t, "no release", r.ctl(api.ExitInvalid, "verify", "data8/staging", "--deployed", "LICENSE").Err, "not a Helm release")
		wants(t, "no file", r.ctl(api.ExitLocalIO, "verify", "data8/staging", "--deployed", "nowhere.json").Err, "nowhere.json")
		wants(t, "which environment", r.ctl(api.ExitUsage, "verify", "--deployed", "LICENSE").Err, "exactly one HUB/STAGE")
	})
	t.Run("formats", func(t *testing.T) {
		defer r.run(0, "git", "checkout", "-q", ".")
		r.replace("hub/requirements.yaml", "3.3.8", "3.3.7")
		var got struct {
			OK       bool `json:"ok"`
			Findings []struct {
				Kind, File, Found, Want, Message, Mend string
				Line                                   int
				Environments                           []string
			}
		}
		if err := json.Unmarshal([]byte(r.ctl(api.ExitDrift, "verify", "-o", "json").Out), &got); err != nil || got.OK || len(got.Findings) != 1 {
			t.Fatalf("%v, %+v", err, got)
		}
		if f := got.Findings[0]; f.Kind != "pair" || f.File != "hub/requirements.yaml" || f.Line != 7 || f.Found != "3.3.7" || f.Want != "3.3.8" || len(f.Environments) != 10 {
			t.Errorf("%+v", f)
		}
		wants(t, "-o yaml", r.ctl(api.ExitDrift, "verify", "-o", "yaml").Out, "ok: false", "file: hub/requirements.yaml")
		out := r.run(api.ExitDrift, "env", "GITHUB_WORKSPACE="+filepath.Dir(r.dir), testtools.Chartctl(t), "verify", "-o", "github").Out
		if !strings.HasPrefix(out, "::error file=deploy/hub/requirements.yaml,line=7,title=chartctl verify%3A pair::jupyterhub is 3.3.7") || strings.Count(out, "\n") != 1 {
			t.Errorf("-o github prints\n%s", out)
		}
		wants(t, "elsewhere", r.ctl(api.ExitUsage, "status", "-o", "github").Err, "none of table, json, yaml")
	})
	t.Run("an environment of another stage", func(t *testing.T) {
		wants(t, "prod", r.ctl(api.ExitUsage, "verify", "data8/prod").Err, `those of stage "staging"`)
		wants(t, "unknown", r.ctl(api.ExitNotFound, "verify", "nosuch/staging").Err, `names no environment "nosuch/staging"; it names a11y/staging, astro/staging`)
	})
	t.Run("a branch of no stage", func(t *testing.T) {
		r.run(0, "git", "checkout", "-q", "-b", "feature")
		defer r.run(0, "git", "checkout", "-q", "staging")
		wants(t, "offline", r.ctl(0, "verify", "--offline").Out, "10 environments: no difference")
		wants(t, "which pins", r.ctl(api.ExitUsage, "verify").Err, "give --offline, or --branch prod or staging")
		r.run(0, "env", "GITHUB_BASE_REF=staging", testtools.Chartctl(t), "verify")
		r.ctl(0, "verify", "--branch", "staging")
	})
	t.Run("another pin", func(t *testing.T) {
		r.ctl(0, "bump", "data8/staging", "--no-files", "--version", "3.3.7", "--image", "hub=gcr.io/"+realHub+":"+oldTag, "--downgrade", "for the test")
		out := r.ctl(api.ExitDrift, "verify").Out
		wants(t, "verify", out, "locked is jupyterhub 3.3.8 with hub "+realTag, "the server has jupyterhub 3.3.7 with hub "+oldTag, "pinned as revision 2, by admin", "(data8/staging)")
		wants(t, "verify --offline", r.ctl(0, "verify", "--offline").Out, "no difference")
	})
	t.Run("no registry", func(t *testing.T) {
		defer r.run(0, "git", "checkout", "-q", ".")
		r.replace("hub/requirements.yaml", "3.3.8", "3.3.7")
		r.Registry.Stop()
		out := r.ctl(api.ExitUnavailable, "verify", "--registry")
		wants(t, "what the files say", out.Out, "hub/requirements.yaml:7: jupyterhub is 3.3.7, locked is 3.3.8")
		if strings.Contains(out.Out, "was moved") {
			t.Errorf("a tag was judged without the registry:\n%s", out.Out)
		}
	})
	t.Run("no server", func(t *testing.T) {
		defer r.run(0, "git", "checkout", "-q", ".")
		r.replace("hub/requirements.yaml", "3.3.8", "3.3.7")
		if err := r.Server.Stop(); err != nil {
			t.Fatal(err)
		}
		out := r.ctl(api.ExitUnavailable, "verify")
		wants(t, "what the files say", out.Out, "hub/requirements.yaml:7: jupyterhub is 3.3.7, locked is 3.3.8")
		wants(t, "why", out.Err, "cannot read from")
		r.ctl(api.ExitDrift, "verify", "--offline")
	})
}

// On a pull request of a repo with "flow: review" the lock is ahead of the
// pin: --pending takes the gate's word for it.
func TestVerifyPending(t *testing.T) {
	r := newRealCheckout(t)
	r.replace(".chartctl.yaml", "flow: pin", "flow: review")
	r.commit("review")
	r.ctl(0, "bump", "data8/staging", "--group", "--version", "3.3.8", "--image", "hub=gcr.io/"+realHub+":"+newerTag, "--commit")
	wants(t, "verify", r.ctl(api.ExitDrift, "verify").Out, "chartctl apply")
	wants(t, "verify --pending", r.ctl(0, "verify", "--pending").Out, "data8/staging: jupyterhub 3.3.8 is not pinned yet, and the gate would pass it")
	r.ctl(0, "apply")
	wants(t, "verify", r.ctl(0, "verify").Out, "no difference")

	r.ctl(0, "revoke", r.binding(), "--reason", "for the test")
	r.run(0, "git", "revert", "--no-edit", "HEAD") // and with it the lock, to a pair that goes back
	out := r.ctl(api.ExitGate, "verify", "--pending")
	wants(t, "the gate's word", out.Err, "chartctl:")
}

// The package that a real Helm puts into charts/ is the locked one; after a
// move it is the old one until Helm is run again.
func TestVerifyOfWhatHelmPacked(t *testing.T) {
	for _, major := range []int{3, 4} {
		t.Run(fmt.Sprintf("helm%d", major), func(t *testing.T) {
			c := newSmallCheckout(t, "pin")
			h := c.Helm(major)
			update := func() { h.Do("dependency", "update", filepath.Join(c.dir, "hub")) }
			update()
			c.sh(0, "test -f hub/charts/jupyterhub-1.0.0.tgz && test -f hub/Chart.lock && git add -A && git commit -q -m packed")
			wants(t, "offline", c.sh(0, "chartctl verify --offline").Out, "no difference")
			c.sh(0, "chartctl bump data8/prod --version 1.1.0 --commit")
			out := c.sh(api.ExitDrift, "chartctl verify").Out
			if out != "hub/charts/jupyterhub-1.0.0.tgz: the packed chart is jupyterhub 1.0.0, locked is jupyterhub 1.1.0: Helm would deploy the packed one. Mend: helm dependency update hub (data8/prod)\n" {
				t.Errorf("verify prints\n%s", out)
			}
			update()
			wants(t, "after helm dependency update", c.sh(0, "chartctl verify").Out, "no difference")
			c.sh(0, "sed -i 's/version: 1.1.0/version: 1.0.0/' hub/Chart.lock")
			wants(t, "Helm's lock file", c.sh(api.ExitDrift, "chartctl verify --offline").Out, "hub/Chart.lock:4: chart jupyterhub is 1.0.0, locked is 1.1.0")
		})
	}
}
