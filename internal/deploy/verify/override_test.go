package verify

import (
	"slices"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/testtools"
)

// lines are the findings, each as "PLACE KIND ENVIRONMENTS".
func lines(v Verdict) []string {
	var out []string
	for _, f := range v.Findings {
		out = append(out, f.Place.String()+" "+f.Kind+" "+strings.Join(f.Envs, ","))
	}
	return out
}

// nest is a mapping with an image below the keys of a dotted path.
func nest(path, image string) string {
	keys := strings.Split(path, ".")
	out := ""
	for i, key := range keys {
		out += strings.Repeat("  ", i) + key + ":\n"
	}
	return out + strings.Repeat("  ", len(keys)) + image + "\n"
}

// Values that are no site and name another image than the locked one are found
// wherever a deployment may take them from, and nowhere else.
func TestVerifyOverrides(t *testing.T) {
	digest := newDeployRepo(t).entry.Images[0].Digest.String()
	const at, both = "jupyterhub.hub.image", "data8/staging,r/staging"
	for name, tt := range map[string]struct {
		file, text string
		want       []string
	}{
		"a hub's stage":        {"deployments/data8/config/staging.yaml", nest(at, "tag: '2026.1'"), []string{"deployments/data8/config/staging.yaml:4 override data8/staging"}},
		"a hub's other stage":  {"deployments/data8/config/prod.yaml", nest(at, "tag: '2026.1'"), nil},
		"a hub":                {"deployments/r/config/common.yaml", nest(at, "tag: '2026.1'"), []string{"deployments/r/config/common.yaml:4 override r/staging"}},
		"another hub":          {"deployments/other/config/staging.yaml", nest(at, "tag: '2026.1'"), nil},
		"the wrapper's":        {"hub/values-extra.yaml", nest(at, "tag: '2026.1'"), []string{"hub/values-extra.yaml:4 override " + both}},
		"the wrapper's stage":  {"hub/values-staging.yaml", nest(at, "tag: '2026.1'"), []string{"hub/values-staging.yaml:4 override " + both}},
		"nobody's":             {"extra.yml", nest(at, "name: quay.io/evil/hub"), []string{"extra.yml:4 override " + both}},
		"an example":           {"docs/values-example.yaml", nest(at, "name: quay.io/evil/hub"), nil},
		"an example below":     {"examples/small/staging.yaml", nest(at, "name: quay.io/evil/hub"), nil},
		"not at the top":       {"hub/docs/values.yaml", nest(at, "name: quay.io/evil/hub"), []string{"hub/docs/values.yaml:4 override " + both}},
		"a digest":             {"extra.yml", nest(at, "tag: '2026.2@"+digestOf("other").String()+"'"), []string{"extra.yml:4 override " + both}},
		"a digest key":         {"extra.yml", nest(at, "digest: "+digestOf("other").String()), []string{"extra.yml:4 override " + both}},
		"the tag alone":        {"extra.yml", nest(at, "tag: '2026.2'"), []string{"extra.yml:4 override " + both}},
		"null":                 {"extra.yml", "jupyterhub:\n  hub: {image: null}\n", []string{"extra.yml:2 override " + both}},
		"one scalar":           {"extra.yml", "jupyterhub:\n  hub: {image: quay.io/evil/hub:1}\n", []string{"extra.yml:2 override " + both}},
		"by a merge key":       {"extra.yml", "x: &x\n  image: {tag: '2026.1'}\njupyterhub: {hub: {<<: *x}}\n", []string{"extra.yml:2 override " + both}},
		"by an alias":          {"extra.yml", "x: &x\n  image: {tag: '2026.1'}\njupyterhub: {hub: *x}\n", []string{"extra.yml:2 override " + both}},
		"hidden by its own":    {"extra.yml", "x: &x\n  image: {tag: '2026.1'}\njupyterhub: {hub: {<<: *x, image: {pullPolicy: Always}}}\n", nil},
		"merged and its own":   {"extra.yml", "jupyterhub:\n  <<: {hub: &x {image: {tag: '2026.1'}}}\n  hub: *x\n", []string{"extra.yml:2 override " + both}},
		"merged into itself":   {"extra.yml", "jupyterhub: &a\n  <<: [*a, *a, *a]\n  x: {hub: {image: {tag: 1}}}\n", nil},
		"the locked image":     {"extra.yml", nest(at, "{name: quay.io/campus/hub, tag: '2026.2@"+digest+"'}"), nil},
		"the locked tag":       {"extra.yml", nest(at, "tag: '2026.2@"+digest+"'"), nil},
		"the locked name":      {"extra.yml", nest(at, "name: quay.io/campus/hub"), nil},
		"the locked digest":    {"extra.yml", nest(at, "{tag: '2026.2', digest: '"+digest+"'}"), nil},
		"another setting":      {"extra.yml", nest(at, "pullPolicy: Always"), nil},
		"another image":        {"extra.yml", nest("jupyterhub.singleuser.image", "tag: '1'"), nil},
		"another key":          {"extra.yml", nest("hub.image", "tag: '2026.1'"), nil},
		"a second document":    {"extra.yml", "a: 1\n---\n" + nest(at, "tag: '2026.1'"), nil}, // Helm does not read it
		"a template":           {"hub/templates/x.yaml", nest(at, "tag: '2026.1'"), nil},
		"a part of a chart":    {"hub/charts/x/values.yaml", nest(at, "tag: '2026.1'"), nil},
		"a workflow":           {".github/workflows/x.yaml", nest(at, "tag: '2026.1'"), nil},
		"another release's":    {"grafana/values.yaml", nest(at, "tag: '2026.1'"), nil},
		"no YAML":              {"extra.txt", nest(at, "tag: '2026.1'"), nil},
		"the user's own image": {"deployments/r/config/common.yaml", nest("jupyterhub.singleuser.extra.image", "{name: a/b, tag: x}"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newDeployRepo(t)
			r.files["deployments/data8/config/staging.yaml"], r.files["deployments/r/config/staging.yaml"] = "", ""
			r.files["grafana/Chart.yaml"] = "name: grafana\nversion: 1.0.0\n"
			r.files[tt.file] = tt.text
			v, err := r.verify(Options{})
			if got := lines(v); err != nil || !slices.Equal(got, tt.want) || len(v.Notes) > 0 {
				t.Errorf("%v\n%v\n%q\nwant %q", err, v.Findings, v.Notes, tt.want)
			}
		})
	}
}

func TestVerifyOverrideLine(t *testing.T) {
	r := newDeployRepo(t)
	r.files["deployments/data8/config/staging.yaml"] = "jupyterhub:\n  hub:\n    image:\n      name: quay.io/evil/hub\n      tag: '2026.1'\n"
	v, err := r.verify(Options{})
	want := "deployments/data8/config/staging.yaml:4: jupyterhub.hub.image says name quay.io/evil/hub, tag 2026.1, locked is quay.io/campus/hub:2026.2@sha256:" +
		r.entry.Images[0].Digest.Hex()[:12] + "…: it is no site, and a deployment that is given this file does not run the locked image. " +
		"Mend: remove it, or name it as a site of the role hub in .chartctl.yaml, so that it moves with the others (data8/staging)"
	if err != nil || len(v.Findings) != 1 || v.Findings[0].String() != want {
		t.Errorf("%v\n%v\nwant\n%s", err, v.Findings, want)
	}
	r.files["deployments/data8/config/staging.yaml"] = "jupyterhub: {hub: {image: [}\n"
	if v, err = r.verify(Options{}); err != nil || len(v.Notes) != 1 || !strings.Contains(v.Notes[0], "could not be searched for another jupyterhub.hub.image") {
		t.Errorf("%v, %q", err, v.Notes)
	}
}

// What an override is found under: the alias of the dependency, or no key at
// all where the chart is deployed by itself.
func TestVerifyOverrideKeys(t *testing.T) {
	r := newDeployRepo(t)
	r.edit("hub/requirements.yaml", "   version: 1.1.0", "   version: 1.1.0\n   alias: jh")
	r.edit("hub/values.yaml", "jupyterhub:", "jh:")
	r.files[".chartctl.yaml"] = strings.ReplaceAll(strings.ReplaceAll(r.files[".chartctl.yaml"], "prefix: jupyterhub", "prefix: jh"), "path: jupyterhub.hub", "path: jh.hub")
	r.files["hub/values-x.yaml"] = nest("jh.hub.image", "tag: '1'") + nest("jupyterhub.hub.image", "tag: '1'")
	if v, err := r.verify(Options{}); err != nil || !slices.Equal(lines(v), []string{"hub/values-x.yaml:4 override data8/staging,r/staging"}) {
		t.Errorf("alias: %v, %v", err, v.Findings)
	}

	r = newDeployRepo(t)
	r.files[".chartctl.yaml"] = "version: 1\nserver: " + source + "\nflow: pin\nsites:\n  hub:\n    - {kind: image, file: values.yaml, path: hub.image, role: hub}\n" +
		"environments:\n  data8/prod: {chart: jupyterhub, sites: [hub], kept: {chart: helm-repository}}\n  data8/staging: {chart: jupyterhub, sites: [hub], kept: {chart: helm-repository}}\n"
	r.files["values.yaml"] = strings.ReplaceAll(strings.TrimPrefix(r.files["hub/values.yaml"], "jupyterhub:\n"), "\n  ", "\n")[2:]
	r.files["data8/values-prod.yaml"] = nest("hub.image", "tag: '1'")
	r.files["data8/values-staging.yaml"] = ""
	for _, name := range []string{"hub/Chart.yaml", "hub/requirements.yaml", "hub/values.yaml"} {
		delete(r.files, name)
	}
	r.lock("data8/prod", "data8/staging")
	if v, err := r.verify(Options{}); err != nil || !slices.Equal(lines(v), []string{"data8/values-prod.yaml:3 override data8/prod"}) {
		t.Errorf("no wrapper: %v, %v", err, v.Findings)
	}
}

// A site of another environment in a file that may be anybody's is that one's.
func TestVerifyOverrideOfAnotherSite(t *testing.T) {
	r := newDeployRepo(t)
	r.files["special.yaml"] = r.files["hub/values.yaml"]
	r.edit(".chartctl.yaml", "  user:\n", "  special:\n    - {kind: image, file: special.yaml, path: jupyterhub.hub.image, role: hub}\n  user:\n")
	r.edit(".chartctl.yaml", "sites: [hub, user]", "sites: [hub, user, special]")
	r.edit("special.yaml", "2026.2", "2026.3")
	if v, err := r.verify(Options{}); err != nil || !slices.Equal(lines(v), []string{"special.yaml:5 pair r/staging"}) {
		t.Errorf("%v, %v", err, v.Findings)
	}
}

// Helm reads the first document of a values file, and JupyterHub the name of an
// image: a site that is right elsewhere is not what runs.
func TestVerifyReadsAsHelm(t *testing.T) {
	r := newDeployRepo(t)
	r.files["hub/values.yaml"] = "a: 1\n---\n" + r.files["hub/values.yaml"]
	v, err := r.verify(Options{})
	if err != nil || !slices.Equal(lines(v), []string{"hub/values.yaml:6 site data8/staging,r/staging"}) || !strings.Contains(v.Findings[0].Message, "stands in YAML document 2, and Helm reads only the first") {
		t.Errorf("second document: %v, %v", err, v.Findings)
	}
	r = newDeployRepo(t)
	r.files["hub/values.yaml"] = "---\n# values\n" + r.files["hub/values.yaml"] + "---\n"
	if v, err := r.verify(Options{}); err != nil || len(v.Findings) > 0 {
		t.Errorf("first document: %v, %v", err, v.Findings)
	}
	r = newDeployRepo(t)
	r.edit("hub/values.yaml", "      name: quay.io/campus/hub\n", "      name: quay.io/evil/hub\n      repository: quay.io/campus/hub\n")
	v, err = r.verify(Options{})
	if err != nil || !slices.Equal(lines(v), []string{"hub/values.yaml:4 site data8/staging,r/staging"}) || !strings.Contains(v.Findings[0].Message, "has the name quay.io/evil/hub and the repository quay.io/campus/hub") {
		t.Errorf("two names: %v, %v", err, v.Findings)
	}
	r.edit("hub/values.yaml", "evil", "campus")
	if v, err := r.verify(Options{}); err != nil || len(v.Findings) > 0 {
		t.Errorf("one name twice: %v, %v", err, v.Findings)
	}
}

// An unpacked chart is compared with what was published, or, offline, by the
// images in its values.
func TestVerifyUnpacked(t *testing.T) {
	files, _, err := rig.Hub{Version: "1.1.0"}.Files(must[string](t)(testtools.Root()))
	if err != nil {
		t.Fatal(err)
	}
	fresh := func() *deployRepo {
		r := newDeployRepo(t)
		for name, b := range files {
			r.files["hub/charts/"+name] = string(b)
		}
		return r
	}
	const values = "hub/charts/jupyterhub/values.yaml"
	published := must[*archive.Package](t)(archive.Read(newDeployRepo(t).pkg, archive.Options{})).Content
	online := Options{Charts: map[string]api.Chart{"jupyterhub@1.1.0": {Content: published}}}
	both := " packed data8/staging,r/staging"
	for name, tt := range map[string]struct {
		change func(r *deployRepo)
		o      Options
		want   []string
		notes  int
	}{
		"as published":          {func(*deployRepo) {}, online, nil, 0},
		"offline":               {func(*deployRepo) {}, Options{}, nil, 1},
		"another image":         {func(r *deployRepo) { r.edit(values, "quay.io/example/hub", "quay.io/evil/hub") }, online, []string{"hub/charts/jupyterhub" + both}, 0},
		"another image offline": {func(r *deployRepo) { r.edit(values, "quay.io/example/hub", "quay.io/evil/hub") }, Options{}, []string{values + both}, 1},
		"another file": {func(r *deployRepo) { r.files["hub/charts/jupyterhub/templates/more.yaml"] = "a: b\n" },
			online, []string{"hub/charts/jupyterhub" + both}, 0},
		"a file that .helmignore names": {func(r *deployRepo) {
			r.files["hub/charts/jupyterhub/.helmignore"] = "templates/more.yaml\n.helmignore\n"
			r.files["hub/charts/jupyterhub/templates/more.yaml"] = "a: b\n"
		}, online, []string{"hub/charts/jupyterhub" + both}, 0},
		"the locked image": {func(r *deployRepo) {
			r.edit(values, "quay.io/example/hub", "quay.io/campus/hub")
			r.edit(values, `tag: "1.1.0"`, "tag: '2026.2@"+r.entry.Images[0].Digest.String()+"'")
		}, Options{}, nil, 1},
		"no image":    {func(r *deployRepo) { r.files[values] = "{}\n" }, Options{}, []string{values + both}, 1},
		"not a chart": {func(r *deployRepo) { r.files[values] = "a: [\n" }, Options{}, []string{"hub/charts/jupyterhub/Chart.yaml" + both}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := fresh()
			tt.change(r)
			v, err := r.verify(tt.o)
			if err != nil || !slices.Equal(lines(v), tt.want) || len(v.Notes) != tt.notes {
				t.Errorf("%v\n%v\n%q\nwant %q", err, v.Findings, v.Notes, tt.want)
			}
		})
	}
}

// Where branches are stages, a file of another stage is another branch's.
func TestVerifyOverridesByBranch(t *testing.T) {
	r := newDeployRepo(t)
	conf := strings.NewReplacer("data8/staging:", "data8:", "r/staging:", "r:", "flow: pin\n", "flow: pin\nbranches:\n  prod: prod\n  staging: staging\n")
	r.files[".chartctl.yaml"] = conf.Replace(r.files[".chartctl.yaml"])
	r.lock("data8", "r")
	for _, stage := range []string{"staging", "prod"} {
		r.files["deployments/data8/config/"+stage+".yaml"] = nest("jupyterhub.hub.image", "tag: '1'")
	}
	stage, _ := ref.ParseEnv("data8/staging")
	for name, tt := range map[string]struct {
		o    Options
		want []string
	}{
		"a stage": {Options{Envs: []ref.Env{stage}}, []string{"deployments/data8/config/staging.yaml:4 override data8/staging"}},
		"any": {Options{Envs: []ref.Env{stage}, AnyStage: true},
			[]string{"deployments/data8/config/prod.yaml:4 override data8", "deployments/data8/config/staging.yaml:4 override data8"}},
	} {
		v, err := r.verify(tt.o)
		if err != nil || !slices.Equal(lines(v), tt.want) {
			t.Errorf("%s: %v\n%v\nwant %q", name, err, v.Findings, tt.want)
		}
	}
}
