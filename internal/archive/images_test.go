package archive

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/ref"
	"github.com/google/go-cmp/cmp"
)

const hubYAML = "hub:\n  image:\n    name: quay.io/jupyterhub/k8s-hub\n    tag: \"3.3.7\"\n"

func hubChart(values string) map[string]string {
	return map[string]string{"Chart.yaml": chartYAML("jupyterhub", "3.3.7") + "appVersion: 4.1.5\n", "values.yaml": values}
}

// wrap is a wrapper chart over a packed jupyterhub, as a package or a
// directory.
func wrap(t *testing.T, asDir bool, values string) []byte {
	files := map[string]string{
		"Chart.yaml":  chartYAML("w", "1.0.0") + "appVersion: 9.9.9\ndependencies:\n- {name: jupyterhub, version: 3.3.7, repository: \"https://x.org\"}\n",
		"values.yaml": values,
	}
	if asDir {
		for name, data := range hubChart(hubYAML) {
			files["charts/jupyterhub/"+name] = data
		}
	} else {
		files["charts/jupyterhub-3.3.7.tgz"] = string(pkgOf(t, "jupyterhub", hubChart(hubYAML)))
	}
	return pkgOf(t, "w", files)
}

func brief(images []Image) (out []string) {
	for _, i := range images {
		s := fmt.Sprintf("%s %s:%s %s %s", i.Role, i.Repository, i.Tag, i.File, i.Path)
		if i.Digest != "" {
			s += " @"
		}
		if i.Override {
			s += " over " + i.Base
		}
		if i.Required {
			s += " required"
		}
		if i.Problem != "" {
			s += " problem"
		}
		out = append(out, s)
	}
	return out
}

func TestImages(t *testing.T) {
	digest := ref.DigestOf([]byte("x")).String()
	for name, c := range map[string]struct {
		data []byte
		want []string
	}{
		"own hub": {pkgOf(t, "jupyterhub", hubChart(hubYAML+"singleuser: {image: {name: a/b, tag: \"1\"}}\nimage: {repository: c/d, tag: e}\n")), []string{
			"hub quay.io/jupyterhub/k8s-hub:3.3.7 values.yaml hub.image required",
			"main docker.io/c/d:e values.yaml image", "singleuser docker.io/a/b:1 values.yaml singleuser.image"}},
		"main": {with(t, map[string]string{"values.yaml": "image: {repository: r/i, tag: 3.10}\nproxy: {chp: {image: {name: a, tag: v1}}}\n"}), []string{
			"main docker.io/r/i:3.10 values.yaml image required", "proxy.chp docker.io/library/a:v1 values.yaml proxy.chp.image"}},
		"neither": {with(t, map[string]string{"values.yaml": "web: {image: {repository: r/i, tag: x}}\nnot: {tag: y}\n"}), []string{
			"web docker.io/r/i:x values.yaml web.image"}},
		"appVersion": {pkgOf(t, "jupyterhub", hubChart("hub: {image: {name: a/b, tag: }}\nx: {image: {name: a/b, tag: \"\"}}\n")), []string{
			"hub docker.io/a/b:4.1.5 values.yaml hub.image required", "x docker.io/a/b:4.1.5 values.yaml x.image"}},
		"no tag at all": {with(t, map[string]string{"values.yaml": "image: {repository: r/i, tag: \"\"}\n"}), []string{
			"main docker.io/r/i: values.yaml image required problem"}},
		"digests": {with(t, map[string]string{"values.yaml": "a: {image: {name: r/i, tag: \"1@" + digest + "\"}}\nb: {image: {registry: q.io, repository: r/i, tag: \"1\", digest: \"" + digest + "\"}}\n"}), []string{
			"a docker.io/r/i:1 values.yaml a.image @", "b q.io/r/i:1 values.yaml b.image @"}},
		"not a repository": {with(t, map[string]string{"values.yaml": "image: {repository: \"R I\", tag: x}\n"}), []string{
			"main R I:x values.yaml image required problem"}},
		"packed alone": {wrap(t, false, "a: 1\n"), []string{
			"hub quay.io/jupyterhub/k8s-hub:3.3.7 charts/jupyterhub-3.3.7.tgz!values.yaml hub.image required"}},
		"directory alone": {wrap(t, true, "a: 1\n"), []string{
			"hub quay.io/jupyterhub/k8s-hub:3.3.7 charts/jupyterhub/values.yaml hub.image required"}},
		"override": {wrap(t, false, "jupyterhub: {hub: {image: {name: my/hub, tag: t}}}\n"), []string{
			"hub docker.io/my/hub:t values.yaml jupyterhub.hub.image over quay.io/jupyterhub/k8s-hub:3.3.7 required"}},
		"override of the tag": {wrap(t, true, "jupyterhub: {hub: {image: {tag: t}}}\n"), []string{
			"hub quay.io/jupyterhub/k8s-hub:t values.yaml jupyterhub.hub.image over quay.io/jupyterhub/k8s-hub:3.3.7 required"}},
		"dependency not packed": {with(t, map[string]string{
			"Chart.yaml":  chartYAML("c", "1.0.0") + "dependencies: [{name: jupyterhub, version: 3.3.7, repository: \"https://x.org\"}]\n",
			"values.yaml": "jupyterhub: {hub: {image: {name: my/hub, tag: t}}}\n"}), []string{
			"hub docker.io/my/hub:t values.yaml jupyterhub.hub.image over  required"}},
		"prefix of no dependency": {with(t, map[string]string{"values.yaml": "jupyterhub: {hub: {image: {name: my/hub, tag: t}}}\n"}), []string{
			"jupyterhub.hub docker.io/my/hub:t values.yaml jupyterhub.hub.image"}},
		"anchors": {with(t, map[string]string{"values.yaml": "x: &x {name: a/b, tag: c}\nimage: *x\ny: {image: {<<: *x, tag: d}}\n"}), []string{
			"main docker.io/a/b:c values.yaml image required", "x docker.io/a/b:c values.yaml x", "y docker.io/a/b:d values.yaml y.image"}},
		"two aliases": {pkgOf(t, "w", map[string]string{
			"Chart.yaml":                  chartYAML("w", "1.0.0") + "dependencies:\n- {name: jupyterhub, version: 3.3.7, alias: one}\n- {name: jupyterhub, version: 3.3.7, alias: two}\n",
			"charts/jupyterhub-3.3.7.tgz": string(pkgOf(t, "jupyterhub", hubChart(hubYAML)))}), []string{
			"hub quay.io/jupyterhub/k8s-hub:3.3.7 charts/jupyterhub-3.3.7.tgz!values.yaml hub.image required",
			"two.hub quay.io/jupyterhub/k8s-hub:3.3.7 charts/jupyterhub-3.3.7.tgz!values.yaml hub.image"}},
	} {
		p, err := Read(c.data, Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := cmp.Diff(c.want, brief(p.Images)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestPlaceholder(t *testing.T) {
	required := pkgOf(t, "jupyterhub", hubChart(strings.ReplaceAll(hubYAML, "3.3.7", placeholder)))
	if _, err := Read(required, Options{}); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), placeholder) {
		t.Errorf("strict: %v", err)
	}
	p, err := Read(required, Options{Lenient: true})
	if err != nil || len(p.Warnings) == 0 || p.Images[0].Problem == "" {
		t.Errorf("lenient: %+v, %v", p, err)
	}
	other := pkgOf(t, "jupyterhub", hubChart(hubYAML+"x: {image: {name: a/b, tag: set-by-chartpress}}\n"))
	if _, err := Read(other, Options{}); err != nil {
		t.Errorf("placeholder in a role that is not required: %v", err)
	}
}

func TestWarnings(t *testing.T) {
	annotation := "annotations:\n  artifacthub.io/images: |\n    - {name: hub, image: \"quay.io/jupyterhub/k8s-hub:%s\"}\n"
	for tag, want := range map[string]int{"3.3.7": 0, "3.3.6": 1} {
		files := hubChart(hubYAML)
		files["Chart.yaml"] += fmt.Sprintf(annotation, tag)
		p, err := Read(pkgOf(t, "jupyterhub", files), Options{})
		if err != nil || len(p.Warnings) != want {
			t.Errorf("annotation with %s: %v, %v", tag, p, err)
		}
	}
	for _, c := range []map[string]string{
		{"Chart.yaml": chartYAML("c", "1.0.0") + "appVersion: 1.10\n"},
		{"values.yaml": "image: {repository: a/b, tag: 3.10}\n"},
	} {
		if p, err := Read(with(t, c), Options{}); err != nil || len(p.Warnings) != 1 {
			t.Errorf("%v: %+v, %v", c, p, err)
		}
	}
}

// A nested chart has the same content as a package and as a directory, and
// other bytes of it are other content.
func TestContentNested(t *testing.T) {
	packed, dir, other := wrap(t, false, "a: 1\n"), wrap(t, true, "a: 1\n"), wrap(t, true, "a: 2\n")
	var got [3]ref.Digest
	for i, data := range [][]byte{packed, dir, other} {
		p, err := Read(data, Options{})
		if err != nil {
			t.Fatal(err)
		}
		got[i] = p.Content
	}
	if got[0] != got[1] || got[1] == got[2] {
		t.Errorf("content digests %v", got)
	}
}

func TestSealSites(t *testing.T) {
	digest := ref.DigestOf([]byte("image"))
	hub, err := ref.ParseRepository("quay.io/jupyterhub/k8s-hub")
	if err != nil {
		t.Fatal(err)
	}
	mine, _ := ref.ParseRepository("docker.io/my/hub")
	old := ref.DigestOf([]byte("old")).String()
	for name, c := range map[string]struct {
		data  []byte
		image SealImage
		want  []string // FILE PATH FROM TO
	}{
		"own": {pkgOf(t, "jupyterhub", hubChart(hubYAML)), SealImage{hub, "3.3.7", digest},
			[]string{`values.yaml hub.image.tag "3.3.7" "3.3.7@DIGEST"`}},
		"other repository": {pkgOf(t, "jupyterhub", hubChart(hubYAML)), SealImage{mine, "t", digest},
			[]string{`values.yaml hub.image.tag "3.3.7" "t@DIGEST"`, "values.yaml hub.image.name quay.io/jupyterhub/k8s-hub docker.io/my/hub"}},
		"short name stays": {pkgOf(t, "jupyterhub", hubChart("hub: {image: {name: my/hub, tag: x}} # c\n")), SealImage{mine, "x", digest},
			[]string{"values.yaml hub.image.tag x x@DIGEST"}},
		"packed": {wrap(t, false, "a: 1\n"), SealImage{hub, "3.3.7", digest},
			[]string{`charts/jupyterhub-3.3.7.tgz!values.yaml hub.image.tag "3.3.7" "3.3.7@DIGEST"`}},
		"directory": {wrap(t, true, "a: 1\n"), SealImage{hub, "3.3.7", digest},
			[]string{`charts/jupyterhub/values.yaml hub.image.tag "3.3.7" "3.3.7@DIGEST"`}},
		"override of the tag, other repository": {wrap(t, false, "jupyterhub: {hub: {image: {tag: t}}}\n"), SealImage{mine, "t", digest},
			[]string{"values.yaml jupyterhub.hub.image.tag t t@DIGEST",
				"charts/jupyterhub-3.3.7.tgz!values.yaml hub.image.name quay.io/jupyterhub/k8s-hub docker.io/my/hub"}},
		"digest key": {pkgOf(t, "jupyterhub", hubChart("hub: {image: {name: my/hub, tag: x, digest: }}\n")), SealImage{mine, "x", digest},
			[]string{"values.yaml hub.image.digest   DIGEST"}},
		"registry key": {pkgOf(t, "jupyterhub", hubChart("hub: {image: {registry: docker.io, repository: a/b, tag: x}}\n")), SealImage{hub, "x", digest},
			[]string{"values.yaml hub.image.tag x x@DIGEST", "values.yaml hub.image.repository a/b jupyterhub/k8s-hub", "values.yaml hub.image.registry docker.io quay.io"}},
		"empty tag": {pkgOf(t, "jupyterhub", hubChart("hub: {image: {name: my/hub, tag: \"\"}}\n")), SealImage{mine, "4.1.5", digest},
			[]string{`values.yaml hub.image.tag "" "4.1.5@DIGEST"`}},
		"digest already there": {pkgOf(t, "jupyterhub", hubChart("hub: {image: {name: my/hub, tag: \"x@"+old+"\"}}\n")), SealImage{mine, "x", digest},
			[]string{`values.yaml hub.image.tag "x@` + old + `" "x@DIGEST"`}},
	} {
		sealed, splices, err := Seal(c.data, map[ref.Role]SealImage{"hub": c.image}, Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, s := range splices {
			got = append(got, fmt.Sprintf("%s %s %s %s", s.File, s.Path, s.From, strings.ReplaceAll(s.To, digest.String(), "DIGEST")))
		}
		if len(got) == len(c.want) { // the order is that of the archive
			for _, w := range c.want {
				if !strings.Contains(strings.Join(got, "\n"), w) {
					t.Errorf("%s: no %q in %q", name, w, got)
				}
			}
		} else {
			t.Errorf("%s: %q", name, got)
		}
		p, err := Read(sealed, Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if i := p.Images[0]; i.Repository != c.image.Repository.String() || i.Tag != c.image.Tag || i.Digest != digest.String() {
			t.Errorf("%s: sealed reads as %+v", name, i)
		}
	}
}

func TestSealRefuses(t *testing.T) {
	digest := ref.DigestOf([]byte("image"))
	r, _ := ref.ParseRepository("my/hub")
	image := SealImage{r, "x", digest}
	// A new package with a doubled key is refused earlier; an imported one is not.
	for name, values := range map[string]string{
		"no image":   "a: 1\n",
		"alias":      "x: &x {name: my/hub, tag: t}\nhub: {image: *x}\n",
		"merged":     "x: &x {name: my/hub, tag: t}\nhub: {image: {<<: *x}}\n",
		"doubled":    "hub:\n  image:\n    name: my/hub\n    tag: a\n    tag: b\n",
		"multi-line": "hub:\n  image:\n    name: my/hub\n    tag: |\n      a\n",
	} {
		_, _, err := Seal(pkgOf(t, "jupyterhub", hubChart(values)), map[ref.Role]SealImage{"hub": image}, Options{Lenient: true})
		if !errors.Is(err, ErrNoSite) || !strings.Contains(err.Error(), "hub") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := Seal(pkgOf(t, "jupyterhub", hubChart(hubYAML)), map[ref.Role]SealImage{"hub": {}}, Options{}); !errors.Is(err, ErrRefused) {
		t.Errorf("an empty image: %v", err)
	}
}

// CompareSeal finds each difference that is not an image's scalar.
func TestCompareSealRefuses(t *testing.T) {
	base := func() map[string]string {
		f := hubChart(hubYAML + "x: 1\n")
		f["templates/a"] = "a"
		f["charts/s.tgz"] = string(pkgOf(t, "s", map[string]string{"Chart.yaml": chartYAML("s", "1.0.0")}))
		return f
	}
	original := pkgOf(t, "jupyterhub", base())
	for name, change := range map[string]func(f map[string]string){
		"template":      func(f map[string]string) { f["templates/a"] = "b" },
		"more files":    func(f map[string]string) { f["templates/b"] = "b" },
		"fewer files":   func(f map[string]string) { delete(f, "templates/a") },
		"other value":   func(f map[string]string) { f["values.yaml"] = hubYAML + "x: 2\n" },
		"comment":       func(f map[string]string) { f["values.yaml"] = hubYAML + "x: 1 # c\n" },
		"more keys":     func(f map[string]string) { f["values.yaml"] = hubYAML + "x: 1\ny: 2\n" },
		"image removed": func(f map[string]string) { f["values.yaml"] = "x: 1\n" },
		"other quotes":  func(f map[string]string) { f["values.yaml"] = strings.ReplaceAll(hubYAML, `"`, "'") + "x: 1\n" },
		"subchart": func(f map[string]string) {
			f["charts/s.tgz"] = string(pkgOf(t, "s", map[string]string{"Chart.yaml": chartYAML("s", "1.0.1")}))
		},
	} {
		f := base()
		change(f)
		if s, err := CompareSeal(original, pkgOf(t, "jupyterhub", f), Options{}); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
	if s, err := CompareSeal(original, original, Options{}); err != nil || len(s) != 0 {
		t.Errorf("with itself: %v, %v", s, err)
	}
	header := bytes.Clone(original)
	header[4] = 1 // the date in the gzip header
	if _, err := CompareSeal(original, header, Options{}); !errors.Is(err, ErrRefused) {
		t.Errorf("gzip header: %v", err)
	}
	if _, err := CompareSeal(original, original[:100], Options{}); !errors.Is(err, ErrMalformed) {
		t.Errorf("truncated: %v", err)
	}
}

// The bytes of a sealed package name it for ever. This test fails when a new
// version of the compressor writes other ones: then the old packages stay
// what they are, and the change must be noted where sealing is documented.
func TestSealGolden(t *testing.T) {
	r, _ := ref.ParseRepository("quay.io/jupyterhub/k8s-hub")
	sealed, _, err := Seal(wrap(t, false, "a: 1\n"), map[ref.Role]SealImage{"hub": {r, "3.3.7", ref.DigestOf([]byte("image"))}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	const want = "sha256:6f6748757986b9107975830fe04c1880b583d9daa1991afc40da7bfc29c73782"
	if got := ref.DigestOf(sealed).String(); got != want {
		t.Errorf("sealed package is %s, want %s", got, want)
	}
}

// A subchart that is there twice is refused where the two differ; an import
// takes it, and binds none of its images.
func TestSubchartTwice(t *testing.T) {
	sub := func(version, tag string) map[string]string {
		return map[string]string{"Chart.yaml": chartYAML("sub", version), "values.yaml": "hub: {image: {name: quay.io/example/hub, tag: " + tag + "}}\n"}
	}
	files := func(packedVersion, packedTag string) map[string]string {
		out := map[string]string{"charts/sub-1.0.0.tgz": string(pkgOf(t, "sub", sub(packedVersion, packedTag)))}
		for name, text := range sub("1.0.0", "a") {
			out["charts/sub/"+name] = text
		}
		return out
	}
	if _, err := Read(with(t, files("1.0.0", "a")), Options{}); err != nil {
		t.Errorf("equal ones: %v", err)
	}
	if _, err := Read(with(t, files("2.0.0", "b")), Options{}); err != nil {
		t.Errorf("two versions: %v", err)
	}
	pkg := with(t, files("1.0.0", "b"))
	_, err := Read(pkg, Options{})
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), `"charts/sub/" and "charts/sub-1.0.0.tgz" are both sub 1.0.0`) {
		t.Errorf("they differ: %v", err)
	}
	p, err := Read(pkg, Options{Lenient: true})
	if err != nil || len(p.Warnings) == 0 || len(p.Images) == 0 || p.Images[0].Problem == "" {
		t.Errorf("imported: %+v, %v", p, err)
	}
}
