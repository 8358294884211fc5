// Package rendertest makes chart packages for tests of rendering, from a map
// or from a txtar archive. Test support only.
package rendertest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// Package packs files into a chart package. A chart without a Chart.yaml gets
// one; a file in charts/ whose name ends with .tgz/NAME is packed apart.
func Package(t testing.TB, files map[string]string) []byte {
	t.Helper()
	files = maps.Clone(files)
	if files["Chart.yaml"] == "" {
		files["Chart.yaml"] = "apiVersion: v2\nname: demo\nversion: 1.0.0\n"
	}
	inner := map[string]map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if pkg, rest, ok := strings.Cut(name, ".tgz/"); ok {
			if inner[pkg+".tgz"] == nil {
				inner[pkg+".tgz"] = map[string]string{}
			}
			inner[pkg+".tgz"][rest] = files[name]
			delete(files, name)
		}
	}
	for name, sub := range inner {
		files[name] = string(Package(t, sub))
	}
	return pack(t, files)
}

func pack(t testing.TB, files map[string]string) []byte {
	t.Helper()
	_, rest, _ := strings.Cut(files["Chart.yaml"], "name: ")
	root, _, _ := strings.Cut(rest, "\n")
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &tar.Header{Name: root + "/" + name, Mode: 0o644, Size: int64(len(files[name])), ModTime: time.Unix(1, 0), Typeflag: tar.TypeReg}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Charts reads a txtar archive in which each chart's files are below a
// directory of the chart's name.
func Charts(t testing.TB, file string) map[string][]byte {
	t.Helper()
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]map[string]string{}
	for _, f := range a.Files {
		chart, name, _ := strings.Cut(f.Name, "/")
		if files[chart] == nil {
			files[chart] = map[string]string{}
		}
		files[chart][name] = string(f.Data)
	}
	out := map[string][]byte{}
	for chart, f := range files {
		out[chart] = Package(t, f)
	}
	return out
}

// Write puts a package into a file of the test's own directory.
func Write(t testing.TB, pkg []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "chart.tgz")
	if err := os.WriteFile(path, pkg, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
