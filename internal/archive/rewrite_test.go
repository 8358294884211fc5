package archive

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/ref"
	"helm.sh/helm/v3/pkg/chart/loader"
)

// sealing is a plan and what it makes of a wrapper with a nested package.
func sealing(t *testing.T) (original []byte, plan Plan, allowed Allowed) {
	t.Helper()
	hub, err := ref.ParseRepository("quay.io/jupyterhub/k8s-hub")
	if err != nil {
		t.Fatal(err)
	}
	image := SealImage{hub, "3.3.7", ref.DigestOf([]byte("image"))}
	plan = Plan{
		Edits: []Edit{
			{"charts/jupyterhub-3.3.7.tgz!values.yaml", []string{"hub", "image", "tag"}, "3.3.7@" + image.Digest.String()},
			{"values.yaml", []string{"jupyterhub", "singleuser", "image", "tag"}, "3.3.7@" + image.Digest.String()},
			{"values.yaml", []string{"jupyterhub", "hub", "image", "name"}, "quay.io/jupyterhub/k8s-hub"},
			{"Chart.yaml", []string{"version"}, "1.0.0+b.0123456789ab"},
		},
		Files: []File{
			{"templates/chartd-guard-hub.yaml", []byte("{{- /* top */ -}}")},
			{"charts/jupyterhub-3.3.7.tgz!templates/" + strings.Repeat("long-", 30) + ".yaml", []byte("{{- /* nested */ -}}")},
		},
	}
	return wrap(t, false, "a: 1\n"), plan, Allowed{[]SealImage{image}, plan.Files, "1.0.0+b.0123456789ab"}
}

// A plan's changes are made, Helm reads the result, and Compare tells each of
// them from the two packages alone.
func TestRewrite(t *testing.T) {
	original, plan, allowed := sealing(t)
	out, err := Rewrite(original, plan, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := Rewrite(original, plan, Options{}); !bytes.Equal(again, out) {
		t.Error("rewritten twice, other bytes")
	}
	d, err := Compare(original, out, allowed, Options{})
	if err != nil || len(d.Splices) != len(plan.Edits) || len(d.Added) != len(plan.Files) {
		t.Errorf("%+v, %v", d, err)
	}
	if p, err := Read(out, Options{}); err != nil || p.Chart.Version() != "1.0.0+b.0123456789ab" {
		t.Errorf("%v, %v", p, err)
	}
	c, err := loader.LoadArchive(bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	if name := c.Values["jupyterhub"].(map[string]any)["hub"].(map[string]any)["image"].(map[string]any)["name"]; name != "quay.io/jupyterhub/k8s-hub" {
		t.Errorf("Helm reads the name %v", name)
	}
	for _, c := range append(c.Dependencies(), c) {
		if len(c.Templates) == 0 || !strings.Contains(string(c.Templates[len(c.Templates)-1].Data), "/* ") {
			t.Errorf("%s has the templates %v", c.Name(), c.Templates)
		}
	}
}

func TestRewriteRefuses(t *testing.T) {
	original, plan, _ := sealing(t)
	for name, change := range map[string]func(p *Plan){
		"no such file":         func(p *Plan) { p.Edits[0].File = "charts/other/values.yaml" },
		"no such package":      func(p *Plan) { p.Files[1].Name = "charts/other.tgz!templates/a.yaml" },
		"a file that is there": func(p *Plan) { p.Files[0].Name = "values.yaml" },
		"below a scalar":       func(p *Plan) { p.Edits[0].Path = []string{"a", "b"}; p.Edits[0].File = "values.yaml" },
	} {
		p := Plan{append([]Edit{}, plan.Edits...), append([]File{}, plan.Files...)}
		change(&p)
		if _, err := Rewrite(original, p, Options{}); !errors.Is(err, ErrNoSite) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever else a sealed package changes is refused.
func TestCompareRefuses(t *testing.T) {
	original, plan, allowed := sealing(t)
	for name, change := range map[string]func(p *Plan, a *Allowed){
		"another guard":      func(p *Plan, _ *Allowed) { p.Files[0].Data = []byte("{{ fail }}") },
		"no guard":           func(p *Plan, _ *Allowed) { p.Files = p.Files[1:] },
		"one guard more":     func(p *Plan, a *Allowed) { a.Files = a.Files[1:] },
		"another name":       func(p *Plan, _ *Allowed) { p.Files[0].Name = "templates/other.yaml" },
		"another version":    func(_ *Plan, a *Allowed) { a.Version = "1.0.0+b.ffffffffffff" },
		"a version at all":   func(_ *Plan, a *Allowed) { a.Version = "" },
		"another digest":     func(p *Plan, _ *Allowed) { p.Edits[0].Value = "3.3.7@" + ref.DigestOf(nil).String() },
		"another repository": func(p *Plan, _ *Allowed) { p.Edits[2].Value = "quay.io/evil/k8s-hub" },
		"half an element":    func(p *Plan, _ *Allowed) { p.Edits[2].Value = "quay.io/jupyterhub/k8s" },
		"another tag":        func(p *Plan, _ *Allowed) { p.Edits[1].Value = "4.0.0" },
		"any other value":    func(p *Plan, _ *Allowed) { p.Edits = append(p.Edits, Edit{"values.yaml", []string{"a"}, "2"}) },
		"a value more":       func(p *Plan, _ *Allowed) { p.Edits = append(p.Edits, Edit{"values.yaml", []string{"b"}, "2"}) },
	} {
		p, a := Plan{append([]Edit{}, plan.Edits...), append([]File{}, plan.Files...)}, allowed
		change(&p, &a)
		out, err := Rewrite(original, p, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if d, err := Compare(original, out, a, Options{}); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
}

func TestSays(t *testing.T) {
	r, _ := ref.ParseRepository("nginx")
	i := SealImage{r, "1.25", ref.DigestOf([]byte("image"))}
	for text, want := range map[string]bool{
		i.Digest.String(): true, i.Digest.Hex(): true, "1.25@" + i.Digest.String(): true, "v1@" + i.Digest.String(): true, "1.25": true,
		"docker.io": true, "library/nginx": true, "nginx": true, "index.docker.io/library/nginx": true,
		"nginx:1.25@" + i.Digest.String(): true, "docker.io/library/nginx@" + i.Digest.String(): true,
		"": false, "1.26": false, "nginx2": false, "nginx@sha256:0": false, "docker.io/other": false, "evil/nginx@" + i.Digest.String(): false,
	} {
		if i.says(text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}

// A chart without values gets a file for them.
func TestRewriteAddsValues(t *testing.T) {
	_, _, allowed := sealing(t)
	original := with(t, nil)
	edit := Edit{"values.yaml", []string{"hub", "image", "tag"}, "3.3.7@" + allowed.Images[0].Digest.String()}
	out, err := Rewrite(original, Plan{Edits: []Edit{edit}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := Compare(original, out, Allowed{Images: allowed.Images}, Options{})
	if err != nil || len(d.Splices) != 1 || d.Splices[0].Path != "hub.image.tag" {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err := Compare(original, out, Allowed{}, Options{}); !errors.Is(err, ErrRefused) {
		t.Errorf("of no image: %+v, %v", d, err)
	}
}
