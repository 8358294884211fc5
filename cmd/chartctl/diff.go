package main

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/compare"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

type diffFlags struct {
	templates bool
	render    bool
	how       compare.Rendering
}

func (a *app) diff() *cobra.Command {
	var f diffFlags
	c := &cobra.Command{
		Use:   "diff A B",
		Short: "Show what differs between two environments, revisions, chart versions or the checkout",
		Long: `Diff compares two pairs of chart and images: the images, the chart's default
values and its templates. A and B are each one of

  HUB/STAGE       what the environment is pinned to now
  HUB/STAGE#N     its revision N
  NAME@VERSION    a chart version with its default binding
  .               what chartd.lock in this checkout says for the other side's environment

With --render, Helm (found in PATH) renders both packages with the values files
given, those of the hub, and the manifests are compared. Each side is rendered
twice, and lines that change by themselves, such as generated secrets, are left
out. --prefix is the name under which a wrapper chart has the chart, and under
which those files therefore have its values.`,
		Example: `  chartctl diff data8/staging data8/prod
  chartctl diff data8/prod#16 data8/prod#17 --templates
  chartctl diff . data8/prod
  chartctl diff data8/prod data8/staging --render --prefix jupyterhub --values deployments/data8/config/common.yaml`,
		Args: args(2, 2),
	}
	c.Flags().BoolVar(&f.templates, "templates", false, "show the changes in templates, not only which and how many")
	c.Flags().BoolVar(&f.render, "render", false, "compare what Helm renders, too")
	c.Flags().StringArrayVar(&f.how.Values, "values", nil, "with --render: values file for both sides (repeatable)")
	c.Flags().StringVar(&f.how.Prefix, "prefix", "", "with --render: key under which the values files have the chart's values")
	c.RunE = printing(a, func(ctx context.Context, c *client.Client, args []string) (d compare.Difference, err error) {
		how, err := f.rendering()
		if err != nil {
			return d, err
		}
		if args[0] == "." && args[1] == "." {
			return d, usage("diff: the checkout does not differ from itself: name an environment too")
		}
		left, err := a.compared(ctx, args[0], args[1])
		if err != nil {
			return d, err
		}
		right, err := a.compared(ctx, args[1], args[0])
		if err != nil {
			return d, err
		}
		return compare.Pairs(ctx, c, left, right, how)
	}, func(w *writer, d compare.Difference) { diffLines(w, d, f) })
	c.ValidArgsFunction = a.completeEnvs
	return c
}

// aliases are the names that a dependency can have.
var aliases = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func (f diffFlags) rendering() (*compare.Rendering, error) {
	switch {
	case !f.render && (len(f.how.Values) > 0 || f.how.Prefix != ""):
		return nil, usage("diff: --values and --prefix are for --render")
	case f.how.Prefix != "" && !aliases.MatchString(f.how.Prefix):
		return nil, usage("prefix %q is not a name such as jupyterhub", f.how.Prefix)
	case !f.render:
		return nil, nil
	}
	return &f.how, nil
}

// compared is what an argument names; other is the argument of the other side.
func (a *app) compared(ctx context.Context, arg, other string) (w compare.What, err error) {
	w.Name = arg
	switch {
	case arg == ".":
		return a.lockedPair(ctx, other)
	case strings.Contains(arg, "/"):
		w.Env, w.Revision, err = parsePinned(arg)
	default:
		if w.Version, err = parseChart(arg); err != nil {
			err = usage("%q is none of HUB/STAGE, HUB/STAGE#N, NAME@VERSION and . (the checkout)", arg)
		}
	}
	return w, err
}

// parsePinned reads HUB/STAGE or HUB/STAGE#N.
func parsePinned(arg string) (env ref.Env, revision uint64, err error) {
	name, n, numbered := strings.Cut(arg, "#")
	if env, err = parseEnv(name); err == nil && numbered {
		revision, err = parseRevision(n)
	}
	return env, revision, err
}

// lockedPair is what the lock file of this checkout says for the environment
// that the other side names.
func (a *app) lockedPair(ctx context.Context, other string) (w compare.What, err error) {
	name, _, _ := strings.Cut(other, "#")
	if !strings.Contains(name, "/") {
		return w, usage("diff . %s: the checkout is compared with an environment: give HUB/STAGE", other)
	}
	env, err := parseEnv(name)
	if err != nil {
		return w, err
	}
	co, err := a.find(ctx, "", "")
	if err != nil {
		return w, err
	}
	if co == nil {
		return w, api.Errorf(api.CodeNotFound, "this is no deploy repo: there is no .chartctl.yaml here or above; make one with %s", advice.Init)
	}
	defer co.Leave()
	key := co.Repo.Key(env)
	lock, err := co.Repo.Lock()
	if err != nil {
		return w, deploy.Coded(err)
	}
	e, ok := lock.Get(key)
	if !ok || !e.Pinned() {
		return w, api.Errorf(api.CodeNotFound, "%s in %s has no pair for %q: write it with %s", lockfile.Name, co.Repo.Root().Dir(), key, advice.Bump.With(model.Facts{Env: env}))
	}
	return compare.What{Name: fmt.Sprintf("%s of %s", lockfile.Name, key), Entry: &e}, nil
}

// diffLines prints a difference for a person.
func diffLines(w *writer, d compare.Difference, f diffFlags) {
	w.line("a  %s  %s@%s  %s", d.A.Name, d.A.Chart, d.A.Version, short(d.A.Package))
	w.line("b  %s  %s@%s  %s", d.B.Name, d.B.Chart, d.B.Version, short(d.B.Package))
	if d.Same && d.Manifests == "" {
		w.line("The chart package and the images are the same.")
		return
	}
	if len(d.Images) > 0 {
		w.line("images:")
	}
	for _, i := range d.Images {
		w.line("  %s", i.Role)
		w.line("    a  %s", cmp.Or(i.A, "none"))
		w.line("    b  %s", cmp.Or(i.B, "none"))
	}
	switch {
	case d.A.Package == d.B.Package:
		w.line("chart: the same package")
	case d.Values == "" && len(d.Files) == 0:
		w.line("chart: the same default values and templates; other files differ")
	}
	if d.Values != "" {
		w.line("default values:")
		w.block(d.Values)
	}
	if len(d.Files) > 0 {
		w.line("templates:")
	}
	for _, c := range d.Files {
		w.line("  %-8s %s  +%d -%d", c.Change, c.Name, c.Plus, c.Minus)
		if f.templates {
			w.block(c.Diff)
		}
	}
	switch {
	case d.Manifests != "":
		w.line("rendered manifests:")
		w.block(d.Manifests)
	case f.render:
		w.line("rendered manifests: the same")
	}
}

// block writes several lines as they are, but for what a terminal would obey.
func (w *writer) block(s string) {
	for line := range strings.Lines(s) {
		w.line("%s", strings.ReplaceAll(strings.TrimRight(line, "\n"), "\t", "    "))
	}
}
