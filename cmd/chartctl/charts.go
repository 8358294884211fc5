package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/ref"
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
			return &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("no chart %q is published", q.Name)}
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
	if a, b := x.State == "listed", y.State == "listed"; a != b {
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
	rows := [][]string{}
	for _, c := range list {
		state, evidence := bindingState(c)
		n := fmt.Sprint(c.Seq)
		if c.OrderUnknown {
			n += "?"
		}
		if each {
			n = fmt.Sprint(counts[c.Name])
		}
		rows = append(rows, []string{c.Name, c.Version, c.AppVersion, when(c.Created), n, state, evidence})
	}
	w.table(head, rows)
}

// bindingState is what matters most about a version: that it was withdrawn,
// or else how it is bound.
func bindingState(c api.Chart) (state, evidence string) {
	switch {
	case c.State != "" && c.State != "listed":
		return c.State, "-"
	case c.Binding == nil:
		return "unbound", "-"
	}
	return c.Binding.State, c.Binding.Evidence
}

func (a *app) show() *cobra.Command {
	var seal bool
	var binding string
	c := &cobra.Command{
		Use:   "show NAME[@VERSION]",
		Short: "Show a chart version: its images, bindings and their evidence",
		Long: `Show prints what is known of one chart version (the latest without VERSION):
the images that its values name, and each binding with its evidence.

With --seal it downloads the original and the sealed package of the default
binding (or of --binding), checks both digests, and proves here, without
trusting the server, that they differ in nothing but the image references that
sealing wrote. Anything else is a mismatch, exit 8.`,
		Example: `  chartctl show jupyterhub
  chartctl show jupyterhub@3.3.7 -o json
  chartctl show jupyterhub@3.3.7 --seal`,
		Args: args(1, 1),
	}
	c.Flags().BoolVar(&seal, "seal", false, "prove the sealed package equal to the original but for the images")
	c.Flags().StringVar(&binding, "binding", "", "with --seal: this binding instead of the default one")
	c.RunE = a.with(func(ctx context.Context, c *client.Client, args []string) error {
		if binding != "" && !seal {
			return usage("--binding is for --seal")
		}
		name, version, ok := strings.Cut(args[0], "@")
		if !ok {
			version = "latest"
		}
		if name == "" || version == "" {
			return usage("chart version %q is not NAME or NAME@VERSION", args[0])
		}
		ch, err := c.Chart(ctx, name, version)
		if err != nil {
			return err
		}
		if seal {
			return a.showSeal(ctx, c, ch, binding)
		}
		v, err := ref.ParseImported(ch.Name, ch.Version)
		if err != nil {
			return err
		}
		bindings, err := c.Bindings(ctx, v)
		if err != nil {
			return err
		}
		return a.print(ch, func(w *writer) { chartSheet(w, ch, bindings.Bindings) })
	})
	c.ValidArgsFunction = a.completeCharts
	return c
}

func chartSheet(w *writer, c api.Chart, bindings []api.Binding) {
	w.field("chart", c.Name+"@"+c.Version)
	w.field("app version", c.AppVersion)
	w.field("description", cut(clean(c.Description), 200))
	w.field("state", c.State)
	w.field("reason", c.Reason)
	published := when(c.Created) + " by " + first(c.By, "unknown") + fmt.Sprintf(", sequence %d", c.Seq)
	if c.Imported {
		published += ", imported"
	}
	if c.OrderUnknown {
		published += ", order unknown"
	}
	w.field("published", published)
	w.field("package", fmt.Sprintf("%s (%s)", c.Package, size(c.Size)))
	w.field("content", c.Content.String())
	if c.Provenance {
		w.field("provenance", "yes")
	}
	for _, s := range c.Warnings {
		w.field("warning", s)
	}
	if len(c.Images) > 0 {
		w.line("images in its values:")
	}
	for _, i := range c.Images {
		mark := ""
		if i.Required {
			mark = " (required)"
		}
		image := i.Repository + ":" + i.Tag
		if i.Digest != "" {
			image += "@" + i.Digest
		}
		w.line("  %-12s %s%s", i.Role, image, mark)
	}
	w.field("unbound", c.Unbound)
	if len(bindings) == 0 && c.Unbound == "" {
		w.field("bindings", "none; bind it with chartctl bind "+c.Name+"@"+c.Version)
	}
	for _, b := range bindings {
		what := "binding"
		if c.Binding != nil && c.Binding.ID == b.ID {
			what = "binding *"
		}
		w.field(what, b.ID.String())
		bindingBody(w, b)
	}
}

// bindingBody is indented under the binding's identity.
func bindingBody(w *writer, b api.Binding) {
	w.line("  %s by evidence %s, %s by %s", b.State, first(b.Evidence, "none"), when(b.At), b.By)
	if b.Reason != "" {
		w.line("  reason: %s", b.Reason)
	}
	for _, i := range b.Images {
		tag := i.Image.Repository.String()
		if i.Tag != "" {
			tag += ":" + i.Tag
		}
		w.line("  %-12s %s (%s)", i.Role, tag, i.Evidence)
		w.line("  %-12s %s", "", i.Image.Digest)
		if !i.Base.IsZero() {
			w.line("  %-12s on %s:%s", "", i.Base.Repository, i.BaseTag)
			w.line("  %-12s %s", "", i.Base.Digest)
		}
	}
	for _, tag := range b.Moved {
		w.line("  tag moved: %s points to another image today", tag)
	}
	switch {
	case !b.Sealed.IsZero():
		w.line("  sealed %s", b.Sealed)
	case b.Unsealed != "":
		w.line("  no sealed package: %s", b.Unsealed)
	}
}

func (a *app) showSeal(ctx context.Context, c *client.Client, ch api.Chart, id string) error {
	b := ch.Binding
	if id != "" {
		bid, err := ref.ParseBindingID(id)
		if err != nil {
			return usage("%v", err)
		}
		got, err := c.Binding(ctx, bid)
		if err != nil {
			return err
		}
		if got.Name != ch.Name || got.Version != ch.Version {
			return usage("binding %q is of %s@%s, not of %s@%s", id, got.Name, got.Version, ch.Name, ch.Version)
		}
		b = &got
	}
	if b == nil {
		return &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("%s@%s is bound to no images, so nothing is sealed", ch.Name, ch.Version)}
	}
	original, err := c.Package(ctx, ch)
	if err != nil {
		return err
	}
	sealed, err := c.Sealed(ctx, *b)
	if err != nil {
		return err
	}
	splices, err := archive.CompareSeal(original, sealed, archive.Options{Limits: archive.DefaultLimits(), Lenient: true})
	if err != nil {
		return &api.Error{Code: api.CodeMismatch, Message: fmt.Sprintf("the sealed package of %s@%s is not the original: %v", ch.Name, ch.Version, err)}
	}
	proof := client.SealProof{Original: ch.Package, Sealed: b.Sealed, Splices: []client.Splice{}}
	for _, s := range splices {
		proof.Splices = append(proof.Splices, client.Splice{File: s.File, Path: s.Path, From: s.From, To: s.To})
	}
	return a.print(proof, func(w *writer) {
		w.field("original", proof.Original.String())
		w.field("sealed", proof.Sealed.String())
		w.line("The two differ in nothing but:")
		for _, s := range proof.Splices {
			w.line("  %s  %s", s.File, s.Path)
			w.line("    - %s", s.From)
			w.line("    + %s", s.To)
		}
	})
}
