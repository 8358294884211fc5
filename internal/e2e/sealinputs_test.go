package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/registrytest"
	"chartd.dev/chartd/internal/testtools"
)

// sealInput is a made chart on which a seal was once wrong.
type sealInput struct {
	dir, name string
	images    []string // that the registry has, without quay.io; the first is bound
	rendered  []string // by the sealed package, DIGEST at the end of what is bound; nil: there is none
	why       string   // there is none
}

var sealInputs = []sealInput{
	{dir: "label-tag", name: "label", images: []string{"example/app:1.0.0"}, why: "a label or selector changes"},
	{dir: "semver-tag", name: "semver", images: []string{"example/app:1.0.0"}, why: "does not render"},
	{dir: "v-prefix", name: "vprefix", images: []string{"example/app:v1.2.3"}, rendered: []string{"quay.io/example/app:v1.2.3@DIGEST"}},
	{dir: "repository-and-name", name: "reponame", images: []string{"example/app:1.0.0"}, rendered: []string{"quay.io/example/app:1.0.0@DIGEST"}},
	{dir: "alias-twice", name: "twice", images: []string{"example/hub:1.0.0"}, rendered: []string{"quay.io/example/hub:1.0.0@DIGEST", "quay.io/example/hub:1.0.0"}},
}

// Each made chart on which a seal was once wrong is sealed right, or not at all
// with a reason, as both Helms render it.
func TestSealingInputs(t *testing.T) {
	inputs := testtools.Shared(t, "data", "inputs")
	for _, in := range sealInputs {
		t.Run(in.dir, func(t *testing.T) {
			b := rig.New(t)
			for _, name := range in.images {
				repository, tag, _ := strings.Cut(name, ":")
				b.Image(repository, tag, registrytest.Make("system", name))
			}
			b.Ctl(0, "publish", helmPacked(b, filepath.Join(inputs, in.dir)))
			b.Ctl(0, "env", "create", "x/prod", "--chart", in.name)
			pinned := b.Ctl(0, "bump", "x/prod", "--version", "1.0.0", "--no-files")
			b.EachHelm(t, func(t *testing.T, h *rig.Helm) { in.check(t, h, pinned) })
		})
	}
}

// A subchart that is there twice, and not the same, is refused by name; Helm
// packs both under one name, which is refused as well.
func TestSubchartTwice(t *testing.T) {
	b := rig.New(t)
	dir := filepath.Join(testtools.Shared(t, "data", "inputs"), "dir-and-tgz")
	for pkg, want := range map[string]string{
		dir:                `"charts/sub/" and "charts/sub-1.0.0.tgz" are both sub 1.0.0, and differ`,
		helmPacked(b, dir): `"both/charts/sub/Chart.yaml" is there twice`,
	} {
		if r := b.Ctl(8, "publish", pkg); !strings.Contains(r.Err, want) {
			t.Errorf("%s: %s", pkg, r.Text())
		}
	}
}

func helmPacked(b *rig.Bench, dir string) string {
	h := b.Helm(3)
	out := b.TempDir()
	h.Do("package", dir, "-d", out)
	files, err := filepath.Glob(filepath.Join(out, "*.tgz"))
	if err != nil || len(files) != 1 {
		b.Fatalf("helm package made %v, %v", files, err)
	}
	return files[0]
}

func (in sealInput) check(t *testing.T, h *rig.Helm, pinned rig.Result) {
	url := h.Server.URL + "/environments/x/prod"
	r := h.Try("template", "x", in.name, "--repo", url, "--version", "1.0.0")
	if in.rendered == nil {
		why := h.Ctl(0, "why", "x/prod").Out
		if r.Code == 0 || !strings.Contains(pinned.Text(), in.why) || !strings.Contains(why, in.why) {
			t.Errorf("there is a sealed package, or nobody says why not: exit %d\n%s\n%s", r.Code, pinned.Text(), why)
		}
		return
	}
	if r.Code != 0 {
		t.Fatalf("%s", r.Text())
	}
	e, err := h.Client.Environment(t.Context(), parsedEnv(t, "x/prod"))
	if err != nil || e.Binding == nil || len(e.Binding.Images) != 1 {
		t.Fatalf("%+v, %v", e.Binding, err)
	}
	want := strings.ReplaceAll(strings.Join(in.rendered, " "), "DIGEST", e.Binding.Images[0].Image.Digest.String())
	if got := strings.Join(renderedImages(r.Out), " "); got != want {
		t.Errorf("rendered %s, want %s", got, want)
	}
	o := h.Do("template", "x", in.name, "--repo", url+"/revisions/1", "--version", "1.0.0", "-f", url+"/revisions/1/values.yaml")
	if got := strings.Join(renderedImages(o), " "); got != want {
		t.Errorf("with the revision's values the original renders %s, want %s", got, want)
	}
	in.override(t, h, url)
}

// override lays another tag over the sealed package: the guarded form refuses
// it, and the plain one, which is served where the policy says so, does not.
func (in sealInput) override(t *testing.T, h *rig.Helm, url string) {
	set := "image.tag=2.0.0"
	if in.dir == "alias-twice" {
		set = "blue.hub.image.tag=2.0.0"
	}
	r := h.Try("template", "x", in.name, "--repo", url, "--version", "1.0.0", "--set", set)
	if r.Code == 0 || !strings.Contains(r.Text(), ":2.0.0, and this package is bound to quay.io/example/") {
		t.Errorf("--set %s is not refused: exit %d\n%s", set, r.Code, r.Text())
	}
	if shown := h.Ctl(0, "show", in.name+"@1.0.0", "--seal").Out; !strings.Contains(shown, "chartd-guard-") {
		t.Errorf("show --seal lists no guard:\n%s", shown)
	}
	h.Ctl(0, "env", "set", "x/prod", "--seal", "plain")
	defer h.Ctl(0, "env", "set", "x/prod", "--seal", "guarded")
	if out := h.Do("template", "x", in.name, "--repo", url, "--version", "1.0.0", "--set", set); !strings.Contains(out, ":2.0.0") {
		t.Errorf("plain, --set %s has no effect:\n%s", set, out)
	}
	if why := h.Ctl(0, "why", "x/prod").Out; !strings.Contains(why, "not guarded, by the policy") {
		t.Errorf("why does not say that it is plain:\n%s", why)
	}
}

// Without rendering a package is sealed by convention, and that is said.
func TestSealUnproven(t *testing.T) {
	b := rig.New(t, "--render=off")
	id, want := publishHub(t, b, "1.0.0")
	prod := newEnv(t, b, "data8/prod")
	noted := b.Ctl(0, "gate", "data8/prod", "--version", "1.0.0").Err
	pin(t, b, prod, 0, id)
	for where, said := range map[string]string{
		"gate": noted, "why": b.Ctl(0, "why", "data8/prod").Out, "show": b.Ctl(0, "show", "jupyterhub@1.0.0").Out,
	} {
		if !strings.Contains(said, "not proven by rendering: ") {
			t.Errorf("%s does not say that nothing was proven:\n%s", where, said)
		}
	}
	if said := b.Ctl(0, "status").Out; !strings.Contains(said, "seal not") { // the column is narrow
		t.Errorf("status does not mark it:\n%s", said)
	}
	b.EachHelm(t, func(t *testing.T, h *rig.Helm) {
		if got := rendered(t, h.Do("template", "x", "jupyterhub", "--repo", h.Server.URL+"/environments/data8/prod")); got != want {
			t.Errorf("rendered %v, want %v", got, want)
		}
	})
}

func parsedEnv(t *testing.T, name string) ref.Env {
	t.Helper()
	e, err := ref.ParseEnv(name)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// renderedImages are the images of a rendering, in its order.
func renderedImages(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if image, ok := strings.CutPrefix(strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "- ")), "image: "); ok {
			out = append(out, strings.Trim(image, `"`))
		}
	}
	return out
}
