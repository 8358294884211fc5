package release

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/testtools"
)

const hubDigest = "sha256:2b7ccdccad55659453d06f4e33cc63cd199ec9ae36417141156b6fbc5f505172"

// dryRun is the release that a real Helm makes of the small hub chart, alone
// or in a wrapper.
func dryRun(t testing.TB, wrapped bool, set ...string) []byte {
	t.Helper()
	root, err := testtools.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	hub := rig.Hub{Version: "1.2.0"}
	chart, err := hub.Write(root, dir)
	if err != nil {
		t.Fatal(err)
	}
	if wrapped {
		pkg, err := hub.Package(root)
		if err != nil {
			t.Fatal(err)
		}
		chart = filepath.Join(dir, "wrapper")
		write(t, filepath.Join(chart, "Chart.yaml"), "apiVersion: v2\nname: wrapper\nversion: 0.1.0\ndependencies:\n- name: jupyterhub\n  version: ~1.2\n  repository: https://charts.example.edu\n")
		write(t, filepath.Join(chart, "Chart.lock"), "dependencies:\n- name: jupyterhub\n  repository: https://charts.example.edu\n  version: 1.2.0\ndigest: sha256:00\ngenerated: \"2024-01-01T00:00:00Z\"\n")
		write(t, filepath.Join(chart, "charts", "jupyterhub-1.2.0.tgz"), string(pkg))
	}
	args := append([]string{"install", "data8-prod", chart, "--namespace", "data8", "--dry-run=client", "-o", "json"}, set...)
	r, err := rig.Run(t.Context(), dir, []string{"HOME=" + dir, "HELM_CACHE_HOME=" + dir, "HELM_CONFIG_HOME=" + dir}, testtools.Helm(t, 4), args...)
	if err != nil || r.Code != 0 {
		t.Fatalf("helm install --dry-run: %v, exit %d\n%s", err, r.Code, r.Text())
	}
	return []byte(r.Out)
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// stored packs a release as Helm's storage driver does, with another status.
func stored(t testing.TB, release []byte, status string, revision int) string {
	t.Helper()
	var r map[string]any
	if err := json.Unmarshal(release, &r); err != nil {
		t.Fatal(err)
	}
	r["info"].(map[string]any)["status"] = status
	r["version"] = revision
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(zip(t, b))
}

func zip(t testing.TB, b []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func secret(value string) string {
	return `{"apiVersion":"v1","kind":"Secret","type":"helm.sh/release.v1","metadata":{"name":"sh.helm.release.v1.data8-prod.v7"},"data":{"release":"` +
		base64.StdEncoding.EncodeToString([]byte(value)) + `"}}`
}

func TestRead(t *testing.T) {
	plain := dryRun(t, false, "--set", "hub.image.tag=1.2.0@"+hubDigest)
	value := stored(t, plain, "deployed", 7)
	old := stored(t, plain, "superseded", 6)
	failed := stored(t, plain, "failed", 8)
	foreign := `{"kind":"Secret","type":"Opaque","data":{"token":"eA=="}}`
	list := `{"kind":"List","items":[` + secret(old) + "," + foreign + "," + secret(failed) + "," + secret(value) + `]}`
	yamlSecret := "apiVersion: v1\nkind: Secret\ntype: helm.sh/release.v1\ndata:\n  release: " + base64.StdEncoding.EncodeToString([]byte(value)) + "\n"
	uncompressed, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		t.Fatal(err)
	}
	for name, form := range map[string]string{
		"secret in JSON": secret(value), "secret in YAML": yamlSecret, "list of secrets": list,
		"value":           value,
		"value of base64": base64.StdEncoding.EncodeToString([]byte(value)), "gzip alone": string(uncompressed),
		"with a line end": value + "\n", "config map": strings.ReplaceAll(`{"kind":"ConfigMap","data":{"release":"V"}}`, "V", value),
	} {
		t.Run(name, func(t *testing.T) {
			all, err := Read([]byte(form))
			if err != nil || len(all) != 1 {
				t.Fatalf("%d releases, %v", len(all), err)
			}
			r := all[0]
			if v, ok := r.VersionOf("jupyterhub"); r.Name != "data8-prod" || r.Namespace != "data8" || r.Revision != 7 || r.Status != "deployed" || !r.Rendered || !ok || v != "1.2.0" {
				t.Errorf("release %+v", r)
			}
			hub := r.Images[0]
			if hub.Object != "Deployment/data8-prod-hub" || hub.Ref.Repository.String() != "quay.io/example/hub" || hub.Ref.Digest.String() != hubDigest {
				t.Errorf("image %+v", hub)
			}
		})
	}
}

// The release itself, as helm status and a dry run print it, and a wrapper,
// whose lock file alone says the version of the chart in it.
func TestReadWrapper(t *testing.T) {
	all, err := Read(dryRun(t, true))
	if err != nil || len(all) != 1 {
		t.Fatalf("%d releases, %v", len(all), err)
	}
	if v, ok := all[0].VersionOf("jupyterhub"); !ok || v != "1.2.0" || all[0].Chart.Name != "wrapper" || len(all[0].Images) == 0 {
		t.Errorf("release %+v", all[0])
	}
}

func TestReadHelmList(t *testing.T) {
	rows := `[{"name":"data8-prod","namespace":"data8","revision":"7","updated":"2024-08-15","status":"deployed","chart":"jupyterhub-3.3.8","app_version":"4.1.6"},
	 {"name":"hub-extras","namespace":"data8","revision":"2","status":"deployed","chart":"jupyterhub-extras-1.0.0"}]`
	all, err := Read([]byte(rows))
	if err != nil || len(all) != 2 || all[0].Rendered || all[0].Revision != 7 || all[0].Status != "deployed" {
		t.Fatalf("%+v, %v", all, err)
	}
	env, _ := ref.ParseEnv("data8/prod")
	if r, err := Pick(all, env, "jupyterhub", ""); err != nil || r.Name != "data8-prod" {
		t.Errorf("picked %q, %v", r.Name, err)
	}
	if _, ok := all[1].VersionOf("jupyterhub"); ok {
		t.Error("jupyterhub-extras-1.0.0 was taken for jupyterhub")
	}
	one := `{"name":"data8-prod","chart":"jupyterhub","version":"3.3.8","namespace":"data8","revision":7,"status":"deployed"}`
	if all, err = Read([]byte(one)); err != nil || all[0].Chart.Version != "3.3.8" || all[0].Revision != 7 {
		t.Errorf("helm get metadata: %+v, %v", all, err)
	}
}

func TestPick(t *testing.T) {
	row := func(name, chart string) Release { return Release{Name: name, Label: chart} }
	env, _ := ref.ParseEnv("data8/prod")
	for _, tt := range []struct {
		name, release string
		all           []Release
		want, err     string
	}{
		{"by the environment's name", "", []Release{row("data8-prod", "jupyterhub-1.0.0"), row("r-prod", "jupyterhub-1.0.0")}, "data8-prod", ""},
		{"by the chart", "", []Release{row("hub", "jupyterhub-1.0.0"), row("ingress", "nginx-1.0.0")}, "hub", ""},
		{"by --release", "hub", []Release{row("hub", "jupyterhub-1.0.0"), row("data8-prod", "jupyterhub-1.0.0")}, "hub", ""},
		{"two that fit", "", []Release{row("a", "jupyterhub-1.0.0"), row("b", "jupyterhub-2.0.0")}, "", "--release"},
		{"none of that name", "x", []Release{row("a", "jupyterhub-1.0.0")}, "", `no release "x"`},
		{"a wrapper in helm list", "", []Release{row("data8-prod", "hub-1.0.0")}, "", "give the release secret"},
	} {
		r, err := Pick(tt.all, env, "jupyterhub", tt.release)
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) || err == nil && r.Name != tt.want {
			t.Errorf("%s: %q, %v", tt.name, r.Name, err)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	bomb := zip(t, bytes.Repeat([]byte("a"), maxUnpacked+1))
	for name, data := range map[string]string{
		"empty": "", "blank": " \n", "words": "hello there", "no base64": "hello", "HTML": "<!doctype html><title>Log in: x</title>",
		"secret without a release": `{"kind":"Secret","data":{"token":"eA=="}}`, "pod": `{"kind":"Pod"}`,
		"list of nothing": `{"kind":"List","items":[]}`, "item no object": `[[]]`, "null": `[null]`,
		"object": `{}`, "no chart": `{"name":"a"}`, "chart a number": `{"name":"a","chart":7}`, "chart without a name": `{"name":"a","chart":{}}`,
		"bomb": string(bomb), "bomb in a secret": secret(base64.StdEncoding.EncodeToString(bomb)),
		"cut off": string(bomb[:100]), "packed thrice": base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte("{}")))))),
		"manifest no YAML": `{"name":"a","chart":{"metadata":{"name":"c","version":"1"}},"manifest":"a: b: c"}`,
		"too large":        strings.Repeat("A", MaxSize+1), "packed list": string(zip(t, []byte("[]"))),
		"nested lists": strings.Repeat(`{"kind":"List","items":[`, 5000) + strings.Repeat("]}", 5000),
		"YAML aliases": "a: &a [x, x, x, x]\nb: &b [*a, *a]\nc: *b\n",
	} {
		if all, err := Read([]byte(data)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %d releases, %v", name, len(all), err)
		}
	}
}

func FuzzRead(f *testing.F) {
	release := []byte(`{"name":"a","namespace":"n","version":7,"info":{"status":"deployed"},"chart":{"metadata":{"name":"jupyterhub","version":"1.0.0","dependencies":[{"name":"d","version":"1.0.0"}]}},"manifest":"kind: Deployment\nmetadata: {name: hub}\nspec:\n  template:\n    spec:\n      containers:\n      - name: hub\n        image: quay.io/a/b:1\n"}`)
	value := base64.StdEncoding.EncodeToString(zip(f, release))
	for _, seed := range []string{string(release), value, secret(value), "kind: Secret\ndata:\n  release: " + value, `[{"name":"a","chart":"jupyterhub-1.0.0","revision":"7"}]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := Read(data)
		if err != nil && !errors.Is(err, ErrFormat) {
			t.Fatalf("error %v is not ErrFormat", err)
		}
		if err == nil && len(all) == 0 {
			t.Fatal("neither a release nor an error")
		}
		for _, r := range all {
			if r.Name == "" || r.Chart.Name == "" && r.Label == "" && r.Chart.Version == "" {
				t.Errorf("release without a name or a chart: %+v", r)
			}
		}
	})
}
