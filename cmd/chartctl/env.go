package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy/move"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

func (a *app) env() *cobra.Command {
	c := &cobra.Command{
		Use:   "env",
		Short: "Create, list, show and adopt environments, and set their policies",
		Long: `An environment is a hub's stage, such as data8/prod. It takes pins of one chart,
under a policy: the evidence that it accepts and the stages before it.`,
		Example: "  chartctl env create data8/staging --chart jupyterhub\n  chartctl env list",
	}
	return group(c, a.envCreate(), a.envList(), a.envShow(), a.envSet(), a.envAdopt())
}

func (a *app) envCreate() *cobra.Command {
	var in api.CreateEnvironment
	c := ofEnv(a, &cobra.Command{
		Use:   "create HUB/STAGE --chart NAME",
		Short: "Create an environment; it has no pin yet",
		Long: `Evidence, strongest first: chart-values (the rendered chart shows exactly this
image), base-layers (the image is built on the chart's own one), values-only (the
chart's values name it, and no rendering showed it), base-label and declared
(somebody's word). Without --accept the server's default applies. A chart that
shows no image rests on its digest alone.`,
		Example: `  chartctl env create data8/staging --chart jupyterhub
  chartctl env create data8/prod --chart jupyterhub --upstream staging --accept chart-values,base-layers`,
	}, func(c *client.Client, ctx context.Context, env ref.Env) (api.Environment, error) {
		if in.Env = env; in.Chart == "" {
			return api.Environment{}, usage("env create %s: --chart is missing", env)
		}
		e, err := c.CreateEnvironment(ctx, in)
		if err != nil {
			return e, err
		}
		if _, err := c.Versions(ctx, e.Chart); api.CodeOf(err) == api.CodeNotFound {
			a.note("note: no version of chart %q is published here yet", e.Chart)
		}
		return e, nil
	}, func(w *writer, e api.Environment) {
		w.line("created %s for chart %s, accepting %s", e.Env, e.Chart, model.Join(e.Accept, ", "))
	})
	c.ValidArgsFunction = nil // what is to be created is not there yet
	c.Flags().StringVar(&in.Chart, "chart", "", "name of the chart (required)")
	c.Flags().Var((*evidenceFlag)(&in.Accept), "accept", "evidence that a pin may rest on")
	c.Flags().StringSliceVar(&in.Upstream, "upstream", nil, "stages that come before this one")
	return c
}

// evidenceFlag collects evidence, between commas or by itself. The server knows
// which there is.
type evidenceFlag []model.Evidence

func (f *evidenceFlag) String() string { return model.Join(*f, ",") }
func (f *evidenceFlag) Type() string   { return "strings" }
func (f *evidenceFlag) Set(s string) error {
	for word := range strings.SplitSeq(s, ",") {
		*f = append(*f, model.Evidence(word))
	}
	return nil
}

func parseEnv(s string) (ref.Env, error) {
	e, err := ref.ParseEnv(s)
	if err == nil {
		return e, nil
	}
	if _, hubErr := ref.ParseEnv(s + "/prod"); hubErr == nil {
		return e, usage("environment %q has no stage: want HUB/STAGE, such as %[1]s/prod; \"chartctl env list\" names them all", s)
	}
	return e, usage("%v", err)
}

func (a *app) envList() *cobra.Command {
	return listing(a, &cobra.Command{Use: "list", Short: "List the environments and their policies", Example: "  chartctl env list"},
		(*client.Client).Environments, func(w *writer, list api.Environments) {
			tableOf(w, []string{"ENVIRONMENT", "CHART", "REVISION", "ACCEPT", "UPSTREAM", "CREATED", "BY"}, list.Environments, func(e api.Environment) []string {
				return []string{e.Env.String(), e.Chart, fmt.Sprint(e.Revision),
					model.Join(e.Accept, ","), cmp.Or(strings.Join(e.Upstream, ","), "-"), when(e.Created), e.By}
			})
		})
}

func (a *app) envShow() *cobra.Command {
	return ofEnv(a, &cobra.Command{
		Use: "show HUB/STAGE", Short: "Show an environment: its policy, its pin and the images",
		Example: "  chartctl env show data8/prod",
	}, func(c *client.Client, ctx context.Context, env ref.Env) (api.Environment, error) {
		return c.Environment(ctx, env)
	}, envSheet)
}

func envSheet(w *writer, e api.Environment) {
	w.field("environment", e.Env.String())
	w.field("chart", e.Chart)
	policyLines(w, e.Policy)
	w.field("created", when(e.Created)+" by "+e.By)
	w.field("repository", w.server+"/environments/"+e.Env.String())
	if e.Pin == nil {
		w.field("pin", "none; make one with "+advice.BumpLatest.With(model.Facts{Env: e.Env}))
		return
	}
	w.field("revision", fmt.Sprintf("%d (%s)", e.Pin.Revision, pinKind(*e.Pin)))
	version := e.Pin.Name + "@" + e.Pin.Version
	if e.ChartState != model.Listed {
		version += " (" + e.ChartState.String() + ")"
	}
	w.field("version", version)
	w.field("pinned", when(e.Pin.At)+" by "+e.Pin.By)
	w.field("reason", e.Pin.Reason)
	w.field("break-glass", e.Pin.BreakGlass)
	w.field("downgrade", e.Pin.Downgrade)
	w.field("binding", e.Pin.Binding.String())
	if e.Binding != nil {
		bindingBody(w, *e.Binding)
	}
}

// pinKind is how a pin came about. What passed the gate by is marked in every
// view.
func pinKind(p api.Pin) string {
	s := string(p.Kind)
	switch {
	case p.From == "":
	case p.Kind == model.Rollback:
		s += " to " + p.From
	default:
		s += " from " + p.From
	}
	if p.BreakGlass != "" {
		s = "BREAK-GLASS " + s
	}
	return s
}

// pinLines says of each environment where it is now, and of those that share a
// pair what it is once.
func pinLines(w *writer, pins ...move.Now) {
	for n, p := range pins {
		w.line("%s is at revision %d: %s@%s (%s)", p.Env, p.Revision, p.Name, p.Version, pinKind(p.Pin))
		if s := surprise(p); s != "" {
			w.line("  direction    %s", s)
		}
		if n+1 < len(pins) && pins[n+1].Binding == p.Binding {
			continue
		}
		w.line("  binding      %s", p.Binding)
		for _, i := range p.Images {
			w.line("  %-12s %s", i.Role, i.Tagged())
			w.line("  %-12s %s", "", i.Image.Digest)
		}
	}
}

// surprise is where a pin takes an environment, where that is not forward all
// the way. What was there already does not move.
func surprise(p move.Now) string {
	d := p.Direction
	onward := func(h model.Heading) bool { return h == model.Forward || h == model.Same }
	switch {
	case !p.Made || d == nil || p.Kind == model.Rollback || onward(d.Chart) && onward(d.Image) && p.ByVersion == "":
		return ""
	case p.ByVersion != "":
		return fmt.Sprintf("chart %s by publication and %s by version, image %s", d.Chart, p.ByVersion, d.Image)
	}
	return fmt.Sprintf("chart %s, image %s", d.Chart, d.Image)
}

// pinState is the state of the pinned binding or, where it was withdrawn, of
// its chart version; both where both went wrong.
func pinState(e api.Environment) string {
	switch {
	case e.ChartState == model.Listed:
		return string(e.Binding.State)
	case e.Binding.State == model.Verified:
		return e.ChartState.String()
	}
	return string(e.Binding.State) + ", " + e.ChartState.String()
}

// mainImage is the tag and the first digits of the digest of the image that
// matters most: the required one, else the first; "-" for none.
func mainImage(images []api.BoundImage) string {
	if len(images) == 0 {
		return "-"
	}
	i := images[0]
	for _, x := range images {
		if x.Required {
			i = x
			break
		}
	}
	return cmp.Or(i.Tag, i.Image.Repository.Path()) + "@" + i.Image.Digest.Hex()[:8]
}
