package compare

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
)

// Rendering is how Helm renders both sides.
type Rendering struct {
	Values []string // files for both
	Prefix string   // under which a wrapper chart has the chart; "" is no wrapper
}

// compare renders both sides and returns a unified diff, "" where there is no
// difference.
func (r Rendering) compare(ctx context.Context, c *client.Client, a, b Side) (string, error) {
	helm, err := exec.LookPath("helm")
	if err != nil {
		return "", api.Errorf(api.CodeLocalIO, "--render needs helm, and it is not in PATH: install it, or leave --render out")
	}
	before, err := r.render(ctx, c, helm, a)
	if err != nil {
		return "", err
	}
	after, err := r.render(ctx, c, helm, b)
	if err != nil {
		return "", err
	}
	if bytes.Equal(before, after) {
		return "", nil
	}
	return unified("manifests", before, after), nil
}

// render is what Helm makes of one side, without what changes by itself: the
// pair as it is deployed, hence the sealed package where there is one.
func (r Rendering) render(ctx context.Context, c *client.Client, helm string, s Side) (out []byte, err error) {
	dir, err := os.MkdirTemp("", "chartctl-diff-")
	if err != nil {
		return nil, api.Errorf(api.CodeLocalIO, "%v", err)
	}
	defer func() {
		if gone := os.RemoveAll(dir); err == nil && gone != nil {
			err = api.Errorf(api.CodeLocalIO, "%v", gone)
		}
	}()
	data := s.data
	if !s.sealed.IsZero() {
		if data, err = c.Sealed(ctx, api.Binding{ID: s.Binding, Sealed: s.sealed}); err != nil {
			return nil, err
		}
	}
	chart, err := r.lay(dir, s, data)
	if err != nil {
		return nil, api.Errorf(api.CodeLocalIO, "%v", err)
	}
	once, err := r.run(ctx, helm, chart, s)
	if err != nil {
		return nil, err
	}
	again, err := r.run(ctx, helm, chart, s)
	return steady(once, again), err
}

// lay writes what Helm is to render: the package, or a wrapper that has it
// under the prefix.
func (r Rendering) lay(dir string, s Side, data []byte) (string, error) {
	file := filepath.Join(dir, "chart.tgz")
	if r.Prefix == "" {
		return file, os.WriteFile(file, data, 0o600)
	}
	wrapper := filepath.Join(dir, "wrapper")
	meta := fmt.Sprintf("apiVersion: v2\nname: wrapper\nversion: 0.0.0\ndependencies:\n  - {name: %q, version: %q, alias: %q}\n", s.Chart, s.Version, r.Prefix)
	return wrapper, errors.Join(
		os.MkdirAll(filepath.Join(wrapper, "charts"), 0o700),
		os.WriteFile(filepath.Join(wrapper, "Chart.yaml"), []byte(meta), 0o600),
		os.WriteFile(filepath.Join(wrapper, "charts", "chart.tgz"), data, 0o600),
	)
}

func (r Rendering) run(ctx context.Context, helm, chart string, s Side) ([]byte, error) {
	args := []string{"template", "diff", chart}
	for _, v := range r.Values {
		args = append(args, "--values", v)
	}
	cmd := exec.CommandContext(ctx, helm, args...)
	var out, failed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &failed
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &api.Error{Code: api.CodeRefused, Message: fmt.Sprintf("helm template of %s (%s@%s): %s", s.Name, s.Chart, s.Version, cmp.Or(strings.TrimSpace(failed.String()), err.Error()))}
	}
	return out.Bytes(), nil
}

// steady takes what differs between two renderings of the same out of the
// lines that have it: random secrets, and the checksums over them.
func steady(a, b []byte) []byte {
	x, y := strings.SplitAfter(string(a), "\n"), strings.SplitAfter(string(b), "\n")
	if len(x) != len(y) {
		return a
	}
	for i := range x {
		if x[i] == y[i] {
			continue
		}
		key, _, _ := strings.Cut(x[i], ": ")
		x[i] = strings.TrimRight(key, "\n") + ": (another one at each rendering)\n"
	}
	return []byte(strings.Join(x, ""))
}
