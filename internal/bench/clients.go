package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

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

// measureHelm reads an index of 100,000 versions with Helm, as chartd writes
// it and as YAML, in turn.
func measureHelm(ctx context.Context, b *bench) error {
	urls := map[string]string{}
	for _, format := range []string{"json", "yaml"} {
		s, err := b.start(ctx, versions(100_000), "--index-format", format)
		if err != nil {
			return err
		}
		defer b.stop(s)
		urls[format] = s.URL
		if _, err := fetch(s.URL+"/index.yaml", "identity"); err != nil { // made once, before it is timed
			return err
		}
	}
	for _, major := range []int{3, 4} {
		helm, err := testtools.BuildHelm(ctx, major)
		if err != nil {
			return err
		}
		u := helmUser{b: b, helm: helm, major: major, home: filepath.Join(b.dir, fmt.Sprintf("helm%d", major))}
		if err := b.largeByHelm(u, urls); err != nil {
			return err
		}
		if err := b.environmentByHelm(ctx, u, urls["json"]); err != nil {
			return err
		}
	}
	return nil
}

// helmUser is a Helm with a home of its own for each repository.
type helmUser struct {
	b     *bench
	helm  string
	major int
	home  string
}

func (u helmUser) run(repo string, args ...string) (cost, error) {
	home := filepath.Join(u.home, repo)
	env := []string{"HOME=" + home, "HELM_CACHE_HOME=" + home + "/cache", "HELM_CONFIG_HOME=" + home + "/config", "HELM_DATA_HOME=" + home + "/data"}
	return u.b.once(env, u.helm, args...)
}

func (b *bench) largeByHelm(u helmUser, urls map[string]string) error {
	add, search := map[string][]cost{}, map[string][]cost{}
	for range 3 {
		for _, format := range []string{"json", "yaml"} {
			a, err := u.run(format, "repo", "add", "--force-update", "big", urls[format])
			if err != nil {
				return err
			}
			s, err := u.run(format, "search", "repo", "big/chart-07", "-o", "json")
			if err != nil {
				return err
			}
			add[format], search[format] = append(add[format], a), append(search[format], s)
		}
	}
	for _, c := range []struct {
		what  string
		costs map[string][]cost
	}{{"repo add", add}, {"search repo", search}} {
		j, y := medianCost(c.costs["json"]), medianCost(c.costs["yaml"])
		b.add(result{what: fmt.Sprintf("Helm %d %s, 100,000 versions", u.major, c.what), measured: fmt.Sprintf("%.1f s, %.0f MB", j.wall.Seconds(), j.peak),
			beside: fmt.Sprintf("%.2f of the time and %.2f of the memory of the same index as YAML (%.1f s, %.0f MB)", ratio(j.wall, y.wall), j.peak/y.peak, y.wall.Seconds(), y.peak),
			bounds: []bound{atMost(ratio(j.wall, y.wall), 0.25, "of YAML's time"), atMost(j.peak/y.peak, 0.333, "of its memory")}})
	}
	return nil
}

// environmentByHelm adds an environment repository, and one file of one line,
// in turn.
func (b *bench) environmentByHelm(ctx context.Context, u helmUser, url string) error {
	url += "/environments/hub00/prod"
	body, err := fetch(url+"/index.yaml", "identity")
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
	var ours, theirs []cost
	for range 15 {
		o, err := u.run("one", "repo", "add", "--force-update", "env", url)
		if err != nil {
			return err
		}
		t, err := u.run("one", "repo", "add", "--force-update", "one", files.url)
		if err != nil {
			return err
		}
		ours, theirs = append(ours, o), append(theirs, t)
	}
	o, t := medianCost(ours), medianCost(theirs)
	b.add(result{what: fmt.Sprintf("Helm %d repo add of an environment repository", u.major), measured: fmt.Sprintf("%.0f ms", ms(o.wall)),
		beside: fmt.Sprintf("%.2f × nginx with one file of one entry (%.0f ms)", ratio(o.wall, t.wall), ms(t.wall)),
		bounds: []bound{atMost(ratio(o.wall, t.wall), 1.1, "× a static entry")}})
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
		most float64
		args []string
	}{{20, []string{"--version"}}, {60, []string{"status"}}} {
		got, err := b.command(env, 21, b.chartctl, c.args...)
		if err != nil {
			return err
		}
		b.add(result{what: "chartctl " + c.args[0] + ", wall", measured: fmt.Sprintf("%.0f ms", ms(got.wall)),
			beside: fmt.Sprintf("%.0f ms of CPU, %.0f MB", ms(got.cpu), got.peak), bounds: []bound{atMost(ms(got.wall), c.most, "ms")}})
	}
	return nil
}
