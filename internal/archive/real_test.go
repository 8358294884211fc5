package archive

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
)

// shared returns the directory of real data, or skips.
func shared(t testing.TB) string {
	dir := os.Getenv("CHARTD_SHARED")
	if dir == "" {
		t.Skip("CHARTD_SHARED is not set")
	}
	return filepath.Join(dir, "data")
}

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
		if p.Chart.FileName() != name {
			t.Errorf("%s: read as %s", name, p.Chart)
		}
		_, semverErr := semver.StrictNewVersion(p.Chart.Version())
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
		if os.Getenv("V") != "" {
			t.Logf("%s %+v", name, p.Warnings)
			for _, i := range p.Images {
				t.Logf("  %s %s:%s @%s %s %s over=%v base=%s req=%v %s", i.Role, i.Repository, i.Tag, i.Digest, i.File, i.Path, i.Override, i.Base, i.Required, i.Problem)
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
