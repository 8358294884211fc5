package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	repoconfig "chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/setup"
	"chartd.dev/chartd/internal/model"
)

type initFlags struct {
	setup.Request
	yes, strict bool
}

func (a *app) initRepo() *cobra.Command {
	var f initFlags
	c := &cobra.Command{
		Use:   "init",
		Short: "Make .chartctl.yaml for a deploy repo by looking at it",
		Long: `Init finds the environments of a deploy repo and every place in which a chart
version or an image is written: dependencies in requirements.yaml and Chart.yaml,
hub images in values, FROM in Dockerfiles, hubploy.yaml, the hubs' own values, and
lines marked by a comment ("# chartctl: chart.version"). It shows what it found and
why, and asks. After a yes it creates the environments on the server, points the
dependencies at it, and writes .chartctl.yaml. Nothing is changed before that.

With --adopt, what the files say today becomes revision 1 of each environment that
has no pin yet, even a pair that binding would refuse; that one is then
unverified, and no promote or rollback goes to it. Where a branch is a stage, the
files of each stage are read from its branch. The digest of each adopted image is
written beside its tag, and chartd.lock says what is pinned.

A .chartctl.yaml that is there already is used as it is. The policies that it names
are set for new environments; for the others, chartctl env set --from-repo does it.
What is done already is not done again, so after a failure, run it once more.

It ends with a summary: the hubs found, the files used, what was found and left
out, and why, and what to do next. With --strict it changes nothing and exits 7
where anything is left out. --dry-run needs no server; without one it looks for
the charts and images that are well known.`,
		Example: `  chartctl init --dry-run
  chartctl init --dry-run --strict -o json
  chartctl init --server https://charts.example.edu --yes
  chartctl init --adopt "runs since May"`,
		Args: args(0, 0),
	}
	c.Flags().StringVarP(&f.Dir, "directory", "C", "", "the top directory of the deploy repo (else that of the git checkout)")
	c.Flags().StringVar(&f.Chart, "chart", "", "name of the chart that is pinned (else found)")
	c.Flags().StringVar((*string)(&f.Flow), "flow", "", "pin (a bump pins) or review (chartctl apply pins after the merge)")
	c.Flags().StringVar(&f.Adopt, "adopt", "", "adopt what the files say today, for this reason")
	c.Flags().StringVar(&f.Branch, "branch", "", "with branches as stages: the branch that the files are for")
	c.Flags().BoolVar(&f.yes, "yes", false, "do not ask")
	c.Flags().BoolVar(&f.DryRun, "dry-run", false, "only show the proposal; no server is needed for it")
	c.Flags().BoolVar(&f.strict, "strict", false, "refuse to leave anything out (exit 7)")
	c.RunE = func(cmd *cobra.Command, _ []string) error { return a.doInit(cmd.Context(), f) }
	return c
}

func (f initFlags) check(output string) error {
	switch {
	case f.Flow != "" && f.Flow != repoconfig.Pin && f.Flow != repoconfig.Review:
		return usage("flow %q is neither pin nor review", f.Flow)
	case output != "table" && !f.yes && !f.DryRun:
		return usage("init -o %s cannot ask: give --yes or --dry-run", output)
	}
	return nil
}

func (a *app) doInit(ctx context.Context, f initFlags) error {
	if err := f.check(a.output); err != nil {
		return err
	}
	f.Dial = a.clientAt
	s, err := setup.Open(ctx, f.Request)
	a.notes(s.Said)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Plan(ctx); err != nil {
		for _, n := range s.Notes {
			a.note("note: %s", n)
		}
		return err
	}
	if f.DryRun || f.strict && s.Strict() != nil {
		err := a.print(s.Proposal, func(w *writer) {
			proposedSetup(w, s, f)
			summary(w, s)
		})
		if err == nil && f.strict {
			err = s.Strict()
		}
		return err
	}
	if err := a.agreeToInit(s, f); err != nil {
		return err
	}
	s.Said = nil
	err = s.Do(ctx)
	a.notes(s.Said)
	if err != nil {
		return err
	}
	return a.print(s.Proposal, func(w *writer) { doneSetup(w, s) })
}

// summary says what was found, used and left out, and what is to be done.
func summary(w *writer, s *setup.Setup) {
	w.line("found %s (%s) in %s", plural(len(s.Environments), "environment"), strings.Join(s.Summary.Hubs, ", "), plural(len(s.Summary.Files), "file"))
	for _, f := range s.Summary.Files {
		w.line("  %s", f)
	}
	var left []string
	for _, l := range s.Summary.LeftOut {
		left = append(left, l.What)
	}
	if len(left) > 0 {
		w.line("left out, as the notes say why: %s", strings.Join(left, ", "))
	}
	for _, t := range s.Summary.Todo {
		w.line("next: %s", t)
	}
}

// agreeToInit shows the proposal and asks.
func (a *app) agreeToInit(s *setup.Setup, f initFlags) error {
	if a.output == "table" {
		w := &writer{colour: a.colour()}
		proposedSetup(w, s, f)
		if _, err := a.out.Write(w.buf.Bytes()); err != nil {
			return localIO("write output: %v", err)
		}
	}
	switch {
	case f.yes:
		return nil
	case !isTerminal(a.in):
		return usage("nothing was changed: there is no terminal to ask on; give --yes to do what is proposed")
	}
	fmt.Fprint(a.err, "Do this? [y/N] ")
	if a.yes() {
		return nil
	}
	return usage("not agreed to, so nothing was changed; --yes does it without asking")
}

// proposedSetup says what is to be done.
func proposedSetup(w *writer, s *setup.Setup, f initFlags) {
	w.line("%s", s.Directory)
	for _, e := range s.Evidence {
		w.line("  %s", e)
	}
	for _, n := range s.Notes {
		w.line("note: %s", n)
	}
	w.verbatim(s.Diff)
	for _, e := range s.Environments {
		switch e.Action {
		case "create":
			w.line("create %s for chart %s on %s", e.Env, e.Chart, s.Server())
		case "adopt":
			w.line("adopt %s as it is: %s@%s%s", e.Env, e.Chart, e.Version, withImages(e))
		default:
			w.line("keep %s: it is on %s already%s", e.Env, s.Server(), pinnedAt(e))
		}
		if e.Policy != nil {
			w.line("set its policy:")
			changeLines(w, e.Policy.Changes)
		}
	}
	if f.Adopt != "" {
		w.line("write the digests of adopted images beside their tags, and chartd.lock")
	}
}

func withImages(e setup.Environment) string {
	var out strings.Builder
	for _, role := range slices.Sorted(maps.Keys(e.Images)) {
		fmt.Fprintf(&out, ", %s %s", role, e.Images[role])
	}
	return out.String()
}

func pinnedAt(e setup.Environment) string {
	if e.Revision == 0 {
		return ", without a pin"
	}
	return fmt.Sprintf(", at revision %d: %s@%s", e.Revision, e.Chart, e.Version)
}

// doneSetup says what was done.
func doneSetup(w *writer, s *setup.Setup) {
	for _, e := range s.Environments {
		switch {
		case e.Revision == 0:
			w.line("%s is on %s and has no pin yet", e.Env, s.Server())
		case e.Adopted && e.State != model.Verified:
			w.line("%s is adopted as revision %d and UNVERIFIED: %s", e.Env, e.Revision, cmp.Or(e.Reason, "nothing proves that chart and image belong together"))
		case e.Adopted:
			w.line("%s is adopted as revision %d: %s@%s, verified", e.Env, e.Revision, e.Chart, e.Version)
		default:
			w.line("%s is at revision %d: %s@%s, %s", e.Env, e.Revision, e.Chart, e.Version, e.State)
		}
	}
	files := s.Files()
	for _, name := range files {
		w.line("wrote %s", name)
	}
	if len(files) == 0 {
		w.line("every file is as it should be")
		return
	}
	summary(w, s)
}
