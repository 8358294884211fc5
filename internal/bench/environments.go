package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/registrytest"
)

// measureEnvironments reads what a deployment reads of its environment, among
// few versions and among many.
func measureEnvironments(ctx context.Context, b *bench) error {
	const path = "/environments/hub01/prod"
	registry, err := rig.StartRegistry(ctx, b.dir)
	if err != nil {
		return err
	}
	defer registry.Stop()
	if _, err := registrytest.Make("system", "hub").Push(ctx, registry.Addr+"/example/hub:1.0.0"); err != nil {
		return err
	}
	few, err := b.startOnCore(ctx, versions(1_000), registry.Flags()...)
	if err != nil {
		return err
	}
	defer b.stop(few)
	many, err := b.startOnCore(ctx, versions(100_000), registry.Flags()...)
	if err != nil {
		return err
	}
	defer b.stop(many)
	for _, s := range []*rig.Server{few, many} {
		if err := b.pinHub(ctx, s); err != nil {
			return err
		}
	}
	sealed, err := sealedPath(many, path)
	if err != nil {
		return err
	}
	for _, c := range []struct{ what, path string }{
		{"index of one environment", path + "/index.yaml"},
		{"overlay of one environment", path + "/revisions/1/values.yaml"},
		{"sealed package of one environment", sealed},
	} {
		r, made, err := compareReads(ctx, few, many, c.path)
		if err != nil {
			return err
		}
		r.what = c.what + ", 100,000 versions, one core"
		if c.path == sealed {
			r.beside += fmt.Sprintf("; made when it was bound: %d more files after the load", made)
			r.bounds = append(r.bounds, atMost(float64(made), 0, "packages made by reads"))
		}
		b.add(r)
	}
	return nil
}

// compareReads reads a path of both servers in turn, and says how many files the
// reads made at the second.
func compareReads(ctx context.Context, few, many *rig.Server, path string) (r result, made int, err error) {
	before, err := countBlobs(many)
	if err != nil {
		return r, 0, err
	}
	var rates, ratios []float64
	for range 3 {
		f, err := wrk(ctx, few.URL+path, "1")
		if err != nil {
			return r, 0, err
		}
		m, err := wrk(ctx, many.URL+path, "1")
		if err != nil {
			return r, 0, err
		}
		rates, ratios = append(rates, m), append(ratios, m/f)
	}
	after, err := countBlobs(many)
	r.measured = fmt.Sprintf("%.0f/s", median(rates))
	r.beside = fmt.Sprintf("%.2f of the rate with 1,000 versions", median(ratios))
	r.bounds = []bound{atLeast(median(rates), 20_000, "/s"), atLeast(median(ratios), 0.9, "of the rate with 1,000 versions")}
	return r, after - before, err
}

// pinHub publishes a chart whose image the registry has, and pins it: only
// such a one is sealed.
func (b *bench) pinHub(ctx context.Context, s *rig.Server) error {
	c, err := s.Client()
	if err != nil {
		return err
	}
	pkg, err := rig.Hub{Version: "1.0.0"}.Package(b.root)
	if err != nil {
		return err
	}
	out, err := c.Publish(ctx, client.PublishRequest{Package: pkg})
	if err != nil {
		return err
	}
	if out.Chart.Binding == nil {
		return fmt.Errorf("publish jupyterhub@1.0.0: not bound: %s", out.Chart.Unbound)
	}
	env, err := environment(1)
	if err != nil {
		return err
	}
	if _, err := c.CreateEnvironment(ctx, api.CreateEnvironment{Env: env, Chart: "jupyterhub"}); err != nil {
		return err
	}
	_, err = c.Pin(ctx, client.PinCall{Env: env, Pin: api.PinRequest{Binding: out.Chart.Binding.ID, Reason: "bench"}})
	return err
}

// sealedPath is the path of the package that the environment's index names.
func sealedPath(s *rig.Server, path string) (string, error) {
	raw, err := fetch(s.URL+path+"/index.yaml", "identity")
	if err != nil {
		return "", err
	}
	var index struct {
		Entries map[string][]struct {
			URLs []string `json:"urls"`
		} `json:"entries"`
	}
	if err := json.Unmarshal(raw, &index); err != nil {
		return "", err
	}
	for _, e := range index.Entries {
		if len(e) == 1 && len(e[0].URLs) == 1 && strings.Contains(e[0].URLs[0], "sealed") {
			return path + "/" + e[0].URLs[0], nil
		}
	}
	return "", fmt.Errorf("the index of %s names no sealed package: %s", path, raw)
}

// countBlobs counts the files that packages are kept in.
func countBlobs(s *rig.Server) (n int, err error) {
	err = filepath.WalkDir(filepath.Join(s.Data, "blobs"), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	return n, err
}
