package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"chartd.dev/chartd/internal/e2e/rig"
)

// realIndex is the number of versions of the real repository whose index the
// goals speak of: 1.9 MB.
const realIndex = 2_200

// startOnCore binds a server to the first core; the load runs on the second.
func (b *bench) startOnCore(ctx context.Context, s spec) (*rig.Server, error) {
	data, err := b.data.copyOf(ctx, s)
	if err != nil {
		return nil, err
	}
	srv, err := rig.Start(ctx, rig.ServerConfig{Binary: b.chartd, Data: data, Args: []string{"--log-level", "warn"}, Env: []string{"GOMAXPROCS=1"}})
	if err != nil {
		return nil, err
	}
	b.servers = append(b.servers, srv)
	r, err := rig.Run(ctx, "", nil, "taskset", "-a", "-p", "-c", "0", fmt.Sprint(srv.Pid()))
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("taskset: %s", r.Text())
	}
	return srv, err
}

// measureReads compares what Helm and browsers read with nginx serving the
// same bytes from files, server and load on one core each.
func measureReads(ctx context.Context, b *bench) error {
	s, err := b.startOnCore(ctx, spec{Versions: realIndex, Environments: 2})
	if err != nil {
		return err
	}
	defer b.stop(s)
	root := filepath.Join(b.dir, "static")
	if err := fetchFiles(s, root); err != nil {
		return err
	}
	files, err := startNginx(ctx, b.dir, root, "0")
	if err != nil {
		return err
	}
	defer files.stop()
	etags := map[string]string{}
	for _, url := range []string{s.URL, files.url} {
		resp, err := http.Head(url + "/index.yaml")
		if err != nil {
			return err
		}
		resp.Body.Close()
		etags[url] = resp.Header.Get("ETag")
	}
	for _, c := range []struct {
		what, goal, path string
		header           func(url string) []string
	}{
		{"304 for a known index", "≥ 0.75 of nginx", "/index.yaml", func(url string) []string { return []string{"If-None-Match: " + etags[url]} }},
		{"ready-compressed index of 2,200 versions", "≥ 0.65 of nginx", "/index.yaml", func(string) []string { return []string{"Accept-Encoding: gzip"} }},
		{"a package of 45 kB", "≥ 0.45 of nginx", "/charts/large-1.0.0.tgz", func(string) []string { return nil }},
	} {
		ours, theirs := 0.0, 0.0
		// In turn, so that both see the same machine.
		for range 2 {
			a, err := wrk(ctx, s.URL+c.path, "1", c.header(s.URL)...)
			if err != nil {
				return err
			}
			n, err := wrk(ctx, files.url+c.path, "1", c.header(files.url)...)
			if err != nil {
				return err
			}
			ours, theirs = max(ours, a), max(theirs, n)
		}
		b.add(c.what, c.goal, fmt.Sprintf("%.2f of nginx (%.0f/s)", ours/theirs, theirs), "%.0f/s", ours)
	}
	return b.environmentReads(ctx, s)
}

// environmentReads are independent of the number of versions.
func (b *bench) environmentReads(ctx context.Context, small *rig.Server) error {
	large, err := b.startOnCore(ctx, spec{Versions: 100_000, Environments: 2})
	if err != nil {
		return err
	}
	defer b.stop(large)
	for _, c := range []struct{ what, path string }{
		{"index of an environment repository", "/environments/hub00/prod/index.yaml"},
		{"overlay of a revision", "/environments/hub00/prod/revisions/1/values.yaml"},
	} {
		few, err := wrk(ctx, small.URL+c.path, "1")
		if err != nil {
			return err
		}
		many, err := wrk(ctx, large.URL+c.path, "1")
		if err != nil {
			return err
		}
		b.add(c.what+", 100,000 versions", "≥ 20,000/s, whatever their number", fmt.Sprintf("%.2f of the rate at 2,200 versions", many/few), "%.0f/s", many)
	}
	return nil
}

// fetchFiles writes what chartd serves to files, the compressed index beside
// the plain one.
func fetchFiles(s *rig.Server, root string) error {
	p, err := newPublisher(s, "large")
	if err != nil {
		return err
	}
	defer p.Close()
	pkg, err := largePackage()
	if err != nil {
		return err
	}
	if status, _, _, err := p.ask(http.MethodPost, "/api/charts", map[string]string{"Authorization": "Bearer " + s.Token}, pkg); err != nil || status != http.StatusCreated {
		return fmt.Errorf("publish a package of 45 kB: status %d, %v", status, err)
	}
	if err := os.MkdirAll(filepath.Join(root, "charts"), 0o755); err != nil {
		return err
	}
	for _, f := range []struct{ url, file, encoding string }{
		{"/index.yaml", "index.yaml", "identity"},
		{"/index.yaml", "index.yaml.gz", "gzip"},
		{"/charts/large-1.0.0.tgz", "charts/large-1.0.0.tgz", "identity"},
	} {
		body, err := fetch(s.URL+f.url, f.encoding)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(root, f.file), body, 0o644); err != nil {
			return err
		}
	}
	return nil
}
