package config_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/testtools"
)

var update = flag.Bool("update", false, "write the golden files")

// tree is a checkout in memory.
type tree map[string]string

func (r tree) search() config.Search {
	return config.Search{
		Name: "my-hub", Files: slices.Collect(maps.Keys(r)), Server: "https://charts.example.edu",
		Read: func(name string, max int64) ([]byte, error) {
			b, ok := r[name]
			if !ok {
				return nil, fs.ErrNotExist
			}
			if int64(len(b)) > max {
				return nil, fmt.Errorf("the file has %d bytes, and %d are the most", len(b), max)
			}
			return []byte(b), nil
		},
		Known: known("jupyterhub"),
	}
}

// known is a server that has these charts.
func known(charts ...string) func(string) (map[ref.Role]string, bool, error) {
	return func(chart string) (map[ref.Role]string, bool, error) {
		return map[ref.Role]string{"hub": "quay.io/jupyterhub/k8s-hub"}, slices.Contains(charts, chart), nil
	}
}

func treeOf(t testing.TB, dir string) tree {
	out := tree{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		out[filepath.ToSlash(rel)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The proposal for the real repo is complete and right as it is:
//
//   - branches: its workflow runs on pushes to staging and prod, and every hub
//     has config/staging.yaml and config/prod.yaml, so a branch is a stage and
//     the ten directories of deployments/ are the ten hubs;
//   - the set "hub" is what all of them share: the dependency of hub/ on the
//     chart, the custom hub image in hub/values.yaml, and the FROM of the
//     Dockerfile that builds it. Its comment "REMEMBER TO CHANGE BASE IMAGE"
//     names exactly these;
//   - a set for each hub holds its user images in hubploy.yaml; dev has two,
//     and names the second once more in a kubespawner_override;
//   - proxy.chp's tag is no site: no pair names that image, and it has no
//     repository; init containers (alpine/git) have no tag; comments are none.
func TestRealRepo(t *testing.T) {
	repo := treeOf(t, testtools.Shared(t, "data", "deploy-repo"))
	p, err := config.Discover(repo.search())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "deploy-repo.yaml", string(p.Config.Bytes()))
	var b strings.Builder
	for _, e := range p.Evidence {
		fmt.Fprintln(&b, e)
	}
	for _, n := range p.Notes {
		fmt.Fprintln(&b, "note:", n)
	}
	golden(t, "deploy-repo.txt", b.String())
	for _, s := range p.Config.SitesOf(env(t, "dev/prod")) {
		v, err := s.Read([]byte(repo[s.File]))
		if err != nil || v.Text == "" {
			t.Errorf("%s: %v", s, err)
		}
	}
	if g := p.Config.Group(env(t, "data8/prod")); len(g) != 10 || g[0] != env(t, "a11y/prod") {
		t.Errorf("group of data8/prod: %v", g)
	}
	if all := p.Config.Envs(); len(all) != 20 || p.Config.Key(all[0]) != "a11y" {
		t.Errorf("environments: %v", all)
	}
}

// Every site of the real repo moves to another pair by one line, and back to
// the bytes that were there.
func TestRealSites(t *testing.T) {
	repo := treeOf(t, testtools.Shared(t, "data", "deploy-repo"))
	p, err := config.Discover(repo.search())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for name, set := range p.Config.Sites {
		for _, s := range set {
			n++
			doc := []byte(repo[s.File])
			was, err := s.Read(doc)
			if err != nil {
				t.Fatal(err)
			}
			image := func(tag string) site.Named {
				r, err := ref.ParseRepository(was.Repository)
				if err != nil && s.Kind != site.Dependency {
					t.Fatal(err)
				}
				return site.Named{Repository: r, Tag: tag}
			}
			want := func(v, tag string) site.Want {
				images := map[ref.Role]site.Named{s.Role: image(tag)}
				return site.Want{Version: v, Images: images}
			}
			there, err := s.Edit(doc, want("9.9.9", "next"))
			if err != nil {
				t.Fatalf("%s: %s: %v", name, s, err)
			}
			if lines := changedLines(doc, there); lines != 1 {
				t.Errorf("%s: %s: %d lines changed", name, s, lines)
			}
			back, err := s.Edit(there, want(was.Version, was.Tag))
			if err != nil || !bytes.Equal(back, doc) {
				t.Errorf("%s: %s: there and back differs: %v", name, s, err)
			}
		}
	}
	if n != 15 {
		t.Errorf("%d sites", n)
	}
}

func changedLines(a, b []byte) int {
	before, after := bytes.Split(a, []byte("\n")), bytes.Split(b, []byte("\n"))
	if len(before) != len(after) {
		return -1
	}
	n := 0
	for i := range before {
		if !bytes.Equal(before[i], after[i]) {
			n++
		}
	}
	return n
}

func env(t testing.TB, s string) ref.Env {
	t.Helper()
	e, err := ref.ParseEnv(s)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", name, d)
	}
}

const (
	wrapperYAML = "apiVersion: v2\nname: hub\nversion: 0.1.0\ndependencies:\n- name: jupyterhub\n  version: 3.3.7\n  repository: https://jupyterhub.github.io/helm-chart/\n"
	hubImage    = "jupyterhub:\n  hub:\n    image:\n      name: quay.io/me/hub\n      tag: \"1\"\n"
	bareImage   = "hub:\n  image:\n    name: quay.io/me/hub\n    tag: \"1\"\n"
)

func TestLayouts(t *testing.T) {
	for _, c := range []struct {
		name   string
		repo   tree
		change func(*config.Search)
		want   string // of .chartctl.yaml, without its head
		notes  []string
	}{
		{
			name: "one hub with values and a marked script",
			repo: tree{"values.yaml": bareImage, "deploy.sh": "helm upgrade hub jupyterhub/jupyterhub --version 3.3.7 # chartctl: chart.version\n"},
			want: `
sites: # places that move together
  jupyterhub:
    - {kind: marker, file: deploy.sh, path: chart.version}
    - {kind: image, file: values.yaml, path: hub.image, role: hub}

environments:
  my-hub/prod:
    chart: jupyterhub
    sites: [jupyterhub]
`,
			notes: []string{"no file names an environment: this one is called my-hub/prod after the directory"},
		},
		{
			name: "Chart.yaml v2 with a lock file, values for each stage, and an alias",
			repo: tree{
				"hub/Chart.yaml": wrapperYAML + "  alias: jh\n", "hub/Chart.lock": "x", "hub/values.yaml": strings.Replace(hubImage, "jupyterhub", "jh", 1),
				"hub/values-staging.yaml": "jh: {}\n", "hub/values-prod.yaml": "jh: {}\n", "hub/charts/jupyterhub/Chart.yaml": wrapperYAML,
				"hub/templates/x.yaml": "image: {{ x }}",
			},
			want: `
sites: # places that move together
  hub:
    - {kind: dependency, file: hub/Chart.yaml, name: jupyterhub}
    - {kind: image, file: hub/values.yaml, path: jh.hub.image, role: hub}

environments:
  hub/prod:
    chart: jupyterhub
    sites: [hub]
    wrapper: hub
    prefix: jh
  hub/staging:
    chart: jupyterhub
    sites: [hub]
    wrapper: hub
    prefix: jh
`,
		},
		{
			name: "a directory for each environment",
			repo: tree{
				"environments/staging/Chart.yaml": wrapperYAML, "environments/staging/values.yaml": hubImage,
				"environments/prod/Chart.yaml": wrapperYAML, "environments/prod/values.yaml": hubImage,
				"image/Dockerfile": "FROM jupyterhub/k8s-hub:3.3.7\n", "other/Dockerfile": "FROM alpine:3\n",
			},
			want: `
sites: # places that move together
  jupyterhub:
    - {kind: from, file: image/Dockerfile, repository: jupyterhub/k8s-hub, role: hub}
  my-hub-prod:
    - {kind: dependency, file: environments/prod/Chart.yaml, name: jupyterhub}
    - {kind: image, file: environments/prod/values.yaml, path: jupyterhub.hub.image, role: hub}
  my-hub-staging:
    - {kind: dependency, file: environments/staging/Chart.yaml, name: jupyterhub}
    - {kind: image, file: environments/staging/values.yaml, path: jupyterhub.hub.image, role: hub}

environments:
  my-hub/prod:
    chart: jupyterhub
    sites: [jupyterhub, my-hub-prod]
    wrapper: environments/prod
    prefix: jupyterhub
  my-hub/staging:
    chart: jupyterhub
    sites: [jupyterhub, my-hub-staging]
    wrapper: environments/staging
    prefix: jupyterhub
`,
		},
		{
			name: "branches of GitLab, images by stage",
			repo: tree{
				"chart/requirements.yaml": "dependencies: [{name: jupyterhub, version: 3.3.7, repository: https://x}]", "chart/Chart.yaml": "name: chart\nversion: 1.0.0\n",
				"hubs/a/config/staging.yaml": hubImage, "hubs/a/config/prod.yaml": hubImage, "hubs/b/hubploy.yaml": "images: {image_name: quay.io/me/user:1}\n",
				".gitlab-ci.yml": "deploy-staging:\n  only: [staging]\ndeploy-prod:\n  rules:\n    - if: $CI_COMMIT_BRANCH == \"prod\"\n",
			},
			want: `
branches: # branch: stage
  prod: prod
  staging: staging

sites: # places that move together
  a-images:
    - {kind: image, file: hubs/a/config/prod.yaml, path: jupyterhub.hub.image, role: hub}
    - {kind: image, file: hubs/a/config/staging.yaml, path: jupyterhub.hub.image, role: hub}
  b-images:
    - {kind: image-ref, file: hubs/b/hubploy.yaml, path: images.image_name, repository: quay.io/me/user, role: singleuser}
  chart:
    - {kind: dependency, file: chart/requirements.yaml, name: jupyterhub}

environments:
  a:
    chart: jupyterhub
    sites: [chart, a-images]
    wrapper: chart
    prefix: jupyterhub
  b:
    chart: jupyterhub
    sites: [chart, b-images]
    wrapper: chart
    prefix: jupyterhub
`,
		},
		{
			name:   "branches of git alone, one more place of an image",
			change: func(s *config.Search) { s.Branches = []string{"main", "staging", "prod"} },
			repo: tree{
				"hub/Chart.yaml": wrapperYAML, "hub/values.yaml": hubImage,
				"d/x/config/staging.yaml": "jupyterhub: {singleuser: {profileList: [{kubespawner_override: {image: a/b:1}}, {kubespawner_override: {image: a/b:1}}]}}\n",
				"d/x/config/prod.yaml":    "{}", "d/x/config/common.yaml": "jupyterhub: {singleuser: {image: {name: a/c, tag: x}}}\n",
			},
			want: `
branches: # branch: stage
  prod: prod
  staging: staging

sites: # places that move together
  hub:
    - {kind: dependency, file: hub/Chart.yaml, name: jupyterhub}
    - {kind: image, file: hub/values.yaml, path: jupyterhub.hub.image, role: hub}
  x-images:
    - {kind: image, file: d/x/config/common.yaml, path: jupyterhub.singleuser.image, repository: a/c, role: singleuser}
    - {kind: image-ref, file: d/x/config/staging.yaml, path: jupyterhub.singleuser.profileList.*.kubespawner_override.image, repository: a/b, role: singleuser.b, count: 2}

environments:
  x:
    chart: jupyterhub
    sites: [hub, x-images]
    wrapper: hub
    prefix: jupyterhub
`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.repo.search()
			if c.change != nil {
				c.change(&s)
			}
			p, err := config.Discover(s)
			if err != nil {
				t.Fatal(err)
			}
			_, got, _ := strings.Cut(string(p.Config.Bytes()), "flow: pin\n")
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if d := cmp.Diff(c.notes, p.Notes); d != "" {
				t.Errorf("notes (-want +got):\n%s", d)
			}
		})
	}
}

func TestNothing(t *testing.T) {
	two := tree{"a/Chart.yaml": wrapperYAML, "b/Chart.yaml": strings.Replace(wrapperYAML, "name: jupyterhub", "name: binderhub", 1)}
	for name, c := range map[string]struct {
		repo   tree
		change func(*config.Search)
		want   string
	}{
		"no file":          {tree{}, nil, "no file here names chart"},
		"half a pair":      {tree{"config.yaml": bareImage}, nil, "no file names the version of chart"},
		"two charts":       {two, func(s *config.Search) { s.Known = known("jupyterhub", "binderhub") }, "depend on"},
		"an unknown chart": {tree{"Chart.yaml": strings.ReplaceAll(wrapperYAML, "jupyterhub", "other")}, func(s *config.Search) { s.Known = known() }, "--chart NAME"},
	} {
		s := c.repo.search()
		if c.change != nil {
			c.change(&s)
		}
		if p, err := config.Discover(s); !errors.Is(err, config.ErrNothing) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\n%s", name, err, p.Config.Bytes())
		}
	}
	s := two.search()
	s.Chart = "binderhub"
	if p, err := config.Discover(s); err != nil || p.Config.Environments["my-hub/prod"].Wrapper != "b" {
		t.Errorf("--chart: %v %s", err, p.Config.Bytes())
	}
}

// A file over its limit, or one that cannot be read, is passed over with a note.
func TestBounded(t *testing.T) {
	repo := tree{"Chart.yaml": wrapperYAML, "values.yaml": hubImage, "big.yaml": "image: x\n#" + strings.Repeat("x", 5<<20), "bad.yaml": "image: [", "a\nb.yaml": hubImage}
	p, err := config.Discover(repo.search())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`passed over "big.yaml": the file has`, `passed over "bad.yaml": `, `passed over "a\nb.yaml": `} {
		if !slices.ContainsFunc(p.Notes, func(n string) bool { return strings.HasPrefix(n, want) }) {
			t.Errorf("no note %q in %q", want, p.Notes)
		}
	}
	if got := p.Config.Environments["my-hub/prod"]; got.Wrapper != "." || got.Prefix != "jupyterhub" {
		t.Errorf("%+v", got)
	}
}

// Nothing below documentation and examples is an environment or a site.
func TestExamples(t *testing.T) {
	repo := tree{"Chart.yaml": wrapperYAML, "values.yaml": hubImage, "docs/values.yaml": hubImage, "docs/README.md": "x",
		"examples/small/config/prod.yaml": hubImage, "examples/b/Chart.yaml": wrapperYAML}
	p, err := config.Discover(repo.search())
	if err != nil {
		t.Fatal(err)
	}
	want := tree{"Chart.yaml": wrapperYAML, "values.yaml": hubImage}
	q, err := config.Discover(want.search())
	if err != nil || string(p.Config.Bytes()) != string(q.Config.Bytes()) {
		t.Errorf("with examples\n%s\nwithout, %v\n%s", p.Config.Bytes(), err, q.Config.Bytes())
	}
	for _, dir := range []string{"docs/", "examples/"} {
		if n := strings.Count(strings.Join(p.Notes, "\n"), fmt.Sprintf("passed over %q: documentation and examples are not deployed", dir)); n != 1 {
			t.Errorf("%d notes of %s in %q", n, dir, p.Notes)
		}
	}
}

// What stands in a second YAML document is proposed only where Helm is not the
// one who reads it: verify finds fault with the rest.
func TestSecondDocument(t *testing.T) {
	for name, c := range map[string]struct {
		repo tree
		site string
		note string
	}{
		"values of a wrapper": {tree{"Chart.yaml": wrapperYAML, "values.yaml": "a: 1\n---\n" + hubImage}, "",
			"left out jupyterhub.hub.image in values.yaml:"},
		"values": {tree{"values.yaml": "a: 1\n---\n" + bareImage, "x.sh": "v=1.0.0 # chartctl: chart.version\n"}, "",
			"left out hub.image in values.yaml:"},
		"what users get": {tree{"Chart.yaml": wrapperYAML, "values.yaml": "a: 1\n---\njupyterhub: {singleuser: {image: {name: a/b, tag: x}}}\n"}, "",
			"left out jupyterhub.singleuser.image in values.yaml:3: it stands in YAML document 2"},
		"an object of another tool": {tree{"values.yaml": "a: 1\n---\nspec: {values: {hub: {image: {name: a/b, tag: x}}}}\n", "x.sh": "v=1.0.0 # chartctl: chart.version\n"},
			"spec.values.hub.image", ""},
	} {
		p, err := config.Discover(c.repo.search())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var sites []string
		for _, e := range p.Config.Envs() {
			for _, s := range p.Config.SitesOf(e) {
				if s.Kind == site.Image {
					sites = append(sites, s.Path)
				}
			}
		}
		if got := strings.Join(sites, " "); got != c.site {
			t.Errorf("%s: sites %q, want %q", name, got, c.site)
		}
		if told := slices.ContainsFunc(p.Notes, func(n string) bool { return strings.HasPrefix(n, c.note) && c.note != "" }); told != (c.note != "") {
			t.Errorf("%s: no note %q in %q", name, c.note, p.Notes)
		}
	}
	repo := tree{"Chart.yaml": "a: 1\n---\n" + wrapperYAML, "values.yaml": bareImage}
	p, err := config.Discover(repo.search())
	if !errors.Is(err, config.ErrNothing) || !strings.Contains(strings.Join(p.Notes, "\n"), "left out dependencies in Chart.yaml:") {
		t.Errorf("dependencies in a second document: %v, %q", err, p.Notes)
	}
}

// A repo of a hundred thousand files costs a bounded search.
func TestHuge(t *testing.T) {
	repo := tree{"Chart.yaml": wrapperYAML}
	for i := range 50_000 {
		dir := fmt.Sprintf("d%d/h%d/", i%7, i)
		repo[dir+"config/prod.yaml"] = "jupyterhub: {singleuser: {image: {name: a/b, tag: x}}}\n"
		repo[dir+"hubploy.yaml"] = "images: {image_name: a/b:x}\n"
	}
	p, err := config.Discover(repo.search())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(p.Config.Environments); n < 1000 || n > 6000 || len(p.Notes) < 2 || len(p.Notes) > 100 {
		t.Errorf("%d environments, notes %.5q", n, p.Notes)
	}
}

// What a bump would refuse is left out, with the reason.
func TestLeftOut(t *testing.T) {
	repo := tree{
		"hub/Chart.yaml": wrapperYAML, "hub/values.yaml": hubImage + "    x: &x quay.io/me/hub\n", "images/Dockerfile": "FROM jupyterhub/k8s-hub\n",
		"d/x/config/prod.yaml": "jupyterhub: {singleuser: {profileList: [{kubespawner_override: {image: a/b:1}}, {kubespawner_override: {image: a/b:2}}]}}\n",
		"d/x/config/dev.yaml":  "a: &a {name: a/b, tag: x}\njupyterhub:\n  hub: {image: *a}\n",
	}
	p, err := config.Discover(repo.search())
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Config.Environments["x/prod"].Sites; !slices.Equal(got, []string{"hub"}) {
		t.Errorf("sites of x/prod: %v", got)
	}
	for _, want := range []string{
		`left out from in images/Dockerfile from jupyterhub/k8s-hub: images/Dockerfile:1: FROM "jupyterhub/k8s-hub" names neither a tag nor a digest`,
		`left out image-ref in d/x/config/prod.yaml at jupyterhub.singleuser.profileList.*.kubespawner_override.image: d/x/config/prod.yaml:1: says "a/b:2", and line 1 says "a/b:1"`,
	} {
		if !slices.ContainsFunc(p.Notes, func(n string) bool { return strings.HasPrefix(n, want) }) {
			t.Errorf("no note %q in %q", want, p.Notes)
		}
	}
}

// FuzzDiscover: whatever the files hold, every proposed site can be read.
func FuzzDiscover(f *testing.F) {
	f.Add(wrapperYAML, hubImage, "FROM jupyterhub/k8s-hub:1\n", "images: {images: [{name: a/b:1}]}")
	f.Add("dependencies: [{name: jupyterhub, version: 1, alias: a}]", "a: &a {hub: {image: {name: x, tag: y}}}\nb: *a\n", "ARG A=jupyterhub/k8s-hub:1\nFROM $A", "- image: a/b:1\n")
	f.Fuzz(func(t *testing.T, chart, values, docker, hub string) {
		repo := tree{
			"hub/Chart.yaml": chart, "hub/values.yaml": values, "Dockerfile": docker, "a/hubploy.yaml": hub, "a/config/prod.yaml": values,
			".github/workflows/x.yml": hub, "deploy.sh": docker,
		}
		p, err := config.Discover(repo.search())
		if err != nil {
			return
		}
		for _, e := range p.Config.Envs() {
			for _, s := range p.Config.SitesOf(e) {
				if _, err := s.Read([]byte(repo[s.File])); err != nil {
					t.Fatalf("%s: %v", s, err)
				}
			}
		}
	})
}
