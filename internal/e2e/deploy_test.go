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
	env     string // also the release and the namespace, with a dash
}

func newHubCheckout(t *testing.T, h *rig.Helm, c *rig.Cluster, env string) *hubCheckout {
	t.Helper()
	k := &hubCheckout{Helm: h, cluster: c, dir: t.TempDir(), env: env}
	k.write(".chartctl.yaml", fmt.Sprintf(`version: 1
server: %s
flow: pin
sites:
  hub:
    - {kind: image, file: hub.yaml, path: hub.image, role: hub}
environments:
  %s: {chart: jupyterhub, sites: [hub]}
`, h.Server.URL, env))
	k.write("hub.yaml", "hub:\n  image: {name: quay.io/example/hub, tag: none-yet}\n")
	// What somebody has left here loses against the pin.
	k.write("prod.yaml", "hub:\n  replicas: 2\n  image:\n    tag: left-behind\n")
	k.ctl(0, "env", "create", env, "--chart", "jupyterhub")
	return k
}

func (k *hubCheckout) write(name, text string) {
	k.Helper()
	if err := os.WriteFile(filepath.Join(k.dir, name), []byte(text), 0o644); err != nil {
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
	return k.ctl(want, append([]string{"deploy", k.env, "--helm", k.Binary, "--values", "prod.yaml", "--helm-arg", "--create-namespace"}, args...)...)
}

// runs is what the cluster has been told to run.
func (k *hubCheckout) runs() (image, chart string, replicas int) {
	k.Helper()
	var d struct {
		Metadata struct{ Labels map[string]string }
		Spec     struct {
			Replicas int
			Template struct {
				Spec struct{ Containers []struct{ Image string } }
			}
		}
	}
	k.get(&d, "/apis/apps/v1/namespaces/%[1]s/deployments/%[1]s-hub", k.name())
	if n := len(d.Spec.Template.Spec.Containers); n != 1 {
		k.Fatalf("the Deployment has %d containers", n)
	}
	return d.Spec.Template.Spec.Containers[0].Image, d.Metadata.Labels["chart"], d.Spec.Replicas
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
	image, chart, replicas := k.runs()
	if want := "quay.io/example/hub:" + p.version + "@" + p.digest; image != want || chart != "jupyterhub-"+p.version || replicas != 2 {
		k.Errorf("the cluster runs %d × %s of %s, want 2 × %s of jupyterhub-%s", replicas, image, chart, want, p.version)
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

		// A helm that fails fails the deploy, and halts what is downstream.
		wants(t, "deploy", k.deploy(1, "--helm-arg", "--set=hub.replicas=many").Text(), "ended with exit code 1", "it is reported failed")
		k.wantRuns(pair2)
	})
}
