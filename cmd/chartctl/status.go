package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

func (a *app) status() *cobra.Command {
	var hubs []string
	c := &cobra.Command{
		Use:   "status",
		Short: "Show what runs where, how it went, and what is halted",
		Long: `The page to open first in the night: what is halted and by what, then each
environment with its pair, the last verdict on it, how long it has held since it
passed, and what differs from its upstream stages. A pin that passed the gate by
is marked BREAK-GLASS. chartctl why HUB/STAGE explains one of them.`,
		Example: "  chartctl status\n  chartctl status --hub data8 -o json",
		Args:    args(0, 0),
	}
	c.Flags().StringArrayVar(&hubs, "hub", nil, "only this hub's stages (repeatable)")
	c.RunE = a.with(func(ctx context.Context, c *client.Client, _ []string) error {
		st, err := c.Status(ctx)
		if err != nil {
			return err
		}
		all := st.Environments
		for _, hub := range hubs {
			if !slices.ContainsFunc(all, func(e api.EnvironmentStatus) bool { return e.Env.Hub() == hub }) {
				return &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("hub %q has no environment", hub)}
			}
		}
		if len(hubs) > 0 {
			st.Environments = slices.DeleteFunc(slices.Clone(all), func(e api.EnvironmentStatus) bool { return !slices.Contains(hubs, e.Env.Hub()) })
			st.Halts = slices.DeleteFunc(st.Halts, func(h api.Halt) bool { return h.Scope != model.ScopeEverything && !slices.Contains(hubs, h.Env.Hub()) })
		}
		return a.print(st, func(w *writer) { statusPage(w, st, all) })
	})
	return c
}

// statusPage writes the halts and the table; all has the upstream stages that
// are not shown, too.
func statusPage(w *writer, st api.Status, all []api.EnvironmentStatus) {
	for _, h := range st.Halts {
		w.line("HALTED  %s", halted(h))
		w.line("        since %s, by %s", when(h.At), h.By)
		w.line("        ends by %s", strings.Join(waysOut(h), "; or "))
	}
	pins := map[string]api.EnvironmentStatus{}
	for _, e := range all {
		pins[e.Env.String()] = e
	}
	statusTable(w, st.Environments, pins)
}

func statusTable(w *writer, list []api.EnvironmentStatus, pins map[string]api.EnvironmentStatus) {
	tableOf(w, []string{"ENVIRONMENT", "CHART", "REV", "IMAGE", "STATE", "VERDICT", "SOAK", "UPSTREAM"}, list, func(e api.EnvironmentStatus) []string {
		p := e.Pin
		if p == nil {
			return []string{e.Env.String(), e.Chart, "-", "-", "-", "-", "-", waitingUpstream(e, pins)}
		}
		return []string{e.Env.String(), p.Name + "@" + p.Version, fmt.Sprint(p.Revision), mainImage(p.Images), stateOf(e), e.Went(), heldFor(e, pins), upstreamDiff(e, pins)}
	})
}

// stateOf is the worst that is to be said of what an environment runs.
func stateOf(e api.EnvironmentStatus) string {
	var s []string
	if len(e.Halts) > 0 {
		s = append(s, "HALTED")
	}
	if e.Pin.BreakGlass != "" {
		s = append(s, "BREAK-GLASS")
	}
	if e.Binding != nil {
		if state := pinState(e.Environment); state != string(model.Verified) || len(s) == 0 {
			s = append(s, state)
		}
		if len(e.Binding.Moved) > 0 {
			s = append(s, "tag moved")
		}
		switch b := e.Binding; {
		case len(b.Images) > 0 && b.Sealed.IsZero():
			s = append(s, "no seal")
		case b.Seal != nil && b.Seal.Unproven != "":
			s = append(s, "seal not proven")
		}
	}
	return strings.Join(s, ", ")
}

// heldFor is how long it has soaked, of how long those after it ask for.
func heldFor(e api.EnvironmentStatus, all map[string]api.EnvironmentStatus) string {
	if e.Verdict != model.Passed {
		return "-"
	}
	var most time.Duration
	need := ""
	for _, x := range all {
		d, err := time.ParseDuration(cmp.Or(x.Policy.Soak, "0s"))
		if err == nil && d > most && slices.Contains(x.Upstream, e.Env.String()) {
			most, need = d, " of "+x.Policy.Soak
		}
	}
	return e.Held + need
}

// upstreamDiff says which upstream stages have another pair.
func upstreamDiff(e api.EnvironmentStatus, all map[string]api.EnvironmentStatus) string {
	var out []string
	for _, u := range e.Stages {
		if u.Current {
			continue
		}
		name := u.Env.String()
		if u.Env.Hub() == e.Env.Hub() {
			name = u.Env.Stage()
		}
		up := all[u.Env.String()]
		switch {
		case up.Pin == nil:
			out = append(out, name+" has none")
		case up.Pin.Version != e.Pin.Version:
			out = append(out, name+" has "+up.Pin.Version)
		default:
			out = append(out, name+" has "+otherImage(up.Pin.Images, e.Pin.Images))
		}
	}
	switch {
	case len(out) > 0:
		return strings.Join(out, ", ")
	case len(e.Stages) > 0:
		return "same"
	}
	return "-"
}

// waitingUpstream says what the stages before have, where nothing is pinned
// here yet.
func waitingUpstream(e api.EnvironmentStatus, all map[string]api.EnvironmentStatus) string {
	var out []string
	for _, name := range e.Upstream {
		if up := all[name]; up.Pin != nil {
			out = append(out, strings.TrimPrefix(name, e.Env.Hub()+"/")+" has "+up.Pin.Version)
		}
	}
	return cmp.Or(strings.Join(out, ", "), "-")
}

// otherImage is the first image that is not the same on both sides.
func otherImage(up, here []api.BoundImage) string {
	now := map[ref.Role]ref.Digest{}
	for _, i := range here {
		now[i.Role] = i.Image.Digest
	}
	for _, i := range up {
		if now[i.Role] != i.Image.Digest {
			return mainImage([]api.BoundImage{i})
		}
	}
	return "another binding"
}
