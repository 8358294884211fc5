package repo_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/repo"
	"chartd.dev/chartd/storage"
)

func names(t *testing.T, g *rig) []string {
	t.Helper()
	x, err := g.Index(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, n := range x.Names() {
		for _, e := range x.Entries(n) {
			var v struct{ Name, Version string }
			if err := json.Unmarshal(e, &v); err != nil {
				t.Fatal(err)
			}
			out = append(out, v.Name+"@"+v.Version)
		}
	}
	return out
}

func TestPublishBindsAndShows(t *testing.T) {
	g := newRig(t)
	image := g.registry.push(t, "quay.io/jupyterhub/k8s-hub:3.3.7", "base", "hub-3.3.7")
	out := g.publish(t, hub(t, "3.3.7", "3.3.7"))
	if out.Existed || out.Binding == nil || out.Binding.Evidence != model.ChartValues {
		t.Fatalf("published %+v, binding %+v", out.Chart, out.Binding)
	}
	x, err := g.Index(ctx)
	if err != nil {
		t.Fatal(err)
	}
	raw, ok := x.Entry("jupyterhub", "3.3.7")
	if !ok {
		t.Fatal("the index does not show the version that was just published")
	}
	var e struct {
		URLs        []string
		Digest      string
		Annotations map[string]string
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		t.Fatal(err)
	}
	if e.Annotations["chartd.dev/image.hub"] != image.Image.String() || e.Annotations["chartd.dev/binding"] != out.Binding.ID.String() {
		t.Errorf("annotations are %v", e.Annotations)
	}
	if len(e.URLs) != 1 || e.URLs[0] != "charts/jupyterhub-3.3.7.tgz" || e.Digest != out.Chart.Package.Hex() {
		t.Errorf("line is %s", raw)
	}
}

func TestPublishAgain(t *testing.T) {
	g := newRig(t)
	g.registry.push(t, "quay.io/jupyterhub/k8s-hub:1.0.0", "base", "hub")
	first := g.publish(t, hub(t, "1.0.0", "1.0.0"))
	x, _ := g.Index(ctx)
	again := g.publish(t, hub(t, "1.0.0", "1.0.0"))
	if !again.Existed || again.Chart.Seq != first.Chart.Seq || again.Binding == nil {
		t.Errorf("the same package again gave %+v", again)
	}
	y, _ := g.Index(ctx)
	if x.Generation() != y.Generation() || x.ETag(repo.Identity) != y.ETag(repo.Identity) {
		t.Error("publishing the same package again changed the index")
	}
	_, err := g.Publish(ctx, op("publish"), repo.Upload{Package: hub(t, "1.0.0", "1.0.1")})
	if !errors.Is(err, lock.ErrExists) || !strings.Contains(err.Error(), first.Chart.Package.String()) {
		t.Errorf("other content gave %v", err)
	}
}

func TestPublishRaceHasOneWinner(t *testing.T) {
	g := newRig(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	won, lost := 0, 0
	for i := range 100 {
		pkg := hub(t, "2.0.0", "2.0.0", "jupyterhub/templates/n.yaml", fmt.Sprint("n: ", i))
		wg.Go(func() {
			out, err := g.Publish(ctx, op("publish"), repo.Upload{Package: pkg})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && !out.Existed:
				won++
			case errors.Is(err, lock.ErrExists):
				lost++
			default:
				t.Errorf("publish: %+v, %v", out, err)
			}
		})
	}
	wg.Wait()
	if won != 1 || lost != 99 {
		t.Errorf("%d won and %d lost", won, lost)
	}
}

func TestPublishWithoutRegistry(t *testing.T) {
	down := func(context.Context, ref.Reference) error {
		return fmt.Errorf("%w: connection refused", repo.ErrUnavailable)
	}
	g := newRig(t)
	g.registry.push(t, "quay.io/jupyterhub/k8s-hub:3.0.0", "base", "hub")
	g.registry.fault = down
	_, err := g.Publish(ctx, op("publish"), repo.Upload{Package: hub(t, "3.0.0", "3.0.0"), RequireBinding: true})
	if !errors.Is(err, repo.ErrUnavailable) || len(names(t, g)) != 0 {
		t.Fatalf("a required binding without a registry gave %v", err)
	}
	out := g.publish(t, hub(t, "3.0.0", "3.0.0"))
	if out.Binding != nil || !strings.Contains(out.Chart.Unbound, "connection refused") {
		t.Fatalf("published %+v", out)
	}
	_, err = g.lockfile.CreateEnvironment(ctx, op("env"), lock.NewEnvironment{Env: env(t, "a/prod"), Chart: "jupyterhub"})
	if err != nil {
		t.Fatal(err)
	}
	g.registry.fault = nil
	b, existed, err := g.Bind(ctx, op("bind"), repo.BindRequest{Chart: out.Chart.Chart})
	if err != nil || existed {
		t.Fatalf("bind: existed %v, %v", existed, err)
	}
	g.registry.fault = down // a dead registry stops neither pin nor rollback
	if _, err := g.lockfile.MakePin(ctx, op("pin"), lock.NewPin{Env: env(t, "a/prod"), Binding: b.ID}); err != nil {
		t.Fatal(err)
	}
}

func TestPublishWaitsForSlowRegistry(t *testing.T) {
	g := newRig(t, func(c *repo.Config) { c.BindTimeout = 20 * time.Millisecond })
	g.registry.fault = func(ctx context.Context, _ ref.Reference) error { <-ctx.Done(); return ctx.Err() }
	out := g.publish(t, hub(t, "3.0.0", "3.0.0"))
	if !strings.Contains(out.Chart.Unbound, "no answer within") {
		t.Errorf("unbound because %q", out.Chart.Unbound)
	}
}

func TestPublishRefusesWrongBase(t *testing.T) {
	g := newRig(t)
	g.registry.push(t, "quay.io/jupyterhub/k8s-hub:3.3.7", "base", "hub-3.3.7")
	g.registry.push(t, "quay.io/jupyterhub/k8s-hub:3.3.8", "base", "hub-3.3.8")
	g.publish(t, hub(t, "3.3.7", "3.3.7"))
	g.registry.push(t, "quay.io/uni/hub:old", "base", "hub-3.3.7", "extra")
	image, _ := ref.ParseReference("quay.io/uni/hub:old")
	_, err := g.Publish(ctx, op("publish"), repo.Upload{Package: hub(t, "3.3.8", "3.3.8"), Images: map[ref.Role]ref.Reference{"hub": image}})
	var no *lock.Refusal
	if !errors.As(err, &no) || no.Rule != model.RuleBase {
		t.Fatalf("publishing with an image on the old base gave %v", err)
	}
	for _, want := range []string{"quay.io/jupyterhub/k8s-hub:3.3.8", "quay.io/jupyterhub/k8s-hub:3.3.7", "jupyterhub@3.3.7"} {
		if !strings.Contains(no.Facts, want) {
			t.Errorf("the refusal does not name %s: %s", want, no.Facts)
		}
	}
	if got := names(t, g); len(got) != 1 {
		t.Errorf("the index has %v", got)
	}
}

func TestFaultAtEachStepLeavesNothing(t *testing.T) {
	for _, step := range []string{"put", "no space"} {
		t.Run(step, func(t *testing.T) {
			g := newRig(t)
			g.registry.push(t, "quay.io/jupyterhub/k8s-hub:1.0.0", "base", "hub")
			fault := errors.New("input/output error")
			if step == "no space" {
				fault = storage.ErrNoSpace
			}
			for n := 1; ; n++ {
				count := 0
				g.blobs.SetFault(func(call string) error {
					if call != "put" {
						return nil
					}
					if count++; count == n {
						return fault
					}
					return nil
				})
				_, err := g.Publish(ctx, op("publish"), repo.Upload{Package: hub(t, "1.0.0", "1.0.0")})
				g.blobs.SetFault(nil)
				if err == nil {
					if n == 1 {
						t.Fatal("no step was failed")
					}
					return
				}
				if !errors.Is(err, fault) || len(names(t, g)) != 0 {
					t.Fatalf("step %d: %v, index %v", n, err, names(t, g))
				}
				if _, err := g.Sweep(ctx); err != nil {
					t.Fatal(err)
				}
				g.check(t)
			}
		})
	}
}

func TestYankAndPurge(t *testing.T) {
	g := newRig(t)
	g.registry.push(t, "quay.io/jupyterhub/k8s-hub:1.0.0", "base", "hub")
	out := g.publish(t, hub(t, "1.0.0", "1.0.0"))
	if _, err := g.Yank(ctx, op("yank"), out.Chart.Chart, "breaks logins"); err != nil {
		t.Fatal(err)
	}
	if got := names(t, g); len(got) != 0 {
		t.Errorf("the index shows %v after a yank", got)
	}
	b, err := g.Package(ctx, "jupyterhub-1.0.0.tgz")
	if err != nil || b.Digest != out.Chart.Package {
		t.Errorf("a yanked package is not served: %v", err)
	}
	if _, err := g.Publish(ctx, op("publish"), repo.Upload{Package: hub(t, "1.0.0", "1.0.0")}); !errors.Is(err, lock.ErrExists) {
		t.Errorf("publishing a yanked version again gave %v", err)
	}
	if _, err := g.Purge(ctx, op("purge"), out.Chart.Chart, "leaked a key"); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Package(ctx, "jupyterhub-1.0.0.tgz"); !errors.Is(err, lock.ErrNotFound) {
		t.Errorf("a purged package gave %v", err)
	}
	if _, err := g.blobs.Stat(ctx, out.Chart.Package); !errors.Is(err, storage.ErrNotExist) {
		t.Errorf("the purged bytes are still there: %v", err)
	}
}

func TestRepublishMendsALostBlob(t *testing.T) {
	g := newRig(t)
	pkg := hub(t, "1.0.0", "1.0.0")
	out := g.publish(t, pkg)
	if err := g.blobs.Delete(ctx, out.Chart.Package); err != nil {
		t.Fatal(err)
	}
	b, err := g.Package(ctx, "jupyterhub-1.0.0.tgz")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Open(ctx, b, 0, -1); !errors.Is(err, repo.ErrBlobMissing) {
		t.Fatalf("a lost blob gave %v", err)
	}
	rep, err := g.Check(ctx, repo.CheckOptions{})
	if err != nil || len(rep.Problems) != 1 || !strings.Contains(rep.Problems[0], "jupyterhub@1.0.0") {
		t.Fatalf("check found %v, %v", rep.Problems, err)
	}
	g.publish(t, pkg)
	rc, err := g.Open(ctx, b, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if data, err := io.ReadAll(rc); err != nil || len(data) != len(pkg) {
		t.Errorf("read %d bytes, %v", len(data), err)
	}
}

// The sealed package of a binding that the transaction refuses is not kept;
// the rig's last check would count it.
func TestRefusedBindingLeavesNoSealedPackage(t *testing.T) {
	g := newRig(t)
	g.registry.push(t, "quay.io/jupyterhub/k8s-hub:1.0.0", "base", "hub")
	g.registry.push(t, "quay.io/uni/hub:1", "something else")
	out := g.publish(t, pack(t, map[string]string{
		"wrap/Chart.yaml":                           "apiVersion: v2\nname: wrap\nversion: 1.0.0\ndependencies:\n- name: jupyterhub\n  version: 1.0.0\n  repository: https://example.org/charts\n",
		"wrap/values.yaml":                          "jupyterhub:\n  hub:\n    image:\n      name: quay.io/uni/hub\n      tag: \"1\"\n",
		"wrap/charts/jupyterhub/Chart.yaml":         "apiVersion: v2\nname: jupyterhub\nversion: 1.0.0\n",
		"wrap/charts/jupyterhub/values.yaml":        "hub:\n  image:\n    name: quay.io/jupyterhub/k8s-hub\n    tag: \"1.0.0\"\n",
		"wrap/charts/jupyterhub/templates/hub.yaml": "image: {{ .Values.hub.image.name }}:{{ .Values.hub.image.tag }}\n",
	}))
	if out.Binding != nil || !strings.Contains(out.Chart.Unbound, "was not built on") {
		t.Fatalf("published %+v with binding %+v", out.Chart, out.Binding)
	}
}

// What a caller insists on holds for a version that is there already.
func TestPublishAgainInsists(t *testing.T) {
	g := newRig(t)
	pkg := hub(t, "1.0.0", "1.0.0")
	if out := g.publish(t, pkg); out.Binding != nil {
		t.Fatalf("bound to an image that is not there: %+v", out.Binding)
	}
	insist := repo.Upload{Package: pkg, RequireBinding: true}
	if out, err := g.Publish(ctx, op("publish"), insist); err == nil {
		t.Errorf("a required binding that cannot be made gave %+v", out)
	}
	g.registry.push(t, "quay.io/jupyterhub/k8s-hub:1.0.0", "base", "hub")
	out, err := g.Publish(ctx, op("publish"), insist)
	if err != nil || !out.Existed || out.Binding == nil || out.Chart.Unbound != "" {
		t.Errorf("published %+v, %v", out, err)
	}
	g.registry.push(t, "quay.io/uni/hub:wrong", "another base")
	wrong, _ := ref.ParseReference("quay.io/uni/hub:wrong")
	_, err = g.Publish(ctx, op("publish"), repo.Upload{Package: pkg, Images: map[ref.Role]ref.Reference{"hub": wrong}})
	if !errors.Is(err, lock.ErrGate) {
		t.Errorf("a wrong image for a version that is there gave %v", err)
	}
}

func TestRepublishMendsASealedPackage(t *testing.T) {
	g := newRig(t)
	g.registry.push(t, "quay.io/jupyterhub/k8s-hub:1.0.0", "base", "hub")
	pkg := hub(t, "1.0.0", "1.0.0")
	out := g.publish(t, pkg)
	if _, err := g.Yank(ctx, op("yank"), out.Chart.Chart, "still pinned somewhere"); err != nil {
		t.Fatal(err)
	}
	if err := g.blobs.Delete(ctx, out.Binding.Sealed); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Publish(ctx, op("publish"), repo.Upload{Package: pkg}); !errors.Is(err, lock.ErrExists) {
		t.Fatalf("publishing a yanked version again gave %v", err)
	}
	if _, err := g.blobs.Stat(ctx, out.Binding.Sealed); err != nil {
		t.Errorf("the sealed package is still lost: %v", err)
	}
}

// A tag that moves makes a new pair; the old one stays proven, and naming its
// digest needs no registry.
func TestMovedTagKeepsTheOldPair(t *testing.T) {
	g := newRig(t)
	first := g.registry.push(t, "quay.io/jupyterhub/k8s-hub:2.0.0", "base", "hub")
	out := g.publish(t, hub(t, "2.0.0", "2.0.0"))
	g.registry.push(t, "quay.io/jupyterhub/k8s-hub:2.0.0", "base", "hub, rebuilt")
	second, existed, err := g.Bind(ctx, op("bind"), repo.BindRequest{Chart: out.Chart.Chart})
	if err != nil || existed || second.ID == out.Binding.ID {
		t.Fatalf("bind after the tag moved: %v, existed %v, %v", second.ID, existed, err)
	}
	old, err := g.lockfile.Binding(ctx, out.Binding.ID)
	if err != nil || len(old.Moved) != 1 {
		t.Errorf("the old binding says of its tags %v, %v", old.Moved, err)
	}
	for _, fault := range []func(context.Context, ref.Reference) error{
		nil,
		func(context.Context, ref.Reference) error { return repo.ErrUnavailable },
	} {
		g.registry.fault = fault
		images := map[ref.Role]ref.Reference{"hub": {Repository: first.Image.Repository, Digest: first.Image.Digest}}
		b, existed, err := g.Bind(ctx, op("bind"), repo.BindRequest{Chart: out.Chart.Chart, Images: images})
		if err != nil || !existed || b.ID != out.Binding.ID {
			t.Errorf("the old pair by digest gave %v, existed %v, %v", b.ID, existed, err)
		}
	}
}

func env(t *testing.T, s string) ref.Env {
	t.Helper()
	e, err := ref.ParseEnv(s)
	if err != nil {
		t.Fatal(err)
	}
	return e
}
