package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/model"
)

func (a *app) charts() *cobra.Command {
	var devel, all, unbound bool
	c := &cobra.Command{
		Use:   "charts [NAME]",
		Short: "List charts, or the versions of one",
		Long: `Without NAME: one line for each chart, with its newest version. With NAME: all
its versions. Newest means published last; versions are not an order of events.
Pre-releases are left out unless --devel is given, or nothing else is there.`,
		Example: "  chartctl charts\n  chartctl charts jupyterhub --devel\n  chartctl charts --unbound -o json",
		Args:    args(0, 1),
	}
	c.Flags().BoolVar(&devel, "devel", false, "pre-releases too")
	c.Flags().BoolVar(&all, "all", false, "purged versions too")
	c.Flags().BoolVar(&unbound, "unbound", false, "all versions that are bound to no images")
	c.RunE = a.with(func(ctx context.Context, c *client.Client, args []string) error {
		q := client.ChartQuery{All: all, Unbound: unbound}
		if len(args) > 0 {
			q.Name = args[0]
		}
		list := []api.Chart{}
		for ch, err := range c.AllCharts(ctx, q) {
			if err != nil {
				return err
			}
			list = append(list, ch)
		}
		if q.Name != "" && len(list) == 0 && !unbound {
			return api.Errorf(api.CodeNotFound, "no chart %q is published", q.Name)
		}
		counts := map[string]int{}
		for _, ch := range list {
			counts[ch.Name]++
		}
		if !unbound {
			list = a.visible(list, devel || q.Name == "", q.Name)
		}
		if q.Name == "" && !unbound {
			list = newestOfEach(list, devel)
		}
		return a.print(api.Charts{Charts: list}, func(w *writer) { chartTable(w, list, counts, q.Name == "" && !unbound) })
	})
	c.ValidArgsFunction = a.completeCharts
	return c
}

// visible drops pre-releases, unless there is nothing else.
func (a *app) visible(list []api.Chart, devel bool, name string) []api.Chart {
	if devel {
		return list
	}
	stable := slices.DeleteFunc(slices.Clone(list), func(c api.Chart) bool { return preRelease(c.Version) })
	if len(stable) == 0 {
		return list
	}
	if hidden := len(list) - len(stable); hidden > 0 {
		a.note("%s of %q not shown: see --devel", plural(hidden, "pre-release"), name)
	}
	return stable
}

func preRelease(version string) bool {
	v, err := semver.NewVersion(version)
	return err != nil || v.Prerelease() != ""
}

// newestOfEach keeps one version for each chart: the newest stable one, or
// with devel, or where there is none, the newest of all.
func newestOfEach(list []api.Chart, devel bool) []api.Chart {
	best := map[string]api.Chart{}
	for _, c := range list {
		have, ok := best[c.Name]
		if !ok || newer(c, have, devel) {
			best[c.Name] = c
		}
	}
	out := []api.Chart{}
	for _, c := range best {
		out = append(out, c)
	}
	slices.SortFunc(out, func(x, y api.Chart) int { return strings.Compare(x.Name, y.Name) })
	return out
}

// newer reports whether x is to be preferred to y: listed before hidden,
// stable before pre-release, a known place in the order before none, and then
// by publication.
func newer(x, y api.Chart, devel bool) bool {
	if a, b := x.State == model.Listed, y.State == model.Listed; a != b {
		return a
	}
	if a, b := preRelease(x.Version), preRelease(y.Version); a != b && !devel {
		return b
	}
	if x.OrderUnknown != y.OrderUnknown {
		return y.OrderUnknown
	}
	return x.Seq > y.Seq
}

func chartTable(w *writer, list []api.Chart, counts map[string]int, each bool) {
	head := []string{"NAME", "VERSION", "APP", "PUBLISHED", "SEQ", "STATE", "EVIDENCE"}
	if each {
		head = []string{"NAME", "NEWEST", "APP", "PUBLISHED", "VERSIONS", "STATE", "EVIDENCE"}
	}
	tableOf(w, head, list, func(c api.Chart) []string {
		state, evidence := bindingState(c)
		n := fmt.Sprint(c.Seq)
		if c.OrderUnknown {
			n += "?"
		}
		if each {
			n = fmt.Sprint(counts[c.Name])
		}
		return []string{c.Name, c.Version, c.AppVersion, when(c.Created), n, state, evidence}
	})
}

// bindingState is what matters most about a version: that it was withdrawn,
// or else how it is bound.
func bindingState(c api.Chart) (state, evidence string) {
	switch {
	case c.State != model.Listed:
		return c.State.String(), "-"
	case c.Binding == nil:
		return "unbound", "-"
	}
	return string(c.Binding.State), string(c.Binding.Evidence)
}
