package repo_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/render"
	"chartd.dev/chartd/internal/testtools"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/repo"
)

const pod = `apiVersion: v1
kind: Pod
metadata: {name: hub}
spec: {containers: [{name: hub, image: "{{ .Values.hub.image.name }}:{{ .Values.hub.image.tag }}"}]}
`

// sealedRig renders, and has a chart published whose image is shown.
func sealedRig(t *testing.T) (*rig, []byte, lock.Binding) {
	t.Helper()
	pool, err := render.New(render.Config{Program: testtools.Chartd(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	})
	g := newRig(t, func(c *repo.Config) { c.Renderer, c.RenderTimeout = pool, time.Minute })
	g.registry.push(t, "quay.io/jupyterhub/k8s-hub:1.0.0", "base", "hub")
	pkg := hub(t, "1.0.0", "1.0.0", "jupyterhub/templates/hub.yaml", pod)
	out := g.publish(t, pkg)
	if out.Binding == nil || out.Binding.Seal == nil || out.Binding.Seal.Unproven != "" || len(out.Binding.SealedForms()) != 2 {
		t.Fatalf("%+v: %+v", out.Chart.Unbound, out.Binding)
	}
	return g, pkg, *out.Binding
}

func (g *rig) bytesOf(t *testing.T, b repo.Blob) []byte {
	t.Helper()
	rc, err := g.Open(ctx, b, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	data, err := io.ReadAll(rc)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Both forms of a sealed package are made again, byte by byte, from the record
// of how they were made.
func TestSealedFormsAreMended(t *testing.T) {
	g, pkg, b := sealedRig(t)
	for _, f := range b.SealedForms() {
		if err := g.blobs.Delete(ctx, f.Sealed); err != nil {
			t.Fatal(err)
		}
	}
	g.publish(t, pkg)
	for _, f := range b.SealedForms() {
		blob, err := g.Sealed(ctx, b.ID, f.Sealed)
		if err != nil {
			t.Fatal(err)
		}
		if data := g.bytesOf(t, blob); ref.DigestOf(data) != f.Sealed || int64(len(data)) != f.Size {
			t.Errorf("plain %v: it is not what it was", f.Plain)
		}
	}
	p, err := g.SealProof(ctx, b.ID)
	if err != nil || len(p.Splices) != 1 || len(p.Added) != 1 || p.Added[0] != "templates/chartd-guard-hub.yaml" {
		t.Errorf("%+v, %v", p, err)
	}
}

// The environment serves the form that its policy names, and each name answers
// for ever.
func TestPolicyNamesTheForm(t *testing.T) {
	g, _, b := sealedRig(t)
	e := env(t, "data8/prod")
	if _, err := g.lockfile.CreateEnvironment(ctx, op("env"), lock.NewEnvironment{Env: e, Chart: "jupyterhub"}); err != nil {
		t.Fatal(err)
	}
	if _, err := g.lockfile.MakePin(ctx, op("pin"), lock.NewPin{Env: e, Binding: b.ID}); err != nil {
		t.Fatal(err)
	}
	for i, seal := range []model.Seal{"", model.SealPlain, model.SealGuarded} {
		if _, err := g.lockfile.SetPolicy(ctx, op("policy"), e, lock.Policy{Seal: seal}); err != nil {
			t.Fatal(err)
		}
		p, err := g.EnvironmentIndex(ctx, e)
		if err != nil {
			t.Fatal(err)
		}
		want := b.SealedForms()[i%2].Sealed
		if url := line(t, p)["urls"].([]any)[0].(string); url != "sealed/"+repo.SealedName(b.Chart, want) {
			t.Errorf("policy %q serves %s, want %s", seal, url, want)
		}
		for _, f := range b.SealedForms() {
			if _, err := g.SealedPackage(ctx, e, repo.SealedName(b.Chart, f.Sealed)); err != nil {
				t.Errorf("policy %q: %v", seal, err)
			}
		}
	}
	overlay, err := g.Overlay(ctx, e, 1, "")
	if err != nil || !bytes.Contains(overlay.Body, []byte("1.0.0@sha256:")) || !bytes.Contains(overlay.Body, []byte("name: quay.io/jupyterhub/k8s-hub")) {
		t.Errorf("%s, %v", overlay.Body, err)
	}
}

// slow never proves anything.
type slow struct{ *render.Pool }

func (slow) Prove(ctx context.Context, _ string, _ render.ProveRequest) (render.Proof, error) {
	<-ctx.Done()
	return render.Proof{}, ctx.Err()
}

// A seal that takes too long to prove is none, and the next bind finds it.
func TestSealIsFoundLater(t *testing.T) {
	pool, err := render.New(render.Config{Program: testtools.Chartd(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	g := newRig(t, func(c *repo.Config) { c.Renderer, c.RenderTimeout = slow{pool}, 3*time.Second })
	g.registry.push(t, "quay.io/jupyterhub/k8s-hub:1.0.0", "base", "hub")
	out := g.publish(t, hub(t, "1.0.0", "1.0.0", "jupyterhub/templates/hub.yaml", pod))
	if out.Binding == nil || !out.Binding.Sealed.IsZero() || !strings.Contains(out.Binding.Unsealed, "not proven within 3s") {
		t.Fatalf("%s: %+v", out.Chart.Unbound, out.Binding)
	}
	e := env(t, "data8/prod")
	if _, err := g.lockfile.CreateEnvironment(ctx, op("env"), lock.NewEnvironment{Env: e, Chart: "jupyterhub"}); err != nil {
		t.Fatal(err)
	}
	if _, err := g.lockfile.MakePin(ctx, op("pin"), lock.NewPin{Env: e, Binding: out.Binding.ID}); err != nil {
		t.Fatal(err)
	}
	overlay, err := g.Overlay(ctx, e, 1, "")
	if err != nil || !bytes.Contains(overlay.Body, []byte("\n# There is no sealed package, so render this and look at it first: \"")) {
		t.Errorf("the values of a revision without a seal are %s, %v", overlay.Body, err)
	}
	g.Renderer, g.RenderTimeout = pool, time.Minute
	b, existed, err := g.Bind(ctx, op("bind"), repo.BindRequest{Chart: out.Chart.Chart})
	if err != nil || !existed || b.ID != out.Binding.ID || b.Sealed.IsZero() || b.Unsealed != "" {
		t.Errorf("%+v, existed %v, %v", b, existed, err)
	}
}
