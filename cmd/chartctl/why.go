package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/model"
)

func (a *app) why() *cobra.Command {
	return ofEnv(a, &cobra.Command{
		Use:   "why HUB/STAGE",
		Short: "Explain on one screen why an environment runs what it runs",
		Long: `Why shows the pair and the evidence for it, who pinned it when and why, what the
upstream stages say of it and how long they held it, approvals, reports, halts,
and whether the gate was passed by.`,
		Example: "  chartctl why data8/prod\n  chartctl why data8/prod -o json",
	}, (*client.Client).Why, whySheet)
}

func whySheet(w *writer, e api.EnvironmentStatus) {
	p := e.Pin
	if p == nil {
		w.line("%s has no pin; make one with %s", e.Env, advice.BumpLatest.With(model.Facts{Env: e.Env}))
		haltSheet(w, e)
		return
	}
	w.line("%s runs %s@%s, revision %d", e.Env, p.Name, p.Version, p.Revision)
	if e.ChartState != model.Listed {
		w.line("  this chart version was %s since", e.ChartState)
	}
	for _, i := range p.Images {
		w.field(string(i.Role), fmt.Sprintf("%s (%s)", i, i.Evidence))
		if !i.Base.IsZero() {
			w.field("", fmt.Sprintf("on %s:%s", i.Base.Repository, i.BaseTag))
		}
	}
	if b := e.Binding; b != nil {
		w.field("binding", fmt.Sprintf("%s, %s", b.ID, standing(*b)))
		w.field("sealed", sealText(*b, e.Policy.Seal))
		w.field("bound", when(b.At)+" by "+b.By)
		w.field("", b.Reason)
		for _, m := range b.Moved {
			w.field("TAG MOVED", m)
		}
	}
	pinSheet(w, *p)
	stageSheet(w, e)
	w.field("approved by", strings.Join(e.Approved, ", "))
	w.field("report", reportText(e))
	for _, s := range e.Approvals {
		w.field("waiting", fmt.Sprintf("%s approved %s on %s", s.By, s.Binding, when(s.At)))
	}
	haltSheet(w, e)
}

func pinSheet(w *writer, p api.Pin) {
	w.field("pinned", fmt.Sprintf("%s by %s: %s", when(p.At), p.By, pinKind(p)))
	w.field("reason", p.Reason)
	w.field("commit", p.Commit)
	w.field("pin set", p.Set)
	w.field("BREAK-GLASS", p.BreakGlass)
	w.field("downgrade", p.Downgrade)
	if d := p.Direction; d != nil {
		w.field("direction", fmt.Sprintf("chart %s, image %s", d.Chart, d.Image))
	}
}

func stageSheet(w *writer, e api.EnvironmentStatus) {
	for _, u := range e.Stages {
		s := u.Env.String()
		switch {
		case u.Passed:
			s += fmt.Sprintf(" passed it as revision %d on %s and held it for %s of %s", u.Revision, when(u.At), u.Held, u.Need)
		case u.Verdict != "":
			s += fmt.Sprintf(" %s it as revision %d on %s", u.Verdict, u.Revision, when(u.At))
		case u.Overdue:
			s += " has it and gave no verdict by its deadline"
		case u.Current:
			s += " has it and gave no verdict yet"
		default:
			s += " never passed it"
		}
		if !u.Current && u.Pinned > 0 {
			s += fmt.Sprintf("; it runs another pair now (revision %d)", u.Pinned)
		}
		w.field("upstream", s)
	}
}

// reportText is what is known of how the revision went.
func reportText(e api.EnvironmentStatus) string {
	r := e.Report
	var s string
	switch {
	case r == nil && e.Overdue:
		return "none by the deadline: unknown"
	case r == nil:
		return fmt.Sprintf("none yet; %s reports by itself, or %s", advice.AnyDeploy, advice.Passed.With(model.Facts{Env: e.Env, Revision: e.Pin.Revision}))
	case e.Verdict == model.Passed:
		s = fmt.Sprintf("passed, and held for %s since", e.Held)
	case e.Verdict == "" && e.Overdue:
		s = string(r.State) + ", and no verdict by the deadline: unknown"
	default:
		s = string(r.State)
	}
	s += fmt.Sprintf("; %s by %s", when(r.At), r.By)
	if bad := failedChecks(r.Checks); bad != "" {
		s += "; " + bad
	}
	for _, more := range []string{r.Note, r.URL} {
		if more != "" {
			s += "; " + more
		}
	}
	return s
}

func haltSheet(w *writer, e api.EnvironmentStatus) {
	if len(e.Halts) == 0 {
		w.field("halts", "none")
	}
	for _, h := range e.Halts {
		w.field("HALTED", fmt.Sprintf("%s; since %s, by %s", halted(h), when(h.At), h.By))
		w.field("", "ends by "+strings.Join(waysOut(h), "; or "))
	}
}

// standing says what the binding rests on; of one that does not stand any
// more, that is not what its state comes from.
func standing(b api.Binding) string {
	on := cmp.Or(string(b.Evidence), "none")
	if b.State == model.Verified {
		return "verified by " + on
	}
	return fmt.Sprintf("%s (evidence: %s)", b.State, on)
}
