package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy"
	repoconfig "chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

type initFlags struct {
	dir, chart, flow, adopt, branch string
	yes, dryRun                     bool
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
What is done already is not done again, so after a failure, run it once more.`,
		Example: `  chartctl init --dry-run
  chartctl init --server https://charts.example.edu --yes
  chartctl init --adopt "runs since May"`,
		Args: args(0, 0),
	}
	c.Flags().StringVarP(&f.dir, "directory", "C", "", "the top directory of the deploy repo (else that of the git checkout)")
	c.Flags().StringVar(&f.chart, "chart", "", "name of the chart that is pinned (else found)")
	c.Flags().StringVar(&f.flow, "flow", "", "pin (a bump pins) or review (chartctl apply pins after the merge)")
	c.Flags().StringVar(&f.adopt, "adopt", "", "adopt what the files say today, for this reason")
	c.Flags().StringVar(&f.branch, "branch", "", "with branches as stages: the branch that the files are for")
	c.Flags().BoolVar(&f.yes, "yes", false, "do not ask")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "only show the proposal")
	c.RunE = func(cmd *cobra.Command, _ []string) error { return a.doInit(cmd.Context(), f) }
	return c
}

func (f initFlags) check(output string) error {
	switch {
	case f.flow != "" && f.flow != string(repoconfig.Pin) && f.flow != string(repoconfig.Review):
		return usage("flow %q is neither pin nor review", f.flow)
	case output != "table" && !f.yes && !f.dryRun:
		return usage("init -o %s cannot ask: give --yes or --dry-run", output)
	}
	return nil
}

// initResult is what init proposes and did.
type initResult struct {
	Directory    string         `json:"directory"`
	Config       string         `json:"config"` // of .chartctl.yaml
	Evidence     []initEvidence `json:"evidence"`
	Notes        []string       `json:"notes"`
	Environments []initEnv      `json:"environments"`
	Diff         string         `json:"diff"`
	Done         bool           `json:"done"`
}

type initEvidence struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"`
	Text string `json:"text"`
	Why  string `json:"why"`
}

// initEnv is one environment: what is to be done, and then what was.
type initEnv struct {
	Env      ref.Env           `json:"environment"`
	Chart    string            `json:"chart"`
	Action   string            `json:"action"` // create, adopt, keep
	Version  string            `json:"version,omitempty"`
	Images   map[string]string `json:"images,omitempty"`
	Revision uint64            `json:"revision,omitempty"`
	State    string            `json:"state,omitempty"` // of the pinned binding
	Reason   string            `json:"reason,omitempty"`
	Policy   *policySetting    `json:"policy,omitempty"` // set where the file names one and the server has none yet

	binding *api.Binding
	adopted bool
}

func (a *app) doInit(ctx context.Context, f initFlags) error {
	if err := f.check(a.output); err != nil {
		return err
	}
	s, err := a.openSetup(ctx, f)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.propose(ctx); err != nil {
		return initError(err)
	}
	if err := s.pointAtServer(); err != nil {
		return deploy.Coded(err)
	}
	if err := s.planEnvironments(ctx); err != nil {
		return err
	}
	s.out.Diff = deploy.Diff(s.changes)
	if f.dryRun {
		return a.print(s.out, func(w *writer) { s.show(w) })
	}
	if err := a.agreeToInit(s); err != nil {
		return err
	}
	if err := s.writable(); err != nil {
		return err
	}
	// The server comes first: what is done there, a second run finds done.
	if err := s.setUpServer(ctx); err != nil {
		return err
	}
	if err := s.writeFiles(a); err != nil {
		return err
	}
	s.out.Done = true
	return a.print(s.out, func(w *writer) { s.told(w) })
}

// agreeToInit shows the proposal and asks.
func (a *app) agreeToInit(s *setup) error {
	if a.output == "table" {
		w := &writer{colour: a.colour()}
		s.show(w)
		if _, err := a.out.Write(w.buf.Bytes()); err != nil {
			return localIO("write output: %v", err)
		}
	}
	switch {
	case s.flags.yes:
		return nil
	case !isTerminal(a.in):
		return usage("nothing was changed: there is no terminal to ask on; give --yes to do what is proposed")
	}
	fmt.Fprint(a.err, "Do this? [y/N] ")
	line, _ := bufio.NewReader(a.in).ReadString('\n') // an end of input is a no
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return usage("not agreed to, so nothing was changed; --yes does it without asking")
}

// show prints the proposal.
func (s *setup) show(w *writer) {
	w.line("%s", s.root.Dir())
	for _, e := range s.out.Evidence {
		w.line("  %s", repoconfig.Evidence(e))
	}
	for _, n := range s.out.Notes {
		w.line("note: %s", n)
	}
	w.verbatim(s.out.Diff)
	for _, e := range s.out.Environments {
		switch e.Action {
		case "create":
			w.line("create %s for chart %s on %s", e.Env, e.Chart, s.client.Server())
		case "adopt":
			w.line("adopt %s as it is: %s@%s%s", e.Env, e.Chart, e.Version, e.withImages())
		default:
			w.line("keep %s: it is on %s already%s", e.Env, s.client.Server(), e.at())
		}
		if e.Policy != nil {
			w.line("set its policy:")
			e.Policy.show(w)
		}
	}
	if s.flags.adopt != "" {
		w.line("write the digests of adopted images beside their tags, and chartd.lock")
	}
}

func (e initEnv) withImages() string {
	var out strings.Builder
	for _, role := range sortedKeys(e.Images) {
		fmt.Fprintf(&out, ", %s %s", role, e.Images[role])
	}
	return out.String()
}

func (e initEnv) at() string {
	if e.Revision == 0 {
		return ", without a pin"
	}
	return fmt.Sprintf(", at revision %d: %s@%s", e.Revision, e.Chart, e.Version)
}

// told says what was done.
func (s *setup) told(w *writer) {
	unpinned := ""
	for _, e := range s.out.Environments {
		switch {
		case e.Revision == 0:
			unpinned = cmp.Or(unpinned, e.Env.String())
			w.line("%s is on %s and has no pin yet", e.Env, s.client.Server())
		case e.adopted && e.State != string(model.Verified):
			w.line("%s is adopted as revision %d and UNVERIFIED: %s", e.Env, e.Revision, cmp.Or(e.Reason, "nothing proves that chart and image belong together"))
		case e.adopted:
			w.line("%s is adopted as revision %d: %s@%s, verified", e.Env, e.Revision, e.Chart, e.Version)
		default:
			w.line("%s is at revision %d: %s@%s, %s", e.Env, e.Revision, e.Chart, e.Version, e.State)
		}
	}
	for _, c := range s.changes {
		w.line("wrote %s", c.Path)
	}
	switch {
	case len(s.changes) == 0:
		w.line("every file is as it should be")
	case unpinned != "":
		w.line("next: commit the files, then chartctl bump %s --version V%s", unpinned, s.groupFlag())
	default:
		w.line("next: commit the files, then chartctl verify%s", s.elsewhere())
	}
}

// elsewhere names the branches that are stages too: each has a lock file of
// its own, and a merge would promote.
func (s *setup) elsewhere() string {
	var others []string
	for _, branch := range sortedKeys(s.conf.Branches) {
		if s.conf.Branches[branch] != s.stage {
			others = append(others, branch)
		}
	}
	if s.stage == "" || len(others) == 0 {
		return ""
	}
	return "; then chartctl init on the branch " + strings.Join(others, ", and on ") + " too"
}

// groupFlag is what a bump needs where environments share sites.
func (s *setup) groupFlag() string {
	for _, g := range s.conf.Groups() {
		if len(g) > 1 {
			return " --group"
		}
	}
	return ""
}
