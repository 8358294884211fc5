package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/testtools"
)

// hubCheckout is a deploy repo of one environment that is deployed by Helm.
type hubCheckout struct {
	*rig.Helm
	cluster *rig.Cluster
	dir     string
	values  string // of the hub
	env     string // also the release and the namespace, with a dash
}

func newHubCheckout(t *testing.T, h *rig.Helm, c *rig.Cluster, env string) *hubCheckout {
	t.Helper()
	k := &hubCheckout{Helm: h, cluster: c, dir: t.TempDir(), env: env}
	k.config("{kind: image, file: hub.yaml, path: hub.image, role: hub}", ", kept: {chart: helm-repository}")
	k.write("hub.yaml", "hub:\n  image: {name: quay.io/example/hub, tag: none-yet}\n")
	// What somebody has left in values that are not the checkout's loses
	// against the pin; within it, verify would name it.
	k.values = filepath.Join(t.TempDir(), "prod.yaml")
	k.hubValues("hub:\n  replicas: 2\n  image:\n    tag: left-behind\n")
	k.ctl(0, "env", "create", env, "--chart", "jupyterhub")
	return k
}

// config writes .chartctl.yaml, with one site.
func (k *hubCheckout) config(site, more string) {
	k.Helper()
	k.write(".chartctl.yaml", fmt.Sprintf(`version: 1
server: %s
flow: pin
sites:
  hub:
    - %s
environments:
  %s: {chart: jupyterhub, sites: [hub]%s}
`, k.Server.URL, site, k.env, more))
}

func (k *hubCheckout) write(name, text string) {
	k.Helper()
	if err := os.WriteFile(filepath.Join(k.dir, name), []byte(text), 0o644); err != nil {
		k.Fatal(err)
	}
}

func (k *hubCheckout) hubValues(text string) {
	k.Helper()
	if err := os.WriteFile(k.values, []byte(text), 0o644); err != nil {
		k.Fatal(err)
	}
}

func (k *hubCheckout) name() string { return strings.ReplaceAll(k.env, "/", "-") }

func (k *hubCheckout) ctl(want int, args ...string) rig.Result {
	k.Helper()
	env := append(k.Env(), "KUBECONFIG="+k.cluster.Kubeconfig, "CHARTCTL_SERVER="+k.Server.URL, "CHARTCTL_TOKEN="+k.Server.Token, "XDG_CONFIG_HOME=")
	r, err := rig.Run(k.Context(), k.dir, env, testtools.Chartctl(k), args...)
	if err != nil || r.Code != want {
		k.Fatalf("chartctl %s: %v, exit %d, want %d\n%s", strings.Join(args, " "), err, r.Code, want, r.Text())
	}
	return r
}

func (k *hubCheckout) deploy(want int, args ...string) rig.Result {
	k.Helper()
	return k.ctl(want, append([]string{"deploy", k.env, "--helm", k.Binary, "--values", k.values, "--helm-arg", "--create-namespace"}, args...)...)
}

// move pins twice, and then goes back to what deploy has reported passed.
func (k *hubCheckout) move(step int, version string) {
	k.Helper()
	if step == 2 {
		k.ctl(0, "rollback", k.env)
		return
	}
	k.ctl(0, "bump", k.env, "--version", version)
}

// deployment is what the cluster has been told to run.
type deployment struct {
	Metadata struct{ Labels map[string]string }
	Spec     struct {
		Replicas int
		Template struct {
			Spec struct {
				Containers []struct{ Name, Image string }
			}
		}
	}
}

func (k *hubCheckout) deployment(name string) (d deployment) {
	k.Helper()
	k.get(&d, "/apis/apps/v1/namespaces/%s/deployments/%s", k.name(), name)
	return d
}

// image is that of a Deployment's container of the same name.
func (k *hubCheckout) image(name string) string {
	k.Helper()
	for _, c := range k.deployment(name).Spec.Template.Spec.Containers {
		if c.Name == name {
			return c.Image
		}
	}
	k.Fatalf("Deployment %s has no container of that name", name)
	return ""
}

func (k *hubCheckout) get(out any, format string, a ...any) []byte {
	k.Helper()
	body, err := k.cluster.Get(k.Context(), fmt.Sprintf(format, a...))
	if err == nil {
		err = json.Unmarshal(body, out)
	}
	if err != nil {
		k.Fatal(err)
	}
	return body
}

func (k *hubCheckout) wantRuns(p pair) {
	k.Helper()
	d := k.deployment(k.name() + "-hub")
	if n := len(d.Spec.Template.Spec.Containers); n != 1 || d.Spec.Replicas != 2 {
		k.Fatalf("the Deployment has %d containers and %d replicas, want 1 and 2", n, d.Spec.Replicas)
	}
	image, chart := d.Spec.Template.Spec.Containers[0].Image, d.Metadata.Labels["chart"]
	if want := "quay.io/example/hub:" + p.version + "@" + p.digest; image != want || chart != "jupyterhub-"+p.version {
		k.Errorf("the cluster runs %s of %s, want %s of jupyterhub-%s", image, chart, want, p.version)
	}
}

// secret writes Helm's record of a revision of the release, as kubectl prints
// it, and returns the file's name.
func (k *hubCheckout) secret(revision int) string {
	k.Helper()
	var any map[string]any
	name := fmt.Sprintf("secret-%d.json", revision)
	k.write(name, string(k.get(&any, "/api/v1/namespaces/%[1]s/secrets/sh.helm.release.v1.%[1]s.v%[2]d", k.name(), revision)))
	return name
}

// On a real Kubernetes API both Helms install what is pinned, by digest, and
// what they record there is what verify compares with.
func TestDeployOnKubernetes(t *testing.T) {
	b := rig.New(t)
	_, pair1 := publishHub(t, b, "1.0.0")
	_, pair2 := publishHub(t, b, "1.1.0")
	cluster := b.Cluster()
	b.EachHelm(t, func(t *testing.T, h *rig.Helm) {
		k := newHubCheckout(t, h, cluster, fmt.Sprintf("helm%d/prod", h.Major))
		k.ctl(0, "bump", k.env, "--version", "1.0.0")
		wants(t, "deploy", k.deploy(0).Text(), "STATUS: deployed", "it is reported passed")
		k.wantRuns(pair1)
		k.ctl(0, "verify", k.env, "--deployed", k.secret(1))

		// Pinned on, but not deployed: verify names both halves.
		k.ctl(0, "bump", k.env, "--version", "1.1.0")
		wants(t, "verify", k.ctl(api.ExitDrift, "verify", k.env, "--deployed", k.secret(1)).Text(), "1.0.0", "1.1.0", pair1.digest[:19], pair2.digest[:19])
		wants(t, "deploy", k.deploy(0).Text(), "REVISION: 2", "it is reported passed")
		k.wantRuns(pair2)
		k.ctl(0, "verify", k.env, "--deployed", k.secret(2))

		// Of what Helm lists only the chart can be compared, and verify says so.
		r, err := rig.Run(k.Context(), k.dir, append(h.Env(), "KUBECONFIG="+cluster.Kubeconfig), h.Binary, "list", "-n", k.name(), "-o", "json")
		if err != nil || r.Code != 0 {
			t.Fatalf("helm list: %v, exit %d\n%s", err, r.Code, r.Text())
		}
		k.write("list.json", r.Out)
		wants(t, "verify", k.ctl(0, "verify", k.env, "--deployed", "list.json").Text(), "holds no image")

		// A helm that fails fails the deploy, and that halts.
		wants(t, "deploy", k.deploy(1, "--helm-arg", "--set=hub.replicas=many").Text(), "ended with exit code 1", "it is reported failed")
		k.wantRuns(pair2)
		wants(t, "halts", k.ctl(0, "halts").Text(), k.env)
	})
}

// A wrapper chart is deployed by a command, which builds its dependency from
// the repository of the revision and gives the handed values last.
func TestDeployWrapperOnKubernetes(t *testing.T) {
	b := rig.New(t)
	_, pair1 := publishHub(t, b, "1.0.0")
	_, pair2 := publishHub(t, b, "1.1.0")
	cluster := b.Cluster()
	b.EachHelm(t, func(t *testing.T, h *rig.Helm) {
		k := newHubCheckout(t, h, cluster, fmt.Sprintf("wrapped%d/prod", h.Major))
		k.config("{kind: dependency, file: wrapper/Chart.yaml, name: jupyterhub}", ", wrapper: wrapper, prefix: jupyterhub")
		if _, err := (rig.Hub{Chart: "wrapper", Version: "0.1.0"}).Write(b.Root, k.dir); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(k.dir, "campus-hub"), filepath.Join(k.dir, "wrapper")); err != nil {
			t.Fatal(err)
		}
		install := fmt.Sprintf(`set -e
sed -i "s,repository: .*,repository: $CHARTCTL_REVISION_REPOSITORY," wrapper/Chart.yaml
%[1]s dependency update wrapper
%[1]s upgrade --install %[2]s wrapper -n %[2]s --create-namespace -f "$CHARTCTL_VALUES"`, h.Binary, k.name())
		for i, p := range []pair{pair1, pair2, pair1} {
			k.move(i, p.version)
			k.ctl(0, "deploy", k.env, "--", "sh", "-c", install)
			k.wantRuns(p)
			os.RemoveAll(filepath.Join(k.dir, "wrapper", "charts")) // the next bump's dependency is not the packed one
		}
	})
}

// The real JupyterHub chart, with all its objects, from one version to the
// next and back.
func TestDeployJupyterHubOnKubernetes(t *testing.T) {
	dir := testtools.Shared(t, "data", "charts")
	b := rig.New(t)
	versions := []string{"3.2.1", "3.3.7"}
	digests := map[string]string{}
	for _, v := range versions {
		digests[v] = pushNamed(t, b, "quay.io/jupyterhub/k8s-hub:"+v)
		b.Ctl(0, "publish", filepath.Join(dir, "jupyterhub-"+v+".tgz"))
	}
	cluster := b.Cluster()
	b.EachHelm(t, func(t *testing.T, h *rig.Helm) {
		k := newHubCheckout(t, h, cluster, fmt.Sprintf("real%d/prod", h.Major))
		// Nothing here would ever run the job that waits for pulled images.
		k.hubValues("prePuller: {hook: {enabled: false}}\n")
		for i, v := range []string{versions[0], versions[1], versions[0]} {
			k.move(i, v)
			k.deploy(0)
			if image, want := k.image("hub"), "quay.io/jupyterhub/k8s-hub:"+v+"@"+digests[v]; image != want {
				t.Errorf("helm %d: the hub runs %s, want %s", h.Major, image, want)
			}
			r, err := rig.Run(k.Context(), k.dir, append(h.Env(), "KUBECONFIG="+cluster.Kubeconfig), h.Binary, "list", "-n", k.name(), "-o", "json")
			if err != nil || r.Code != 0 || !strings.Contains(r.Out, `"jupyterhub-`+v+`"`) {
				t.Errorf("helm list: %v, exit %d\n%s", err, r.Code, r.Text())
			}
		}
		k.ctl(0, "verify", k.env, "--deployed", k.secret(3))
	})
}
