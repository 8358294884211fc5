package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/ref"
)

// difference is what chartctl diff prints.
type difference struct {
	A         diffSide      `json:"a"`
	B         diffSide      `json:"b"`
	Same      bool          `json:"same"` // chart package and images
	Images    []imageChange `json:"images"`
	Values    string        `json:"values,omitempty"` // default values, as a unified diff
	Files     []fileChange  `json:"files"`            // templates
	Manifests string        `json:"manifests,omitempty"`
}

// diffSide is one of the two pairs.
type diffSide struct {
	Name    string            `json:"name"` // as it was asked for, with the revision
	Chart   string            `json:"chart"`
	Version string            `json:"version"`
	Package ref.Digest        `json:"package"`
	Binding ref.BindingID     `json:"binding,omitzero"`
	Images  []api.BoundImage  `json:"images"`
	named   map[string]string // role to image of a version that is not bound
	sealed  ref.Digest
	data    []byte
}

type imageChange struct {
	Role string `json:"role"`
	A    string `json:"a,omitempty"`
	B    string `json:"b,omitempty"`
}

type fileChange struct {
	Name   string `json:"name"`
	Change string `json:"change"` // "added", "removed", "changed"
	Plus   int    `json:"plus"`
	Minus  int    `json:"minus"`
	Diff   string `json:"diff,omitempty"`
}

type diffFlags struct {
	templates bool
	render    renderFlags
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
	f.render.flags(c.Flags())
	c.RunE = a.with(func(ctx context.Context, c *client.Client, args []string) error {
		if args[0] == "." && args[1] == "." {
			return usage("diff: the checkout does not differ from itself: name an environment too")
		}
		return a.doDiff(ctx, c, f, args[0], args[1])
	})
	c.ValidArgsFunction = a.completeEnvs
	return c
}

func (a *app) doDiff(ctx context.Context, c *client.Client, f diffFlags, x, y string) error {
	if err := f.render.check(); err != nil {
		return err
	}
	left, err := a.side(ctx, c, x, y)
	if err != nil {
		return err
	}
	right, err := a.side(ctx, c, y, x)
	if err != nil {
		return err
	}
	d, err := compare(left, right)
	if err != nil {
		return err
	}
	if f.render.on {
		if d.Manifests, err = f.render.compare(ctx, c, left, right); err != nil {
			return err
		}
	}
	return a.print(d, func(w *writer) { d.lines(w, f) })
}

// side reads one of the two; other is the argument of the other one.
func (a *app) side(ctx context.Context, c *client.Client, arg, other string) (diffSide, error) {
	s := diffSide{Name: arg, Images: []api.BoundImage{}}
	var err error
	switch {
	case arg == ".":
		err = a.checkoutSide(ctx, c, &s, other)
	case strings.Contains(arg, "/"):
		err = pinnedSide(ctx, c, &s, arg)
	default:
		err = versionSide(ctx, c, &s, arg)
	}
	if err != nil {
		return s, err
	}
	v, err := c.Chart(ctx, s.Chart, s.Version)
	if err != nil {
		return s, err
	}
	if s.Package.IsZero() {
		s.Package = v.Package
	}
	if s.Package != v.Package {
		return s, &api.Error{Code: api.CodeDrift, Message: fmt.Sprintf("%s says that %s@%s is %s, and the server has %s", s.Name, s.Chart, s.Version, s.Package, v.Package)}
	}
	s.data, err = c.Package(ctx, v)
	return s, err
}

func pinnedSide(ctx context.Context, c *client.Client, s *diffSide, arg string) error {
	name, revision, numbered := strings.Cut(arg, "#")
	env, err := parseEnv(name)
	if err != nil {
		return err
	}
	var p api.Pin
	if numbered {
		n, err := parseRevision(revision)
		if err != nil {
			return err
		}
		if p, err = c.Revision(ctx, env, n); err != nil {
			return err
		}
	} else {
		e, err := c.Environment(ctx, env)
		if err != nil {
			return err
		}
		if e.Pin == nil {
			return &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("%s is not pinned, so there is nothing to compare; pin it with chartctl bump %s --latest", env, env)}
		}
		p = *e.Pin
	}
	s.Name = fmt.Sprintf("%s#%d", env, p.Revision)
	return s.bound(ctx, c, p.Binding)
}

// bound fills the side from a binding.
func (s *diffSide) bound(ctx context.Context, c *client.Client, id ref.BindingID) error {
	b, err := c.Binding(ctx, id)
	if err != nil {
		return err
	}
	s.Chart, s.Version, s.Package, s.Binding, s.Images, s.sealed = b.Name, b.Version, b.Package, b.ID, b.Images, b.Sealed
	return nil
}

func versionSide(ctx context.Context, c *client.Client, s *diffSide, arg string) error {
	v, err := parseChart(arg)
	if err != nil {
		return usage("%q is none of HUB/STAGE, HUB/STAGE#N, NAME@VERSION and . (the checkout)", arg)
	}
	ch, err := c.Chart(ctx, v.Name(), v.Version())
	if err != nil {
		return err
	}
	if ch.Binding != nil {
		return s.bound(ctx, c, ch.Binding.ID)
	}
	s.Chart, s.Version, s.Package, s.named = ch.Name, ch.Version, ch.Package, map[string]string{}
	for _, i := range ch.Images {
		s.named[string(i.Role)] = i.Repository + ":" + i.Tag
	}
	return nil
}

// images is role to image, in words.
func (s diffSide) images() map[string]string {
	out := map[string]string{}
	for role, image := range s.named {
		out[role] = image
	}
	for _, i := range s.Images {
		out[string(i.Role)] = imageText(i)
	}
	return out
}

func imageText(i api.BoundImage) string { return tagOf(i) + "@" + i.Image.Digest.String() }

// compare works on the packages as they were downloaded and checked.
func compare(a, b diffSide) (difference, error) {
	d := difference{A: a, B: b, Images: []imageChange{}, Files: []fileChange{}}
	x, y := a.images(), b.images()
	for _, role := range keysOf(x, y) {
		if x[role] != y[role] {
			d.Images = append(d.Images, imageChange{role, x[role], y[role]})
		}
	}
	d.Same = a.Package == b.Package && len(d.Images) == 0
	if a.Package == b.Package {
		return d, nil
	}
	before, err := filesOf(a)
	if err != nil {
		return d, err
	}
	after, err := filesOf(b)
	if err != nil {
		return d, err
	}
	for _, name := range keysOf(before, after) {
		if bytes.Equal(before[name], after[name]) {
			continue
		}
		text := unified(name, before[name], after[name])
		if name == "values.yaml" {
			d.Values = text
			continue
		}
		c := fileChange{Name: name, Change: "changed", Diff: text}
		if _, ok := before[name]; !ok {
			c.Change = "added"
		} else if _, ok := after[name]; !ok {
			c.Change = "removed"
		}
		c.Plus, c.Minus = count(text)
		d.Files = append(d.Files, c)
	}
	return d, nil
}

func filesOf(s diffSide) (map[string][]byte, error) {
	o := archive.Options{Limits: archive.DefaultLimits(), Lenient: true}
	unread := func(err error) error {
		return &api.Error{Code: api.CodeRefused, Message: fmt.Sprintf("read the package of %s@%s: %v", s.Chart, s.Version, err)}
	}
	p, err := archive.Read(s.data, o)
	if err != nil {
		return nil, unread(err)
	}
	templates, err := archive.Templates(s.data, o)
	if err != nil {
		return nil, unread(err)
	}
	out := map[string][]byte{}
	if values, ok := p.File("values.yaml"); ok {
		out["values.yaml"] = values
	}
	for _, f := range templates {
		out[f.Name] = f.Data
	}
	return out, nil
}

// unified is a diff without the line that only repeats the command.
func unified(name string, a, b []byte) string {
	text := string(diff.Diff("a/"+name, a, "b/"+name, b))
	if first, rest, ok := strings.Cut(text, "\n"); ok && strings.HasPrefix(first, "diff ") {
		return rest
	}
	return text
}

// count counts the lines of a unified diff that were added and taken away.
func count(text string) (plus, minus int) {
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "+++"), strings.HasPrefix(line, "---"):
		case line[0] == '+':
			plus++
		case line[0] == '-':
			minus++
		}
	}
	return plus, minus
}
