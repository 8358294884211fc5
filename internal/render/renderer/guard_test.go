package renderer

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/render"
	"chartd.dev/chartd/internal/render/guard"
	"chartd.dev/chartd/internal/render/manifest"
	"chartd.dev/chartd/internal/render/rendertest"
	"chartd.dev/chartd/internal/testtools"
)

// added is a package with files added, in nested packages too.
func added(t testing.TB, pkg []byte, files map[string]string) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(pkg))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	packed := gzip.NewWriter(&out)
	w := tar.NewWriter(packed)
	root, in := "", tar.NewReader(z)
	put := func(h *tar.Header, data []byte) {
		h.Size, h.Format, h.PAXRecords = int64(len(data)), tar.FormatPAX, nil
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		var name string
		root, name, _ = strings.Cut(h.Name, "/")
		inside := map[string]string{}
		for file, text := range files {
			if rest, ok := strings.CutPrefix(file, name+"!"); ok {
				inside[rest] = text
			}
		}
		if len(inside) > 0 {
			data = added(t, data, inside)
		}
		put(h, data)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !strings.Contains(name, "!") {
			put(&tar.Header{Name: root + "/" + name, Mode: 0o644, Typeflag: tar.TypeReg}, []byte(files[name]))
		}
	}
	if err := errors.Join(w.Close(), packed.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// guarded seals and guards an image of a package. nil where it has no seal
// that passes.
func guarded(t testing.TB, pkg []byte, tr render.Trace, image render.Image, given [][]byte) []byte {
	t.Helper()
	if p, err := seal(t, pkg, image, given); err != nil || !p.OK {
		return nil
	}
	split := manifest.Split(image.Text)
	repository, err := ref.ParseRepository(split.Repository())
	if err != nil {
		t.Fatal(err)
	}
	sealed, _, err := archive.Seal(pkg, map[ref.Role]archive.SealImage{ref.Role(image.Role): {Repository: repository, Tag: split.Tag, Digest: sealDigest}}, archive.Options{Lenient: true})
	if err != nil {
		t.Fatal(err)
	}
	bound := image.Bind(repository.String(), sealDigest.String())
	files := map[string]string{}
	for _, g := range guard.Of(tr, image, bound, "move both with: chartctl bump") {
		files[g.File] = string(guard.Text(g.Image))
	}
	out := added(t, sealed, files)
	p := proofOf(render.Request{Packages: [][]byte{pkg, out}, Values: given, Bound: []render.Bound{bound}}, generous)
	if !p.OK {
		t.Errorf("%s: guarded, the package does not pass: %s", image.Role, proven(p, nil))
	}
	return out
}

// elsewhere is what somebody's values may set a part of an image to.
var elsewhere = map[render.Part]any{
	render.PartTag: "2.99.0", render.PartRepository: "registry.example.com/other/app", render.PartName: "other-app",
	render.PartRegistry: "registry.example.com", render.PartWhole: "registry.example.com/other/app:2.99.0",
}

// refuses checks that values that move a guarded image are refused with a
// sentence that names both. Outside of containers only a tag can be.
func refuses(t testing.TB, name string, pkg []byte, image render.Image, over values) {
	t.Helper()
	s, err := open(pkg, generous)
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.basisOf(over)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	contained := slices.ContainsFunc(image.Places, func(p render.Place) bool { return p.Use == render.Container })
	for _, f := range image.Feeds {
		other, ok := elsewhere[f.Part]
		if len(f.Values) == 0 || !ok || !contained && f.Part != render.PartTag {
			continue
		}
		shown, err := s.show(b, []change{{&candidate{at: f.Values}, other}}, false)
		if err == nil && len(shown.images(image)) > 0 && !slices.ContainsFunc(shown.images(image), func(i string) bool { return !strings.HasSuffix(i, sealDigest.String()) }) {
			continue // a tag that the template leaves out beside a digest
		}
		if err == nil || !strings.Contains(err.Error(), "and this package is bound to") || !strings.Contains(err.Error(), "move both with: chartctl bump") {
			t.Errorf("%s: %s %s=%v is not refused: %v", name, image.Role, strings.Join(f.Values, "."), other, err)
		}
	}
}

// images are what is shown where an image was.
func (s *shown) images(image render.Image) []string {
	var out []string
	for _, p := range image.Places {
		for _, d := range s.docs[p.Template] {
			for _, l := range d.Leaves {
				if d.Kind == p.Kind && slices.Equal(l.Path, p.Path) {
					out = append(out, l.Value)
				}
			}
		}
	}
	return out
}

// A component that is off is no fault, nor is another image in its chart.
func TestGuardLeavesAlone(t *testing.T) {
	pkg := rendertest.Package(t, map[string]string{
		"values.yaml": "hub: {enabled: true, image: {name: quay.io/example/hub, tag: 1.0.0}}\nhelper: quay.io/example/hub-helper:1.0.0\n",
		"templates/hub.yaml": `{{- if .Values.hub.enabled }}
kind: Deployment
metadata: {name: hub}
spec: {template: {spec: {containers: [{name: hub, image: "{{ .Values.hub.image.name }}:{{ .Values.hub.image.tag }}"}, {name: helper, image: "{{ .Values.helper }}"}]}}}
{{- end }}
`})
	tr := traceOf(pkg, nil, generous)
	i := slices.IndexFunc(tr.Images, func(i render.Image) bool { return i.Role == "hub" })
	sealed := guarded(t, pkg, tr, tr.Images[i], nil)
	if sealed == nil {
		t.Fatal("it has no seal")
	}
	refuses(t, "hub", sealed, tr.Images[i], values{over: map[string]any{}})
	for _, over := range []string{"hub: {enabled: false}", "helper: quay.io/example/hub-helper:2.0.0", "helper: busybox",
		"hub: {image: {tag: '2.0.0@" + sealDigest.String() + "'}}"} {
		if _, err := renderOnce(sealed, [][]byte{[]byte(over)}, generous); err != nil {
			t.Errorf("%s: %v", over, err)
		}
	}
}

// Each seal that passes has a guard that passes with it and refuses to have
// the image moved.
func TestGuard(t *testing.T) {
	charts := rendertest.Charts(t, "testdata/charts.txtar")
	n := 0
	for _, name := range slices.Sorted(maps.Keys(charts)) {
		tr := traceOf(charts[name], nil, generous)
		for _, image := range tr.Images {
			if name == "split" { // nothing but the values knows that its parts are an image
				continue
			}
			if image.Role == "" || tr.Attempts[0].Failure != nil {
				continue
			}
			if pkg := guarded(t, charts[name], tr, image, nil); pkg != nil {
				n++
				refuses(t, name, pkg, image, values{over: map[string]any{}})
			}
		}
	}
	if n < 8 {
		t.Errorf("%d images are guarded", n)
	}
}

// Real Helms render a guarded package and refuse to have its image moved.
func TestGuardUnderHelm(t *testing.T) {
	charts := rendertest.Charts(t, "testdata/charts.txtar")
	for _, name := range []string{"bare", "nested", "aliased"} {
		tr := traceOf(charts[name], nil, generous)
		i := slices.IndexFunc(tr.Images, func(i render.Image) bool { return i.Role != "" })
		file := rendertest.Write(t, guarded(t, charts[name], tr, tr.Images[i], nil))
		for _, f := range tr.Images[i].Feeds {
			if f.Part != render.PartRepository {
				continue
			}
			for _, major := range []int{3, 4} {
				helm := testtools.Helm(t, major)
				if out, err := exec.Command(helm, "template", file).CombinedOutput(); err != nil {
					t.Errorf("%s: Helm %d: %v: %s", name, major, err, out)
				}
				out, err := exec.Command(helm, "template", file, "--set", strings.Join(f.Values, ".")+"=registry.example.com/other/app").CombinedOutput()
				if err == nil || !strings.Contains(string(out), "registry.example.com/other/app") || !strings.Contains(string(out), "and this package is bound to "+f.Value) && name != "nested" {
					t.Errorf("%s: Helm %d: %v: %s", name, major, err, out)
				}
			}
		}
	}
}
