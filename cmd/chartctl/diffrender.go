package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/pflag"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
)

// renderFlags have Helm render both sides.
type renderFlags struct {
	on     bool
	values []string
	prefix string
}

func (f *renderFlags) flags(fs *pflag.FlagSet) {
	fs.BoolVar(&f.on, "render", false, "compare what Helm renders, too")
	fs.StringArrayVar(&f.values, "values", nil, "with --render: values file for both sides (repeatable)")
	fs.StringVar(&f.prefix, "prefix", "", "with --render: key under which the values files have the chart's values")
}

// aliases are the names that a dependency can have.
var aliases = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func (f renderFlags) check() error {
	switch {
	case !f.on && (len(f.values) > 0 || f.prefix != ""):
		return usage("diff: --values and --prefix are for --render")
	case f.prefix != "" && !aliases.MatchString(f.prefix):
		return usage("prefix %q is not a name such as jupyterhub", f.prefix)
	}
	return nil
}

// compare renders both sides and returns a unified diff, "" where there is no
// difference.
func (f renderFlags) compare(ctx context.Context, c *client.Client, a, b diffSide) (string, error) {
	helm, err := exec.LookPath("helm")
	if err != nil {
		return "", localIO("--render needs helm, and it is not in PATH: install it, or leave --render out")
	}
	before, err := f.render(ctx, c, helm, a)
	if err != nil {
		return "", err
	}
	after, err := f.render(ctx, c, helm, b)
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
func (f renderFlags) render(ctx context.Context, c *client.Client, helm string, s diffSide) (out []byte, err error) {
	dir, err := os.MkdirTemp("", "chartctl-diff-")
	if err != nil {
		return nil, localIO("%v", err)
	}
	defer func() {
		if gone := os.RemoveAll(dir); err == nil && gone != nil {
			err = localIO("%v", gone)
		}
	}()
	data := s.data
	if !s.sealed.IsZero() {
		if data, err = c.Sealed(ctx, api.Binding{ID: s.Binding, Sealed: s.sealed}); err != nil {
			return nil, err
		}
	}
	chart, err := f.lay(dir, s, data)
	if err != nil {
		return nil, localIO("%v", err)
	}
	first, err := f.run(ctx, helm, chart, s)
	if err != nil {
		return nil, err
	}
	second, err := f.run(ctx, helm, chart, s)
	if err != nil {
		return nil, err
	}
	return steady(first, second), nil
}

// lay writes what Helm is to render: the package, or a wrapper that has it
// under the prefix.
func (f renderFlags) lay(dir string, s diffSide, data []byte) (string, error) {
	file := filepath.Join(dir, "chart.tgz")
	if f.prefix == "" {
		return file, os.WriteFile(file, data, 0o600)
	}
	wrapper := filepath.Join(dir, "wrapper")
	meta := fmt.Sprintf("apiVersion: v2\nname: wrapper\nversion: 0.0.0\ndependencies:\n  - {name: %q, version: %q, alias: %q}\n", s.Chart, s.Version, f.prefix)
	return wrapper, errors.Join(
		os.MkdirAll(filepath.Join(wrapper, "charts"), 0o700),
		os.WriteFile(filepath.Join(wrapper, "Chart.yaml"), []byte(meta), 0o600),
		os.WriteFile(filepath.Join(wrapper, "charts", "chart.tgz"), data, 0o600),
	)
}

func (f renderFlags) run(ctx context.Context, helm, chart string, s diffSide) ([]byte, error) {
	args := []string{"template", "diff", chart}
	for _, v := range f.values {
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
