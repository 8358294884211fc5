package main

import (
	"cmp"
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy/move"
	"chartd.dev/chartd/internal/ref"
)

// moveFlags are those of every command that pins.
type moveFlags struct {
	move.Files
	move.Why
	dir, branch string
}

func (f *moveFlags) add(c *cobra.Command) {
	c.Flags().StringVarP(&f.dir, "directory", "C", "", "work in the deploy repo of this directory")
	c.Flags().StringVar(&f.branch, "branch", "", "with branches as stages: the branch that the files are for")
	c.Flags().BoolVar(&f.None, "no-files", false, "only pin; leave the files of the deploy repo alone")
	c.Flags().BoolVar(&f.Group, "group", false, "move the environments that share sites with it too")
	c.Flags().BoolVar(&f.AllowDirty, "allow-dirty", false, "also over uncommitted changes of the files concerned")
	c.Flags().BoolVar(&f.Files.Commit, "commit", false, "commit the changed files, and nothing else")
	c.Flags().BoolVar(&f.DryRun, "dry-run", false, "show the diff and what the gate says; change nothing")
	addWhy(c, &f.Why)
}

// request is what the flags say of environments.
func (f moveFlags) request(names []string) (move.Request, error) {
	envs, err := parseEnvs(names)
	return move.Request{Envs: envs, Files: f.Files, Why: f.Why}, err
}

// addWhy adds what a caller may say for a pin.
func addWhy(c *cobra.Command, w *move.Why) {
	c.Flags().StringVar(&w.Reason, "reason", "", "why; kept with the pin")
	addGateFlags(c, w)
}

// addGateFlags adds what a caller may say to the gate, with a reason each.
func addGateFlags(c *cobra.Command, w *move.Why) {
	c.Flags().StringVar(&w.Downgrade, "downgrade", "", "why a proven pair may go back to an older chart or image")
	c.Flags().StringVar(&w.BreakGlass, "break-glass", "", "why the gate is to be passed; marks the pin, and needs a scope of its own")
}

// place is where a command runs. CI often checks out a commit and no branch.
func (a *app) place(dir, branch string) move.Place {
	return move.Place{Dir: dir, Branch: branch, Dial: a.clientAt,
		Guess: cmp.Or(a.getenv("GITHUB_BASE_REF"), a.getenv("CI_MERGE_REQUEST_TARGET_BRANCH_NAME"))}
}

// merged is the branch that CI runs for, if it says so.
func (a *app) merged() string {
	return cmp.Or(a.getenv("GITHUB_REF_NAME"), a.getenv("CI_COMMIT_BRANCH"))
}

// moved prints what a move came to, and passes its error on.
func (a *app) moved(out move.Outcome, err error) error {
	a.notes(out.Notes)
	switch p := out.Proposal; {
	case p != nil:
		return cmp.Or(a.print(p, func(w *writer) { proposalLines(w, p) }), err)
	case err != nil:
		return err
	}
	if len(out.Pins) == 1 {
		return a.print(out.Pins[0].Pin, func(w *writer) { pinLines(w, out.Pins...) })
	}
	return a.print(api.PinSetResult{Set: out.Set, Pins: pinsOf(out.Pins)}, func(w *writer) { pinLines(w, out.Pins...) })
}

func (a *app) notes(list []string) {
	for _, n := range list {
		a.note("%s", n)
	}
}

func pinsOf(list []move.Now) []api.Pin {
	out := []api.Pin{}
	for _, n := range list {
		out = append(out, n.Pin)
	}
	return out
}

func proposalLines(w *writer, p *move.Proposal) {
	w.verbatim(p.Diff)
	for _, v := range p.Verdicts {
		word := "passes"
		if !v.Pass {
			word = "is refused"
		}
		w.line("gate: %s to %s@%s %s", v.Env, v.Name, v.Version, word)
		if v.ByVersion != "" && v.Direction != nil {
			w.line("  the chart goes %s by the order of publication, and %s by its version", v.Direction.Chart, v.ByVersion)
		}
	}
}

// parseEnvs parses each environment; one given twice is an error.
func parseEnvs(args []string) ([]ref.Env, error) {
	seen := map[ref.Env]bool{}
	var envs []ref.Env
	for _, s := range args {
		env, err := parseEnv(s)
		if err != nil {
			return nil, err
		}
		if seen[env] {
			return nil, usage("environment %q is given twice", env)
		}
		seen[env] = true
		envs = append(envs, env)
	}
	return envs, nil
}

func parseRevision(s string) (uint64, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "#"), 10, 64)
	if err != nil || n == 0 {
		return 0, usage("revision %q is not a number such as 17", s)
	}
	return n, nil
}

// find opens the deploy repo that a command is run in; nil if there is none
// and none is asked for.
func (a *app) find(ctx context.Context, dir, branch string) (*move.Checkout, error) {
	return move.Find(ctx, a.place(dir, branch), dir != "")
}
