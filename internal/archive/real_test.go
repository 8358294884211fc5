// The race detector has nothing to find in a reader without goroutines and
// makes these tests ten times slower; the gate runs them without it.

//go:build !race

package archive

import (
	"bytes"
	"encoding/csv"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/ref"
	"github.com/Masterminds/semver/v3"
	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
)

// real calls f with every real package.
func realCharts(t *testing.T, f func(t *testing.T, name string, data []byte)) {
	files, err := filepath.Glob(filepath.Join(shared(t), "charts", "*.tgz"))
	if err != nil || len(files) < 400 {
		t.Fatalf("found %d packages (%v)", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		f(t, filepath.Base(file), data)
	}
}

func TestRealRead(t *testing.T) {
	strictOnes := 0
	realCharts(t, func(t *testing.T, name string, data []byte) {
		p, err := Read(data, Options{Lenient: true})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		c, err := loader.LoadArchive(bytes.NewReader(data))
		if err != nil {
			t.Errorf("%s: Helm: %v", name, err)
			return
		}
		if p.Chart.Name() != c.Name() || p.Chart.Version() != c.Metadata.Version {
			t.Errorf("%s: we read %s, Helm %s@%s", name, p.Chart, c.Name(), c.Metadata.Version)
		}
		sameMetadata(t, p, c.Metadata)
		samePeek(t, p, data)
		if p.Chart.FileName() != name {
			t.Errorf("%s: read as %s", name, p.Chart)
		}
		_, semverErr := semver.StrictNewVersion(strings.TrimPrefix(p.Chart.Version(), "v"))
		if p.Lenient != (semverErr != nil) {
			t.Errorf("%s: Lenient is %v", name, p.Lenient)
		}
		s, err := Read(data, Options{})
		if semverErr != nil {
			if !errors.Is(err, ErrRefused) {
				t.Errorf("%s: strict: %v", name, err)
			}
			return
		}
		if strictOnes++; err != nil {
			t.Errorf("%s: strict: %v", name, err)
			return
		}
		if s.Content != p.Content || s.Digest != p.Digest {
			t.Errorf("%s: strict and lenient digests differ", name)
		}
	})
	t.Logf("%d packages have a strict version", strictOnes)
}

func TestRealImages(t *testing.T) {
	realCharts(t, func(t *testing.T, name string, data []byte) {
		p, err := Read(data, Options{Lenient: true})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		var req *Image
		for i := range p.Images {
			if p.Images[i].Required {
				req = &p.Images[i]
			}
		}
		if strings.HasPrefix(name, "pebble-") {
			if req != nil && req.Role != "main" {
				t.Errorf("%s: required %+v", name, req)
			}
			return
		}
		if req == nil || req.Role != "hub" || req.Problem != "" || !strings.HasSuffix(req.Repository, "k8s-hub") {
			t.Errorf("%s: required image %+v", name, req)
		}
	})
}

func TestRealResave(t *testing.T) {
	dir := t.TempDir()
	realCharts(t, func(t *testing.T, name string, data []byte) {
		p, err := Read(data, Options{Lenient: true})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		c, err := loader.LoadArchive(bytes.NewReader(data))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		file, err := chartutil.Save(c, dir)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		again, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		q, err := Read(again, Options{Lenient: true})
		if err != nil {
			t.Errorf("%s: re-saved: %v", name, err)
			return
		}
		if p.Content != q.Content {
			t.Errorf("%s: content changed by a re-save", name)
		}
		os.Remove(file)
	})
}

func TestRealSeal(t *testing.T) {
	digest, n := ref.DigestOf([]byte("image")), 0
	realCharts(t, func(t *testing.T, name string, data []byte) {
		o := Options{Lenient: true}
		p, err := Read(data, o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		i := slices.IndexFunc(p.Images, func(i Image) bool { return i.Required })
		if i < 0 {
			return
		}
		img := p.Images[i]
		r, err := ref.ParseRepository(img.Repository)
		if err != nil {
			t.Fatal(err)
		}
		want := map[ref.Role]SealImage{img.Role: {r, img.Tag, digest}}
		sealed, splices, err := Seal(data, want, o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if len(splices) != 1 || splices[0].File != img.File || splices[0].Path != img.Path+".tag" {
			t.Errorf("%s: spliced %+v", name, splices)
		}
		if n++; n%10 != 0 {
			// Determinism is shown on every tenth.
		} else if again, _, _ := Seal(data, want, o); !bytes.Equal(again, sealed) {
			t.Errorf("%s: sealed twice, other bytes", name)
		}
		onlySpliced(t, name, data, sealed, splices[0])
		q, err := Read(sealed, o)
		if err != nil {
			t.Errorf("%s: sealed: %v", name, err)
			return
		}
		if j := q.Images[i]; j.Role != img.Role || j.Tag != img.Tag || j.Digest != digest.String() || j.Problem != "" {
			t.Errorf("%s: sealed image reads as %+v", name, j)
		}
		c, err := loader.LoadArchive(bytes.NewReader(sealed))
		if err != nil {
			t.Errorf("%s: sealed: Helm: %v", name, err)
			return
		}
		values, path := c, "hub.image"
		if img.File != "values.yaml" {
			values = c.Dependencies()[0]
		}
		m, err := chartutil.Values(values.Values).Table(path)
		if err != nil || m["tag"] != img.Tag+"@"+digest.String() {
			t.Errorf("%s: Helm reads %v (%v)", name, m["tag"], err)
		}
	})
}

// onlySpliced compares every entry of both packages with Go's own reader.
func onlySpliced(t *testing.T, name string, a, b []byte, s Splice) {
	t.Helper()
	x, y := entries(t, a), entries(t, b)
	if len(x) != len(y) {
		t.Errorf("%s: %d and %d entries", name, len(x), len(y))
		return
	}
	for i := range x {
		_, rel, _ := strings.Cut(x[i].h.Name, "/")
		if rel == s.File {
			undone := bytes.Replace(y[i].data, []byte(s.To), []byte(s.From), 1)
			if !bytes.Equal(undone, x[i].data) {
				t.Errorf("%s: %s differs in more than the splice", name, rel)
			}
			y[i].data, y[i].h.Size = x[i].data, x[i].h.Size
		}
		if !cmp.Equal(x[i].h, y[i].h) || !bytes.Equal(x[i].data, y[i].data) {
			t.Errorf("%s: entry %s differs", name, x[i].h.Name)
		}
	}
}

func TestRealOverwrites(t *testing.T) {
	dir := filepath.Join(shared(t), "overwrites")
	f, err := os.Open(filepath.Join(dir, "cases.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	same := 0
	for _, row := range rows[1:] {
		var p [2]*Package
		for i := range p {
			data, err := os.ReadFile(filepath.Join(dir, row[1+i]))
			if err != nil {
				t.Fatal(err)
			}
			if p[i], err = Read(data, Options{Lenient: true}); err != nil {
				t.Fatalf("%s: %v", row[1+i], err)
			}
		}
		if p[0].Digest == p[1].Digest || p[0].Chart != p[1].Chart {
			t.Errorf("%s: not an overwrite", row[0])
		}
		want := strings.HasPrefix(row[3], "same content")
		if got := p[0].Content == p[1].Content; got != want {
			t.Errorf("%s: same content is %v, want %v", row[0], got, want)
		} else if got {
			same++
		}
	}
	if same != 6 || len(rows) != 13 {
		t.Errorf("%d of %d cases have the same content, want 6 of 12", same, len(rows)-1)
	}
}

// BenchmarkReal is what a package of a real repository costs: to who reads it,
// and to who only wants to know whose it is and of when.
func BenchmarkReal(b *testing.B) {
	files, err := filepath.Glob(filepath.Join(shared(b), "charts", "*.tgz"))
	if err != nil || len(files) == 0 {
		b.Fatalf("found %d packages (%v)", len(files), err)
	}
	var packages [][]byte
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			b.Fatal(err)
		}
		packages = append(packages, data)
	}
	for name, read := range map[string]func([]byte) error{
		"read": func(data []byte) error { _, err := Read(data, Options{Lenient: true}); return err },
		"peek": func(data []byte) error { _, err := Peek(data, Options{Lenient: true}, true); return ignoreGlance(err) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if err := read(packages[i%len(packages)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// ignoreGlance passes packages of which only Read knows.
func ignoreGlance(err error) error {
	if errors.Is(err, errNoGlance) {
		return nil
	}
	return err
}

// Real charts, unpacked: the same content as helm package, or refused by both.
func TestRealDirectoriesAsHelmPacksThem(t *testing.T) {
	packed, n := 0, 0
	realCharts(t, func(t *testing.T, name string, data []byte) {
		if n++; n%20 != 0 {
			return
		}
		dir := t.TempDir()
		if err := chartutil.Expand(dir, bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		p, err := Read(data, Options{})
		if err != nil {
			return // no version to publish
		}
		if packedAsHelm(t, filepath.Join(dir, p.Chart.Name())) != nil {
			packed++
		}
	})
	if packed < 10 {
		t.Errorf("only %d were packed", packed)
	}
}
