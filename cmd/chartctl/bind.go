package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

type bindFlags struct {
	images           []string
	declare, unbound bool
	reason           string
}

func (a *app) bind() *cobra.Command {
	var f bindFlags
	c := &cobra.Command{
		Use:   "bind NAME@VERSION | bind --unbound [NAME]",
		Short: "Bind a chart version to its images, by digest",
		Long: `Bind has the server resolve the images that the chart's values name (or those
given with --image) at their registry and record the digests, with the evidence
that chart and image belong together. Binding again after an image was rebuilt
makes another binding; a note says so where it takes the older one's place as the
default. The older one stays valid.

An image that was built on another version's base is refused (exit 4). Where
nothing can be proven, because the chart's own image can't be read any more,
--declare with --reason records the pair on your word; environments take it only
where their policy accepts "declared".

With --unbound, every version that has no binding yet (of the chart NAME, or of
all) is bound, one after another; those that fail are named at the end.`,
		Example: `  chartctl bind jupyterhub@3.3.7
  chartctl bind jupyterhub@3.3.7 --image hub=quay.io/berkeley/hub:2024.4.9
  chartctl bind hub@1.0.0 --image hub=quay.io/berkeley/hub:old --declare \
      --reason "runs since 2019, its base image is gone"
  chartctl bind --unbound`,
		Args: args(0, 1),
	}
	c.Flags().StringArrayVar(&f.images, "image", nil, "ROLE=REPOSITORY:TAG or ROLE=REPOSITORY@DIGEST (repeatable)")
	c.Flags().BoolVar(&f.declare, "declare", false, "record the pair on your word")
	c.Flags().StringVar(&f.reason, "reason", "", "why; with --declare, which requires it")
	c.Flags().BoolVar(&f.unbound, "unbound", false, "bind every version that has no binding")
	c.RunE = a.with(func(ctx context.Context, c *client.Client, args []string) error {
		if f.unbound {
			return a.bindUnbound(ctx, c, f, args)
		}
		return a.bindOne(ctx, c, f, args)
	})
	c.ValidArgsFunction = a.completeCharts
	return c
}

func (a *app) bindOne(ctx context.Context, c *client.Client, f bindFlags, args []string) error {
	if len(args) == 0 {
		return usage("bind: want NAME@VERSION, or --unbound")
	}
	v, err := parseChart(args[0])
	if err != nil {
		return err
	}
	images, err := parseImages(f.images)
	if err != nil {
		return err
	}
	if f.declare && f.reason == "" {
		return usage("bind %s: --declare wants a --reason: it is all the evidence there is", v)
	}
	if f.reason != "" && !f.declare {
		return usage("bind %s: --reason belongs to --declare: only a pair on your word keeps a reason", v)
	}
	before, err := defaultBinding(ctx, c, v)
	if err != nil {
		return err
	}
	b, isNew, err := c.Bind(ctx, v, api.BindRequest{Images: images, Declare: f.declare, Reason: f.reason})
	if err != nil {
		return err
	}
	if before != nil && before.ID != b.ID {
		// The binding is made: no error of this look may hide that.
		if after, err := defaultBinding(ctx, c, v); err == nil && after != nil && after.ID == b.ID {
			a.noteReplaced(v, *before, b)
		}
	}
	return a.print(b, func(w *writer) {
		what := "existed"
		if isNew {
			what = "new"
		}
		w.line("%s (%s)", b.ID, what)
		bindingBody(w, b)
	})
}

// defaultBinding is the version's default binding, nil for none. Who may bind
// but not read gets none either.
func defaultBinding(ctx context.Context, c *client.Client, v ref.ChartVersion) (*api.Binding, error) {
	ch, err := c.Chart(ctx, v.Name(), v.Version())
	var e *api.Error
	if errors.As(err, &e) && e.Code.Exit() == api.ExitAuth {
		return nil, nil
	}
	return ch.Binding, err
}

// noteReplaced says which images a new default binding has in the place of others.
func (a *app) noteReplaced(v ref.ChartVersion, old, b api.Binding) {
	was := map[ref.Role]api.BoundImage{}
	for _, i := range old.Images {
		was[i.Role] = i
	}
	said := false
	for _, i := range b.Images {
		o, ok := was[i.Role]
		if !ok || o.Image == i.Image {
			continue
		}
		from, to := o.Tagged(), i.Tagged()
		what := fmt.Sprintf("%s was sha256:%s and is sha256:%s now", to, short(o.Image.Digest), short(i.Image.Digest))
		if from != to {
			what = fmt.Sprintf("%s of %s was %s (sha256:%s) and is %s (sha256:%s) now", i.Role, v, from, short(o.Image.Digest), to, short(i.Image.Digest))
		}
		a.note("note: %s; the old binding %s stays valid", what, old.ID)
		said = true
	}
	if !said {
		a.note("note: the default binding of %s was %s and is %s now; the old one stays valid", v, old.ID, b.ID)
	}
}

// bindFailure is one version that could not be bound.
type bindFailure struct {
	Name    string   `json:"name"`
	Version string   `json:"version"`
	Code    api.Code `json:"code"`
	Error   string   `json:"error"`
}

func (a *app) bindUnbound(ctx context.Context, c *client.Client, f bindFlags, args []string) error {
	if len(f.images) > 0 || f.declare || f.reason != "" {
		return usage("bind --unbound takes the images from the charts: --image, --declare and --reason are for one version")
	}
	q := client.ChartQuery{Unbound: true}
	if len(args) > 0 {
		q.Name = args[0]
	}
	var list []api.Chart
	for ch, err := range c.AllCharts(ctx, q) {
		if err != nil {
			return err
		}
		if ch.State == model.Listed {
			list = append(list, ch)
		}
	}
	out := struct {
		Bound  []api.Binding `json:"bound"`
		Failed []bindFailure `json:"failed"`
	}{[]api.Binding{}, []bindFailure{}}
	bar := a.progress("binding")
	var worst *api.Error
	for i, ch := range list {
		bar.show(i, len(list), ch.Name+"@"+ch.Version)
		v, err := ref.ParseImported(ch.Name, ch.Version)
		if err != nil {
			return err
		}
		b, _, err := c.Bind(ctx, v, api.BindRequest{})
		var e *api.Error
		switch {
		case err == nil:
			out.Bound = append(out.Bound, b)
		case errors.As(err, &e) && e.Code != api.CodeUnauthorized && e.Code != api.CodeForbidden:
			out.Failed = append(out.Failed, bindFailure{ch.Name, ch.Version, e.Code, e.Error()})
			if worst == nil || e.Code.Exit() == api.ExitUnavailable {
				worst = e
			}
		default:
			bar.end()
			return err
		}
	}
	bar.show(len(list), len(list), "")
	bar.end()
	err := a.print(out, func(w *writer) {
		w.line("%s bound, %d failed", plural(len(out.Bound), "version"), len(out.Failed))
		for _, x := range out.Failed {
			w.line("  %s@%s: %s", x.Name, x.Version, x.Error)
		}
	})
	if err == nil && worst != nil {
		return &api.Error{Code: worst.Code, Message: fmt.Sprintf("%d of %d versions could not be bound", len(out.Failed), len(list))}
	}
	return err
}
