package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/registrytest"
)

// pair is what an environment should deploy.
type pair struct{ version, digest string }

var (
	renderedImage = regexp.MustCompile(`image: (quay\.io/\S+)`)
	renderedChart = regexp.MustCompile(`chart: jupyterhub-(\S+)`)
)

// rendered reads the pair out of what helm template printed.
func rendered(t *testing.T, out string) pair {
	t.Helper()
	image, chart := renderedImage.FindStringSubmatch(out), renderedChart.FindStringSubmatch(out)
	if image == nil || chart == nil {
		t.Fatalf("no image or chart in\n%s", out)
	}
	_, digest, _ := strings.Cut(image[1], "@")
	return pair{version: chart[1], digest: digest}
}

func newEnv(t *testing.T, b *rig.Bench, env string) ref.Env {
	t.Helper()
	e, err := ref.ParseEnv(env)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Client.CreateEnvironment(t.Context(), api.CreateEnvironment{Env: e, Chart: "jupyterhub"}); err != nil {
		t.Fatal(err)
	}
	return e
}

func pin(t *testing.T, b *rig.Bench, e ref.Env, base uint64, id ref.BindingID) {
	t.Helper()
	_, err := b.Client.Pin(t.Context(), client.PinCall{Env: e, Base: base, Pin: api.PinRequest{Binding: id, Reason: "test", Downgrade: "there and back"}})
	if err != nil {
		t.Fatal(err)
	}
}

// publishHub publishes a version with its image and returns the binding and
// the pair that it stands for.
func publishHub(t *testing.T, b *rig.Bench, version string) (ref.BindingID, pair) {
	t.Helper()
	_, digest := b.HubImage(version)
	p := b.Publish(rig.Hub{Version: version})
	if p.Chart.Binding == nil {
		t.Fatalf("%s was not bound: %s", version, p.Chart.Unbound)
	}
	return p.Chart.Binding.ID, pair{version, digest}
}

func TestEnvironmentRepository(t *testing.T) {
	b := rig.New(t)
	id1, pair1 := publishHub(t, b, "1.0.0")
	id2, pair2 := publishHub(t, b, "1.1.0")
	prod := newEnv(t, b, "data8/prod")
	revision := uint64(0)
	b.EachHelm(t, func(t *testing.T, h *rig.Helm) {
		pin(t, h.Bench, prod, revision, id1)
		h.Do("repo", "add", "data8-prod", h.Server.URL+"/environments/data8/prod")
		if got := rendered(t, h.Do("template", "data8-prod/jupyterhub")); got != pair1 {
			t.Errorf("rendered %v, pinned %v", got, pair1)
		}

		// After a bump a stale cache gives the old pair, whole.
		pin(t, h.Bench, prod, revision+1, id2)
		if got := rendered(t, h.Do("template", "data8-prod/jupyterhub")); got != pair1 {
			t.Errorf("with a stale cache rendered %v, want the old pair %v", got, pair1)
		}
		h.Do("repo", "update")
		if got := rendered(t, h.Do("template", "data8-prod/jupyterhub")); got != pair2 {
			t.Errorf("after the update rendered %v, pinned %v", got, pair2)
		}
		pin(t, h.Bench, prod, revision+2, id1)
		h.Do("repo", "update")
		if got := rendered(t, h.Do("template", "data8-prod/jupyterhub")); got != pair1 {
			t.Errorf("after going back rendered %v, pinned %v", got, pair1)
		}
		revision += 3

		// A revision's own repository and overlay never change.
		h.Do("repo", "add", "r1", h.Server.URL+"/environments/data8/prod/revisions/1")
		overlay := h.Server.URL + "/environments/data8/prod/revisions/1/values.yaml"
		if got := rendered(t, h.Do("template", "r1/jupyterhub", "-f", overlay)); got != pair1 {
			t.Errorf("revision 1 with its overlay rendered %v, want %v", got, pair1)
		}
	})
}

// Two environments at one chart version with different images share one Helm
// cache: neither may ever render the other's pair.
func TestEnvironmentsShareOneHelmCache(t *testing.T) {
	b := rig.New(t)
	id1, pair1 := publishHub(t, b, "1.0.0")
	base, _ := b.HubImage("1.0.0")
	id2, pair2 := rebuilt(t, b, base)
	pin(t, b, newEnv(t, b, "data8/prod"), 0, id1)
	pin(t, b, newEnv(t, b, "stat20/prod"), 0, id2)
	renders := 1000
	if testing.Short() {
		renders = 100
	}
	b.EachHelm(t, func(t *testing.T, h *rig.Helm) {
		want := map[string]pair{"data8-prod": pair1, "stat20-prod": pair2}
		h.Do("repo", "add", "data8-prod", h.Server.URL+"/environments/data8/prod")
		h.Do("repo", "add", "stat20-prod", h.Server.URL+"/environments/stat20/prod")
		var g errgroup.Group
		g.SetLimit(8)
		for n := range renders / 2 {
			name := []string{"data8-prod", "stat20-prod"}[n%2]
			g.Go(func() error {
				r := h.Try("template", name+"/jupyterhub")
				if !strings.Contains(r.Out, want[name].digest) || strings.Count(r.Out, "sha256:") != 1 {
					return fmt.Errorf("%s: exit %d, want exactly the digest %s in\n%s", name, r.Code, want[name].digest, r.Text())
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
}

// rebuilt binds 1.0.0 to an image built on its own hub image.
func rebuilt(t *testing.T, b *rig.Bench, base registrytest.Image) (ref.BindingID, pair) {
	t.Helper()
	img := registrytest.From(base, "campus extras")
	digest := b.Image("campus/hub", "2024.4.9", img)
	v, err := ref.ParseChartVersion("jupyterhub", "1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	bound, _, err := b.Client.Bind(t.Context(), v, api.BindRequest{Images: map[ref.Role]string{"hub": "quay.io/campus/hub:2024.4.9"}})
	if err != nil {
		t.Fatal(err)
	}
	if bound.Evidence != model.BaseLayers {
		t.Errorf("an image built on the chart's own is bound by %q, want base-layers", bound.Evidence)
	}
	return bound.ID, pair{"1.0.0", digest}
}

// An image that was built on another version's hub image is refused.
func TestWrongBaseIsRefused(t *testing.T) {
	b := rig.New(t)
	publishHub(t, b, "1.0.0")
	publishHub(t, b, "1.1.0")
	old, _ := b.HubImage("1.0.0")
	b.Image("campus/hub", "not-rebuilt", registrytest.From(old, "campus extras"))
	r := b.Ctl(api.ExitGate, "bind", "jupyterhub@1.1.0", "--image", "hub=quay.io/campus/hub:not-rebuilt")
	wants(t, "bind", r.Err, "1.0.0", "1.1.0")
}

// Why people must not put a mutable chart and a mutable overlay side by side:
// a reader that comes between the two reads gets half of each pin. The
// environment's sealed package has no such gap, and neither has a revision.
func TestTheMutableOverlayIsNotAtomic(t *testing.T) {
	b := rig.New(t)
	id1, _ := publishHub(t, b, "1.0.0")
	id2, pair2 := publishHub(t, b, "1.1.0")
	prod := newEnv(t, b, "data8/prod")
	pin(t, b, prod, 0, id1)
	h := b.Helm(3)
	newest := func() string {
		e, err := b.Client.Environment(t.Context(), prod)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s/environments/data8/prod/revisions/%d", b.Server.URL, e.Revision)
	}
	h.Do("pull", "--repo", newest(), "jupyterhub") // the chart of revision 1 …
	pin(t, b, prod, 1, id2)                        // … somebody bumps …
	overlay := filepath.Join(h.Dir, "overlay.yaml")
	if err := os.WriteFile(overlay, get(t, newest()+"/values.yaml"), 0o644); err != nil {
		t.Fatal(err)
	}
	got := rendered(t, h.Do("template", filepath.Join(h.Dir, "jupyterhub-1.0.0.tgz"), "-f", overlay))
	if got != (pair{"1.0.0", pair2.digest}) {
		t.Errorf("rendered %v; this test expects the mixed pair that the documentation warns of", got)
	}
}

func get(t *testing.T, url string) []byte {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v\n%s", url, r.Status, err, body)
	}
	return body
}
