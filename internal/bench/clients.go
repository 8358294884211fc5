package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/testtools"
)

func fetch(url, encoding string) ([]byte, error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", encoding)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return io.ReadAll(resp.Body)
}

// cost is what a command took.
type cost struct {
	wall time.Duration
	peak float64 // MB
}

// command runs a program n times and returns the median time and the highest
// peak of memory.
func command(env []string, n int, name string, args ...string) (cost, error) {
	var all []time.Duration
	c := cost{}
	for range n {
		cmd := exec.Command(name, args...)
		cmd.Env = append(os.Environ(), env...)
		start := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			return c, fmt.Errorf("%s %v: %w: %s", name, args, err, out)
		}
		all = append(all, time.Since(start))
		if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			c.peak = max(c.peak, float64(u.Maxrss)/1024)
		}
	}
	c.wall = median(all)
	return c, nil
}

// measureHelm reads an index of 100,000 versions with Helm, as chartd writes
// it and as YAML.
func measureHelm(ctx context.Context, b *bench) error {
	repo := spec{Versions: 100_000, Environments: 1}
	type both struct{ add, search cost }
	figures := map[string]both{}
	for _, major := range []int{3, 4} {
		helm, err := testtools.BuildHelm(ctx, major)
		if err != nil {
			return err
		}
		for _, format := range []string{"json", "yaml"} {
			s, err := b.start(ctx, repo, "--index-format", format)
			if err != nil {
				return err
			}
			if _, err := fetch(s.URL+"/index.yaml", "identity"); err != nil { // made once, before it is timed
				return err
			}
			home := filepath.Join(b.dir, fmt.Sprintf("helm%d-%s", major, format))
			env := []string{"HOME=" + home, "HELM_CACHE_HOME=" + home + "/cache", "HELM_CONFIG_HOME=" + home + "/config", "HELM_DATA_HOME=" + home + "/data"}
			var f both
			if f.add, err = command(env, 3, helm, "repo", "add", "--force-update", "big", s.URL); err != nil {
				return err
			}
			if f.search, err = command(env, 3, helm, "search", "repo", "big/chart-07", "-o", "json"); err != nil {
				return err
			}
			figures[format] = f
			if format == "json" {
				if err := b.environmentByHelm(ctx, helm, major, env, s); err != nil {
					return err
				}
			}
			b.stop(s)
		}
		for _, c := range []struct {
			what string
			j, y cost
		}{{"repo add", figures["json"].add, figures["yaml"].add}, {"search repo", figures["json"].search, figures["yaml"].search}} {
			b.add(fmt.Sprintf("Helm %d %s, 100,000 versions", major, c.what), "≤ 0.25 of the time, ≤ 0.33 of the memory of YAML",
				fmt.Sprintf("%.2f of the time, %.2f of the memory of YAML (%.1f s, %.0f MB)", float64(c.j.wall)/float64(c.y.wall), c.j.peak/c.y.peak, c.y.wall.Seconds(), c.y.peak),
				"%.1f s, %.0f MB", c.j.wall.Seconds(), c.j.peak)
		}
	}
	return nil
}

// environmentByHelm adds an environment repository, and one file of one line.
func (b *bench) environmentByHelm(ctx context.Context, helm string, major int, env []string, s *rig.Server) error {
	body, err := fetch(s.URL+"/environments/hub00/prod/index.yaml", "identity")
	if err != nil {
		return err
	}
	root := filepath.Join(b.dir, "one")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, "index.yaml"), body, 0o644); err != nil {
		return err
	}
	files, err := startNginx(ctx, b.dir, root, "0,1")
	if err != nil {
		return err
	}
	defer files.stop()
	ours, err := command(env, 15, helm, "repo", "add", "--force-update", "env", s.URL+"/environments/hub00/prod")
	if err != nil {
		return err
	}
	theirs, err := command(env, 15, helm, "repo", "add", "--force-update", "one", files.url)
	if err != nil {
		return err
	}
	b.add(fmt.Sprintf("Helm %d repo add of an environment repository", major), "≤ 1.1 × a static file",
		fmt.Sprintf("%.2f × nginx with one file (%.0f ms)", float64(ours.wall)/float64(theirs.wall), ms(theirs.wall)), "%.0f ms", ms(ours.wall))
	return nil
}

func measureCLI(ctx context.Context, b *bench) error {
	s, err := b.start(ctx, spec{Versions: 1_000, Environments: 64})
	if err != nil {
		return err
	}
	defer b.stop(s)
	env := []string{"CHARTCTL_SERVER=" + s.URL, "CHARTCTL_TOKEN=" + s.Token}
	for _, c := range []struct {
		goal string
		args []string
	}{{"≤ 20 ms", []string{"--version"}}, {"≤ 60 ms", []string{"status"}}} {
		got, err := command(env, 21, b.chartctl, c.args...)
		if err != nil {
			return err
		}
		b.add("chartctl "+c.args[0], c.goal, fmt.Sprintf("%.0f MB at most", got.peak), "%.0f ms", ms(got.wall))
	}
	return nil
}

// measureImport imports the real packages where they lie beside the project,
// and synthetic ones otherwise.
func measureImport(ctx context.Context, b *bench) error {
	dir, n, what := filepath.Join(os.Getenv("CHARTD_SHARED"), "data", "charts"), 0, "real packages"
	if list, err := filepath.Glob(filepath.Join(dir, "*.tgz")); os.Getenv("CHARTD_SHARED") != "" && err == nil {
		n = len(list)
	}
	if n == 0 {
		what = "small packages"
		dir = filepath.Join(b.dir, "packages")
		if n = 2_000; os.MkdirAll(dir, 0o755) != nil {
			return fmt.Errorf("make %s", dir)
		}
		if err := writePackages(dir, n); err != nil {
			return err
		}
	}
	data := filepath.Join(b.dir, "import", "data")
	s, err := b.serve(ctx, data)
	if err != nil {
		return err
	}
	defer b.stop(s)
	env := []string{"CHARTCTL_SERVER=" + s.URL, "CHARTCTL_TOKEN=" + s.Token}
	got, err := command(env, 1, b.chartctl, "import", dir)
	if err != nil {
		return err
	}
	_, own, peak := memory(s.Pid())
	b.add(fmt.Sprintf("import of %d %s", n, what), "≥ 1,000/s, bounded memory",
		fmt.Sprintf("chartd %.0f MB of its own, %.0f MB at most; chartctl %.0f MB", own, peak, got.peak), "%.0f/s", float64(n)/got.wall.Seconds())
	return nil
}
