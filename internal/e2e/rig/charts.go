package rig

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Hub says how to make a version of one of the charts of testdata/charts.
type Hub struct {
	Chart   string // directory in testdata/charts; "" is jupyterhub
	Version string
	Tag     string // of the hub image; "" is the version
	Note    string // makes packages of one version differ
	// Packed are packages to place in charts/.
	Packed map[string][]byte
}

// Files returns the chart's files by path, top directory included.
func (h Hub) Files(root string) (map[string][]byte, string, error) {
	if h.Chart == "" {
		h.Chart = "jupyterhub"
	}
	if h.Tag == "" {
		h.Tag = h.Version
	}
	dir := filepath.Join(root, "testdata", "charts", h.Chart)
	files := map[string][]byte{}
	name := h.Chart
	meta, err := os.ReadFile(filepath.Join(dir, "Chart.yaml"))
	if err != nil {
		return nil, "", err
	}
	for line := range strings.Lines(string(meta)) {
		if v, ok := strings.CutPrefix(line, "name: "); ok {
			name = strings.TrimSpace(v)
		}
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		files[name+"/"+filepath.ToSlash(rel)] = data
		return err
	})
	if err != nil {
		return nil, "", err
	}
	files[name+"/Chart.yaml"] = withVersion(files[name+"/Chart.yaml"], h.Version)
	values := strings.Replace(string(files[name+"/values.yaml"]), `tag: "1.0.0"`, fmt.Sprintf("tag: %q", h.Tag), 1)
	files[name+"/values.yaml"] = []byte(values)
	if h.Note != "" {
		files[name+"/NOTE.txt"] = []byte(h.Note + "\n")
	}
	for file, data := range h.Packed {
		files[name+"/charts/"+file] = data
	}
	return files, name, nil
}

func withVersion(chart []byte, version string) []byte {
	lines := strings.SplitAfter(string(chart), "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "version: ") {
			lines[i] = "version: " + version + "\n"
		}
	}
	return []byte(strings.Join(lines, ""))
}

// Package packs the chart into a .tgz.
func (h Hub) Package(root string) ([]byte, error) {
	files, name, err := h.Files(root)
	if err != nil {
		return nil, err
	}
	// Helm reads fastest where Chart.yaml comes first.
	plain, err := tarFiles(files, name+"/Chart.yaml")
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	gz := gzip.NewWriter(&buf)
	if _, err := gz.Write(plain); err != nil {
		return nil, err
	}
	if err := gz.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// tarFiles makes the same archive of the same files every time.
func tarFiles(files map[string][]byte, first string) ([]byte, error) {
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, path := range sortedWithFirst(files, first) {
		data := files[path]
		if err := tw.WriteHeader(&tar.Header{Name: path, Mode: 0o644, Size: int64(len(data)), Typeflag: tar.TypeReg}); err != nil {
			return nil, err
		}
		if _, err := tw.Write(data); err != nil {
			return nil, err
		}
	}
	if err := tw.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

func sortedWithFirst(files map[string][]byte, first string) []string {
	out := slices.Sorted(maps.Keys(files))
	i := slices.Index(out, first)
	return slices.Insert(slices.Delete(out, i, i+1), 0, first)
}

// Write writes the chart as a directory below dir and returns its path.
func (h Hub) Write(root, dir string) (string, error) {
	files, name, err := h.Files(root)
	if err != nil {
		return "", err
	}
	for path, data := range files {
		full := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(full, data, 0o644); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, name), nil
}
