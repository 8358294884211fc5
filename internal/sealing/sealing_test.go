package sealing_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/render"
	"chartd.dev/chartd/internal/render/manifest"
	"chartd.dev/chartd/internal/render/rendertest"
	"chartd.dev/chartd/internal/sealing"
	"chartd.dev/chartd/internal/testtools"
)

var update = flag.Bool("update", false, "write the golden files")

var digest = ref.DigestOf([]byte("an image"))

func pool(t testing.TB) *render.Pool {
	t.Helper()
	p, err := render.New(render.Config{Program: testtools.Chartd(t), Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// bound is an image to seal: what is rendered, or another one.
func bound(t testing.TB, reference string) archive.SealImage {
	t.Helper()
	s := manifest.Split(reference)
	repository, err := ref.ParseRepository(s.Repository())
	if err != nil {
		t.Fatal(err)
	}
	return archive.SealImage{Repository: repository, Tag: s.Tag, Digest: digest}
}

var options = archive.Options{Lenient: true}

// request is one image of a package to seal.
func request(t testing.TB, p *render.Pool, pkg []byte, given [][]byte, images map[ref.Role]archive.SealImage) sealing.Request {
	t.Helper()
	tr, err := p.Trace(t.Context(), "test", pkg, given)
	if err != nil {
		t.Fatal(err)
	}
	return sealing.Request{Key: "test", Package: pkg, Trace: tr, Images: images, Values: given, Options: options}
}

// made seals and checks that the record makes and explains the bytes.
func made(t testing.TB, p *render.Pool, q sealing.Request) sealing.Seal {
	t.Helper()
	s, err := sealing.Make(t.Context(), p.Prove, q)
	if err != nil {
		t.Fatal(err)
	}
	if s.Package == nil {
		return s
	}
	if again, err := s.Record.Remake(q.Package, q.Images, options); err != nil || !bytes.Equal(again, s.Package) {
		t.Errorf("made again it is not the same: %v", err)
	}
	d, err := s.Record.Compare(q.Package, s.Package, slices.Collect(maps.Values(q.Images)), options)
	if err != nil || len(d.Splices) < len(q.Images) || len(d.Added) != len(s.Record.Guards) {
		t.Errorf("%+v, %v", d, err)
	}
	return s
}

func told(s sealing.Seal) string {
	var b strings.Builder
	if s.Package == nil {
		fmt.Fprintf(&b, "no seal: %s\n", s.Reason)
	} else {
		fmt.Fprintf(&b, "sealed, %d pinned, %d copies\n", s.Record.Pinned, s.Record.Copies)
	}
	for _, x := range s.Record.Settings {
		fmt.Fprintf(&b, "  %s %s = %s\n", x.File, strings.Join(x.Path, "."), x.Value)
	}
	for _, g := range s.Record.Guards {
		fmt.Fprintf(&b, "  + %s\n", g.File)
	}
	if s.Record.Unguarded != "" {
		fmt.Fprintf(&b, "  no guard: %s\n", s.Record.Unguarded)
	}
	return strings.ReplaceAll(b.String(), digest.Hex(), "DIGEST")
}

// What becomes of each made chart, image by image, bound to what it shows and
// to another image, is written down in seals.txt.
func TestMake(t *testing.T) {
	charts := rendertest.Charts(t, "../render/renderer/testdata/charts.txtar")
	maps.Copy(charts, rendertest.Charts(t, "testdata/charts.txtar"))
	given := map[string][][]byte{"given": {[]byte("name: a"), []byte("name: a\nimage: {tag: other}")}}
	p := pool(t)
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(charts)) {
		q := request(t, p, charts[name], given[name], nil)
		for _, image := range q.Trace.Images {
			if image.Role == "" {
				continue
			}
			for _, reference := range []string{image.Text, "ghcr.io/campus/other:2.0.0"} {
				q.Images = map[ref.Role]archive.SealImage{ref.Role(image.Role): bound(t, reference)}
				fmt.Fprintf(&b, "%s %s to %s: %s", name, image.Role, reference, told(made(t, p, q)))
			}
		}
	}
	golden(t, "testdata/seals.txt", b.String())
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != got {
		t.Errorf("%s (%v): run with -update and look at the difference; got\n%s", file, err, got)
	}
}

// Several images of a package are sealed together, each in its own way; one
// that has none leaves the package without a seal.
func TestMakeSeveral(t *testing.T) {
	charts := rendertest.Charts(t, "../render/renderer/testdata/charts.txtar")
	p := pool(t)
	q := request(t, p, charts["doubled"], nil, nil)
	q.Images = map[ref.Role]archive.SealImage{"hub": bound(t, "quay.io/example/hub:1.0.0"), "white.hub": bound(t, "quay.io/campus/hub:2.0.0")}
	s := made(t, p, q)
	if s.Package == nil || s.Record.Pinned != 2 || len(s.Record.Guards) != 2 || s.Record.Guards[0].File == s.Record.Guards[1].File {
		t.Errorf("%s", told(s))
	}
	overlay, err := s.Record.Overlay("wrapped")
	if want := "wrapped:\n    red:\n"; err != nil || !strings.HasPrefix(string(overlay), want) {
		t.Errorf("%v: %s", err, overlay)
	}
	q = request(t, p, charts["flat"], nil, nil)
	q.Images = map[ref.Role]archive.SealImage{"web": bound(t, "quay.io/example/web:1.0.0"), "db": bound(t, "quay.io/example/db:9.6.1")}
	if s := made(t, p, q); s.Package != nil || !strings.Contains(s.Reason, "Pod a at spec.containers.1.image") {
		t.Errorf("%s", told(s))
	}
	q.Images = map[ref.Role]archive.SealImage{"other": bound(t, "quay.io/example/web:1.0.0")}
	if s := made(t, p, q); s.Package != nil || !strings.Contains(s.Reason, "role other") {
		t.Errorf("%s", told(s))
	}
}

// Where the time is up before every way was tried, the first one says why.
func TestMakeOutOfTime(t *testing.T) {
	p := pool(t)
	q := request(t, p, rendertest.Charts(t, "../render/renderer/testdata/charts.txtar")["label"], nil, map[ref.Role]archive.SealImage{"main": bound(t, "quay.io/example/app:1.0.0")})
	n := 0
	s, err := sealing.Make(t.Context(), func(ctx context.Context, key string, r render.ProveRequest) (render.Proof, error) {
		if n++; n > 2 {
			return render.Proof{}, context.DeadlineExceeded
		}
		return p.Prove(ctx, key, r)
	}, q)
	if err != nil || s.Package != nil || !strings.Contains(s.Reason, "a label or selector changes") || !strings.Contains(s.Reason, "no time") {
		t.Errorf("%s, %v", s.Reason, err)
	}
}

// Without a trace a package is sealed as it always was, and the record says
// that nothing was rendered.
func TestMakeUnrendered(t *testing.T) {
	pkg := rendertest.Package(t, map[string]string{"values.yaml": "image: {repository: quay.io/example/app, tag: 1.0.0}\n", "templates/a.yaml": `{{ fail "never" }}`})
	p := pool(t)
	q := request(t, p, pkg, nil, map[ref.Role]archive.SealImage{"main": bound(t, "quay.io/example/app:1.0.0")})
	s := made(t, p, q)
	if s.Package == nil || s.Record.Recipe != sealing.Spliced || !strings.Contains(s.Record.Unproven, "never") {
		t.Errorf("%+v", s.Record)
	}
	old, _, err := archive.Seal(pkg, q.Images, options)
	if err != nil || !bytes.Equal(old, s.Package) {
		t.Errorf("it is not what the first recipe makes: %v", err)
	}
	q.Images = map[ref.Role]archive.SealImage{"other": bound(t, "quay.io/example/app:1.0.0")}
	if s := made(t, p, q); s.Package != nil || !strings.Contains(s.Reason, "name no image of role") {
		t.Errorf("%+v", s)
	}
}

// A record of a later recipe is not taken for one that is known.
func TestParse(t *testing.T) {
	for text, want := range map[string]int{"": sealing.Spliced, `{"recipe":1}`: sealing.Spliced, `{"recipe":2}`: sealing.Traced, `{"recipe":3}`: 0, "{": 0} {
		if r, err := sealing.Parse([]byte(text)); (err == nil) != (want > 0) || err == nil && r.Recipe != want {
			t.Errorf("%s: %+v, %v", text, r, err)
		}
	}
}
