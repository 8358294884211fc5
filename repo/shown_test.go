package repo_test

import (
	"errors"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/repo"
)

// app is a chart with one template, its files below demo/.
func app(t *testing.T, values, image string, more ...string) []byte {
	t.Helper()
	files := map[string]string{
		"demo/Chart.yaml":         "apiVersion: v2\nname: demo\nversion: 1.0.0\nappVersion: \"1.2.3\"\n",
		"demo/values.yaml":        values,
		"demo/templates/pod.yaml": podOf(image),
	}
	for i := 0; i+1 < len(more); i += 2 {
		files["demo/"+more[i]] = more[i+1]
	}
	return pack(t, files)
}

func podOf(image string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata: {name: app}\nspec:\n  containers:\n  - name: app\n    image: \"" + image + "\"\n"
}

const simple = "{{ .Values.image.repository }}:{{ .Values.image.tag }}"

// What is bound is the reference that is rendered, and the evidence says
// whether it was.
func TestBoundIsWhatIsRendered(t *testing.T) {
	for name, tt := range map[string]struct {
		pkg      []byte
		image    string // that is bound; "": none
		evidence model.Evidence
		unbound  string
	}{
		"plain": {
			pkg:   app(t, "image: {repository: quay.io/example/app, tag: 1.0.0}\n", simple),
			image: "quay.io/example/app:1.0.0", evidence: model.ChartValues,
		},
		"an empty tag and a v before appVersion": {
			pkg:   app(t, "image: {repository: quay.io/example/app, tag: \"\"}\n", "{{ .Values.image.repository }}:{{ .Values.image.tag | default (printf \"v%s\" .Chart.AppVersion) }}"),
			image: "quay.io/example/app:v1.2.3", evidence: model.ChartValues,
		},
		"repository and name": {
			pkg:   app(t, "image: {repository: quay.io/example, name: app, tag: 1.0.0}\n", "{{ .Values.image.repository }}/{{ .Values.image.name }}:{{ .Values.image.tag }}"),
			image: "quay.io/example/app:1.0.0", evidence: model.ChartValues,
		},
		"not rendered": {
			pkg:   app(t, "image: {repository: quay.io/example/app, tag: 1.0.0}\n", simple+"{{ fail \"no\" }}"),
			image: "quay.io/example/app:1.0.0", evidence: model.ValuesOnly,
		},
		"rendered by the values in ci": {
			pkg:   app(t, "image: {repository: quay.io/example/app, tag: 1.0.0}\n", simple+"{{ required \"no\" .Values.name }}", "ci/a-values.yaml", "name: \"\"\n", "ci/b-values.yaml", "name: \"-b\"\n"),
			image: "quay.io/example/app:1.0.0-b", evidence: model.ChartValues,
		},
		"off by default": {
			pkg:      app(t, "on: false\nimage: {repository: quay.io/example/app, tag: 1.0.0}\n", "", "templates/pod.yaml", "{{ if .Values.on }}\n"+podOf(simple)+"{{ end }}"),
			evidence: model.NoImages,
		},
		"no image":            {pkg: app(t, "", "", "templates/pod.yaml", "kind: ConfigMap\napiVersion: v1\nmetadata: {name: a}\n"), evidence: model.NoImages},
		"no image, who knows": {pkg: app(t, "", "", "templates/pod.yaml", "{{ fail \"no\" }}"), evidence: model.ValuesOnly},
		"an unquoted number": {
			pkg:     app(t, "image:\n  repository: quay.io/example/app\n  tag: 29111998\n", simple),
			unbound: "the chart renders \"quay.io/example/app:2.9111998e+07\", which is no image reference: quote the tag at image.tag in values.yaml",
		},
		"written in the template": {
			pkg:     app(t, "", "quay.io/example/app:1.0.0"),
			unbound: "images not understood: none of them is the hub's or the chart's main one: seen quay.io/example/app:1.0.0 (in Pod app at spec.containers.0.image); name what it is for with chartctl bind demo@1.0.0 --image ROLE=REFERENCE",
		},
		"neither the hub's nor the main one": {
			pkg:     app(t, "web: {image: {repository: quay.io/example/app, tag: 1.0.0}}\n", "{{ .Values.web.image.repository }}:{{ .Values.web.image.tag }}"),
			unbound: "seen quay.io/example/app:1.0.0 (role web); name what it is for with chartctl bind demo@1.0.0 --image web=quay.io/example/app:1.0.0",
		},
		"named by the annotation": {
			pkg: app(t, "web: {image: {repository: quay.io/example/app, tag: 1.0.0}}\n", "{{ .Values.web.image.repository }}:{{ .Values.web.image.tag }}",
				"Chart.yaml", "apiVersion: v2\nname: demo\nversion: 1.0.0\nannotations:\n  artifacthub.io/images: |\n    - {name: main, image: \"quay.io/example/app:1.0.0\"}\n"),
			image: "quay.io/example/app:1.0.0", evidence: model.ChartValues,
		},
		"written in the template, named by the annotation": {
			pkg: app(t, "", "quay.io/example/app:1.0.0",
				"Chart.yaml", "apiVersion: v2\nname: demo\nversion: 1.0.0\nannotations:\n  artifacthub.io/images: |\n    - {name: main, image: \"quay.io/example/app:1.0.0\"}\n"),
			image: "quay.io/example/app:1.0.0", evidence: model.ChartValues,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t)
			for _, tag := range []string{"1.0.0", "1.0.0-b", "1.2.3", "v1.2.3"} {
				g.registry.push(t, "quay.io/example/app:"+tag, "base", tag)
				g.registry.push(t, "quay.io/example:"+tag, "another", tag)
			}
			out := g.publish(t, tt.pkg)
			if tt.unbound != "" {
				if out.Binding != nil || !strings.Contains(out.Chart.Unbound, tt.unbound) {
					t.Errorf("bound %+v, unbound %q", out.Binding, out.Chart.Unbound)
				}
				_, err := g.Publish(ctx, op("publish"), repo.Upload{Package: tt.pkg, RequireBinding: true})
				if !errors.Is(err, lock.ErrRefused) || !strings.Contains(err.Error(), tt.unbound) {
					t.Errorf("with a binding required: %v", err)
				}
				return
			}
			if out.Binding == nil {
				t.Fatalf("unbound: %s", out.Chart.Unbound)
			}
			got := ""
			for _, i := range out.Binding.Images {
				got += i.Image.Repository.String() + ":" + i.Tag
			}
			if out.Binding.Evidence != tt.evidence || got != tt.image || (out.Binding.Unshown != "") != (tt.evidence == model.ValuesOnly) {
				t.Errorf("bound %q by %s (%q)", got, out.Binding.Evidence, out.Binding.Unshown)
			}
		})
	}
}

// Two aliases of one subchart are two roles, each bound alone.
func TestAliasesAreBoundAlone(t *testing.T) {
	g := newRig(t)
	g.registry.push(t, "quay.io/example/app:1.0.0", "base", "app")
	pkg := pack(t, map[string]string{
		"twice/Chart.yaml":                  "apiVersion: v2\nname: twice\nversion: 1.0.0\ndependencies:\n- {name: sub, version: 1.0.0, alias: blue, repository: \"\"}\n- {name: sub, version: 1.0.0, alias: green, repository: \"\"}\n",
		"twice/charts/sub/Chart.yaml":       "apiVersion: v2\nname: sub\nversion: 1.0.0\n",
		"twice/charts/sub/values.yaml":      "image: {repository: quay.io/example/app, tag: 1.0.0}\n",
		"twice/charts/sub/templates/a.yaml": podOf(simple),
	})
	v := g.publish(t, pkg).Chart
	if !strings.Contains(v.Unbound, "(role blue), quay.io/example/app:1.0.0 (role green)") {
		t.Errorf("unbound: %q", v.Unbound)
	}
	image, err := ref.ParseReference("quay.io/example/app:1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range []ref.Role{"blue", "green"} {
		b, _, err := g.Bind(ctx, op("bind "+string(role)), repo.BindRequest{Chart: v.Chart, Images: map[ref.Role]ref.Reference{role: image}})
		if err != nil || len(b.Images) != 1 || b.Images[0].Role != role || b.Evidence != model.ChartValues {
			t.Errorf("%s: %+v, %v", role, b, err)
		}
	}
}

// Of two copies of a subchart Helm renders either: they are equal, or refused.
func TestSubchartThatIsThereTwice(t *testing.T) {
	files := map[string]string{
		"both/Chart.yaml":                  "apiVersion: v2\nname: both\nversion: 1.0.0\ndependencies:\n- {name: sub, version: 1.0.0, repository: \"\"}\n",
		"both/charts/sub/Chart.yaml":       "apiVersion: v2\nname: sub\nversion: 1.0.0\n",
		"both/charts/sub/values.yaml":      "image: {repository: quay.io/example/app, tag: 1.0.0}\n",
		"both/charts/sub/templates/a.yaml": podOf(simple),
	}
	packed := func(tag string) string {
		return string(pack(t, map[string]string{
			"sub/Chart.yaml":       files["both/charts/sub/Chart.yaml"],
			"sub/values.yaml":      strings.ReplaceAll(files["both/charts/sub/values.yaml"], "tag: 1.0.0", "tag: "+tag),
			"sub/templates/a.yaml": files["both/charts/sub/templates/a.yaml"],
		}))
	}
	g := newRig(t)
	files["both/charts/sub-1.0.0.tgz"] = packed("2.0.0")
	_, err := g.Publish(ctx, op("publish"), repo.Upload{Package: pack(t, files)})
	if !errors.Is(err, archive.ErrRefused) || !strings.Contains(err.Error(), "charts/sub") || !strings.Contains(err.Error(), "charts/sub-1.0.0.tgz") {
		t.Errorf("different copies: %v", err)
	}
	files["both/charts/sub-1.0.0.tgz"] = packed("1.0.0")
	if out := g.publish(t, pack(t, files)); out.Chart.State != model.Listed {
		t.Errorf("equal copies: %+v", out)
	}
}
