package renderer

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/render"
	"chartd.dev/chartd/internal/render/manifest"
	"chartd.dev/chartd/internal/render/rendertest"
)

var sealDigest = ref.DigestOf([]byte("an image"))

// seal seals one image of a package by its values, as the archive does, and
// proves it.
func seal(t testing.TB, pkg []byte, image render.Image, given [][]byte) (render.Proof, error) {
	t.Helper()
	repository, err := ref.ParseRepository(manifest.Split(image.Text).Repository())
	if err != nil {
		return render.Proof{}, err
	}
	want := archive.SealImage{Repository: repository, Tag: manifest.Split(image.Text).Tag, Digest: sealDigest}
	sealed, _, err := archive.Seal(pkg, map[ref.Role]archive.SealImage{ref.Role(image.Role): want}, archive.Options{Lenient: true})
	if err != nil {
		return render.Proof{}, err
	}
	return proofOf(render.Request{Packages: [][]byte{pkg, sealed}, Values: given,
		Bound: []render.Bound{image.Bind(repository.String(), sealDigest.String())}}, generous), nil
}

// What the proof says of each made chart, sealed image by image as it was
// always done, is written down in proofs.txt.
func TestProve(t *testing.T) {
	charts := rendertest.Charts(t, "testdata/charts.txtar")
	given := map[string][][]byte{"given": {[]byte("name: a"), []byte("name: a\nimage: {tag: other}")}}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(charts)) {
		for _, image := range traceOf(charts[name], given[name], generous).Images {
			if image.Role == "" {
				continue
			}
			p, err := seal(t, charts[name], image, given[name])
			fmt.Fprintf(&b, "%s %s: %s", name, image.Role, proven(p, err))
		}
	}
	golden(t, "testdata/proofs.txt", strings.ReplaceAll(b.String(), sealDigest.Hex(), "DIGEST"))
}

func proven(p render.Proof, err error) string {
	var b strings.Builder
	switch {
	case err != nil:
		return "no seal: " + err.Error() + "\n"
	case p.OK:
		fmt.Fprintf(&b, "sealed, %d pinned, %d copies\n", p.Pinned, p.Copies)
	case p.Failure != nil:
		fmt.Fprintf(&b, "%s\n", p.Failure)
	default:
		b.WriteString("refused\n")
	}
	for _, o := range p.Overridden {
		fmt.Fprintf(&b, "  %s sets the image itself\n", o)
	}
	for _, f := range p.Faults {
		fmt.Fprintf(&b, "  %s: %s\n", f.Place, f.Why)
		if f.From != "" {
			fmt.Fprintf(&b, "    %q becomes %q\n", f.From, f.To)
		}
	}
	return b.String()
}

// Whatever else a sealed package changes is a fault.
func TestProveFaults(t *testing.T) {
	const digest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	files := map[string]string{
		"values.yaml": "image: {repository: quay.io/example/app, tag: 1.0.0}\nother: {image: quay.io/example/other:1.0.0}\nreplicas: 1\n",
		"templates/a.yaml": `kind: Deployment
metadata: {name: a}
spec:
  replicas: {{ .Values.replicas }}
  template:
    spec:
      containers: [{image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"}, {image: "{{ .Values.other.image }}"}]
---
kind: Secret
metadata: {name: s, annotations: {checksum: {{ .Values | toJson | sha256sum }}}}
data: {values: {{ .Values | toYaml | b64enc }}, tag: {{ .Values.image.tag | b64enc }}}
`}
	noTag := maps.Clone(files)
	noTag["templates/a.yaml"] = strings.Replace(files["templates/a.yaml"], ", tag: {{ .Values.image.tag | b64enc }}", "", 1)
	cases := []struct {
		name     string
		files    map[string]string
		from, to string // in values.yaml
		want     string // "" for none
	}{
		{"sealed", noTag, "tag: 1.0.0}", `tag: "1.0.0` + digest + `"}`, ""},
		{"a lone copy of the tag", files, "tag: 1.0.0}", `tag: "1.0.0` + digest + `"}`, "data.tag"},
		{"another repository", noTag, "quay.io/example/app, tag: 1.0.0}", `quay.io/example/evil, tag: "1.0.0` + digest + `"}`, "containers.0.image"},
		{"another digest", noTag, "tag: 1.0.0}", `tag: "1.0.0` + strings.ReplaceAll(digest, "0", "f") + `"}`, "containers.0.image"},
		{"another image too", noTag, "tag: 1.0.0}\nother: {image: quay.io/example/other:1.0.0", `tag: "1.0.0` + digest + "\"}\nother: {image: quay.io/example/other:2.0.0", "containers.1.image"},
		{"replicas too", noTag, "tag: 1.0.0}", `tag: "1.0.0` + digest + "\"}\nreplicas: 2\nnothing: {a: b}", "spec.replicas"},
		{"nothing", noTag, "tag: 1.0.0}", "tag: 1.0.0}", "still shown without its digest"},
		{"does not render", noTag, "tag: 1.0.0}", "tag: [}", "can not be read"},
		{"no such component", noTag, "repository: quay.io/example/app, tag: 1.0.0}", "repository: null}", "containers.0.image"},
	}
	for _, c := range cases {
		original := rendertest.Package(t, c.files)
		sealed := maps.Clone(c.files)
		if sealed["values.yaml"] = strings.Replace(sealed["values.yaml"], c.from, c.to, 1); strings.Contains(c.to, "replicas: 2") {
			sealed["values.yaml"] = strings.Replace(sealed["values.yaml"], "replicas: 1\n", "", 1)
		}
		p := proofOf(render.Request{Packages: [][]byte{original, rendertest.Package(t, sealed)}, Bound: []render.Bound{{
			Role: "main", Repository: "quay.io/example/app", Digest: digest[1:], Feeds: [][]string{{"image", "repository"}, {"image", "tag"}}}}}, generous)
		said := proven(p, nil)
		if p.OK != (c.want == "") || !strings.Contains(said, c.want) {
			t.Errorf("%s: want %q: %s", c.name, c.want, said)
		}
	}
}
