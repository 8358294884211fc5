package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/registrytest"
	"chartd.dev/chartd/internal/render/rendertest"
)

const ownPod = "apiVersion: v1\nkind: Pod\nmetadata: {name: own}\nspec:\n  containers:\n  - {name: own, image: \"%\"}\n"

func packed(b *rig.Bench, files map[string]string) string {
	return rendertest.Write(b, rendertest.Package(b, files))
}

// Where the template prints a v before the version, what both Helms render is
// what is bound, and neither the tag nor the appVersion as they stand there.
func TestImageThatOnlyTheTemplateNames(t *testing.T) {
	b := rig.New(t)
	plain := b.Image("example/app", "1.2.3", registrytest.Make("plain"))
	v := b.Image("example/app", "v1.2.3", registrytest.Make("with a v"))
	path := packed(b, map[string]string{
		"Chart.yaml":         "apiVersion: v2\nname: vprefix\nversion: 1.0.0\nappVersion: \"1.2.3\"\n",
		"values.yaml":        "image:\n  repository: quay.io/example/app\n  tag: \"\"\n",
		"templates/pod.yaml": strings.ReplaceAll(ownPod, "%", "{{ .Values.image.repository }}:{{ .Values.image.tag | default (printf \"v%s\" .Chart.AppVersion) }}"),
	})
	b.Ctl(0, "publish", path, "--require-binding")
	c := chartNamed(t, b, "vprefix")
	if len(c.Binding.Images) != 1 || c.Binding.Images[0].Image.Digest.String() != v || v == plain || c.Binding.Evidence != model.ChartValues {
		t.Errorf("bound: %+v", c.Binding)
	}
	b.EachHelm(t, func(t *testing.T, h *rig.Helm) {
		if out := h.Do("template", "x", path); !strings.Contains(out, "image: \"quay.io/example/app:v1.2.3\"") && !strings.Contains(out, "image: quay.io/example/app:v1.2.3") {
			t.Errorf("Helm renders\n%s", out)
		}
	})
}

// Of two different copies of a subchart Helm renders either: a publish refuses
// and names both, also where Helm itself packed them.
func TestSubchartAsDirectoryAndAsPackage(t *testing.T) {
	b := rig.New(t)
	sub := func(tag string) map[string]string {
		return map[string]string{
			"Chart.yaml":         "apiVersion: v2\nname: sub\nversion: 1.0.0\n",
			"values.yaml":        "image: {repository: quay.io/example/app, tag: " + tag + "}\n",
			"templates/pod.yaml": strings.ReplaceAll(ownPod, "%", "{{ .Values.image.repository }}:{{ .Values.image.tag }}"),
		}
	}
	b.EachHelm(t, func(t *testing.T, h *rig.Helm) {
		dir := filepath.Join(h.Dir, "both")
		files := map[string]string{"Chart.yaml": "apiVersion: v2\nname: both\nversion: 1.0.0\ndependencies:\n- {name: sub, version: 1.0.0, repository: \"\"}\n"}
		for name, text := range sub("1.0.0") {
			files["charts/sub/"+name] = text
		}
		files["charts/sub-1.0.0.tgz"] = string(rendertest.Package(t, sub("2.0.0")))
		for name, text := range files {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		h.Do("package", dir, "--destination", h.Dir)
		if out := b.Ctl(8, "publish", filepath.Join(h.Dir, "both-1.0.0.tgz")); !strings.Contains(out.Err, "\"both/charts/sub/Chart.yaml\" is there twice") {
			t.Errorf("publishing Helm's package says %s", out.Err)
		}
		out := b.Ctl(8, "publish", dir)
		if !strings.Contains(out.Err, "charts/sub-1.0.0.tgz") || !strings.Contains(out.Err, "charts/sub/") || !strings.Contains(out.Err, "remove one of them") {
			t.Errorf("publishing the directory says %s", out.Err)
		}
	})
	for c, err := range b.Client.AllCharts(t.Context(), client.ChartQuery{}) {
		t.Errorf("published all the same: %+v, %v", c, err)
	}
}

func chartNamed(t *testing.T, b *rig.Bench, name string) (out api.Chart) {
	t.Helper()
	for c, err := range b.Client.AllCharts(t.Context(), client.ChartQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("there is no chart %s", name)
	return out
}
