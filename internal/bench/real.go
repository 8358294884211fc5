package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"
)

// realData makes a repository whose index says what a real one says, where
// that lies beside the project: a synthetic index packs worse. It returns ""
// where there is none.
func (b *bench) realData(ctx context.Context) (data string, versions int, err error) {
	shared := os.Getenv("CHARTD_SHARED")
	if shared == "" {
		return "", 0, nil
	}
	home, err := os.MkdirTemp(b.dir, "real-")
	if err != nil {
		return "", 0, err
	}
	packages := filepath.Join(home, "packages")
	if versions, err = writeReal(filepath.Join(shared, "data", "charts-upstream-index.yaml"), packages); err != nil {
		return "", 0, err
	}
	data = filepath.Join(home, "data")
	s, err := b.serve(ctx, data)
	if err != nil {
		return "", 0, err
	}
	defer b.leave(s)
	_, err = b.once([]string{"CHARTCTL_SERVER=" + s.URL, "CHARTCTL_TOKEN=" + s.Token}, b.chartctl, "import", packages)
	return data, versions, err
}

// writeReal makes a package of each entry of an index: the entry is its
// Chart.yaml, but for what an index adds.
func writeReal(index, dir string) (n int, err error) {
	text, err := os.ReadFile(index)
	if err != nil {
		return 0, err
	}
	var in struct {
		Entries map[string][]map[string]any `json:"entries"`
	}
	if err := yaml.Unmarshal(text, &in); err != nil {
		return 0, fmt.Errorf("%s: %w", index, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	for name, list := range in.Entries {
		for _, e := range list {
			for _, added := range []string{"urls", "created", "digest"} {
				delete(e, added)
			}
			if e["apiVersion"] == nil {
				e["apiVersion"] = "v1"
			}
			meta, err := json.Marshal(e)
			if err != nil {
				return 0, err
			}
			pkg, err := pack(name, file{"Chart.yaml", meta})
			if err != nil {
				return 0, err
			}
			n++
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%05d.tgz", n)), pkg, 0o644); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}
