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
func (b *bench) startOnCore(ctx context.Context, s spec, flags ...string) (*rig.Server, error) {
	data, err := b.data.copyOf(ctx, s)
	if err != nil {
		return nil, err
	}
	return b.serveOnCore(ctx, data, flags...)
}

func (b *bench) serveOnCore(ctx context.Context, data string, flags ...string) (*rig.Server, error) {
	srv, err := rig.Start(ctx, rig.ServerConfig{Binary: b.chartd, Data: data, Args: append([]string{"--log-level", "warn"}, flags...), Env: []string{"GOMAXPROCS=1"}})
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
// same bytes from files, and with a server that does nothing but answer, server
// and load on one core each.
func measureReads(ctx context.Context, b *bench) error {
	data, n, err := b.realData(ctx)
	if err == nil && data == "" {
		n = realIndex
		data, err = b.data.copyOf(ctx, versions(n))
	}
	if err != nil {
		return err
	}
	s, err := b.serveOnCore(ctx, data)
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
	bare, err := startBare(ctx, b.bare, root, "0")
	if err != nil {
		return err
	}
	defer bare.stop()
	servers := []string{s.URL, files.url, bare.url}
	etags, err := indexETags(servers)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		what, path string
		atLeast    float64 // of nginx
		header     func(url string) []string
	}{
		{"304 for a known index", "/index.yaml", 0.75, func(url string) []string { return []string{"If-None-Match: " + etags[url]} }},
		{fmt.Sprintf("ready-compressed index of %s versions", thousands(n)), "/index.yaml", 0.65, func(string) []string { return []string{"Accept-Encoding: gzip"} }},
		{"a package of 45 kB", "/charts/large-1.0.0.tgz", 0.45, func(string) []string { return nil }},
	} {
		rate := map[string][]float64{}
		var ofNginx, ofBare []float64
		for turn := range 3 {
			if err := readInTurn(ctx, servers, c.path, c.header, rate); err != nil {
				return err
			}
			ofNginx = append(ofNginx, rate[s.URL][turn]/rate[files.url][turn])
			ofBare = append(ofBare, rate[s.URL][turn]/rate[bare.url][turn])
		}
		b.add(result{what: c.what + ", one core each", measured: fmt.Sprintf("%.0f/s", median(rate[s.URL])),
			beside: fmt.Sprintf("%.2f of nginx (%.0f/s), %.2f of net/http and mux alone (%.0f/s), the middle of three turns",
				median(ofNginx), median(rate[files.url]), median(ofBare), median(rate[bare.url])),
			bounds: []bound{atLeast(median(ofNginx), c.atLeast, "of nginx")}})
	}
	return nil
}

// readInTurn reads a path from each server, so that all see the same machine.
func readInTurn(ctx context.Context, servers []string, path string, header func(url string) []string, rate map[string][]float64) error {
	for _, url := range servers {
		n, err := wrk(ctx, url+path, "1", header(url)...)
		if err != nil {
			return err
		}
		rate[url] = append(rate[url], n)
	}
	return nil
}

// indexETags asks each server for its index's, which the index is then known by.
func indexETags(servers []string) (map[string]string, error) {
	etags := map[string]string{}
	for _, url := range servers {
		resp, err := http.Head(url + "/index.yaml")
		if err != nil {
			return nil, err
		}
		resp.Body.Close()
		etags[url] = resp.Header.Get("ETag")
		if err := isKnown(url+"/index.yaml", etags[url]); err != nil {
			return nil, err
		}
	}
	return etags, nil
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

// isKnown checks that what is measured as a 304 is one.
func isKnown(url, etag string) error {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept-Encoding", "identity") // as wrk: each encoding has a tag of its own
	req.Header.Set("If-None-Match", etag)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNotModified {
		return fmt.Errorf("GET %s with its own entity tag %s: %s", url, etag, resp.Status)
	}
	return nil
}
