package main

import (
	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy/move"
)

func (a *app) apply() *cobra.Command {
	var dir, branch string
	var why move.Why
	c := &cobra.Command{
		Use:   "apply",
		Short: "Pin what the deploy repo's HEAD has locked, after a merge",
		Long: `Apply is for CI, after the merge of a change that was made under "flow: review".
It reads chartd.lock of HEAD. What the server has pinned already needs nothing
(exit 0). Anything else is pinned, several environments in one transaction, if
the server is still at the lock of an earlier commit on HEAD's first-parent line
and no later lock was pinned since: a rollback is not undone by running an old
job again (exit 6), and a pin that the repo never had is not overwritten (exit
7). It needs the whole history: fetch-depth: 0.

The pin is a promote if every environment's upstream stage has that pair now,
else a bump; where the gate refuses that and all of them had the pair before, it
is a rollback, so that a merged revert passes as one. A bump or rollback that
needed --downgrade or --break-glass needs it here again: files do not hold it, so
somebody who may pin runs apply with it, on the branch that was merged into.

Where branches are stages, the stage is that of the branch checked out; CI often
checks out none, so --branch, GITHUB_REF_NAME or CI_COMMIT_BRANCH tells it.`,
		Example: `  chartctl apply
  chartctl apply --branch prod
  chartctl apply --downgrade "logins fail since 3.3.8"`,
		Args: args(0, 0),
	}
	c.Flags().StringVarP(&dir, "directory", "C", "", "work in the deploy repo of this directory")
	c.Flags().StringVar(&branch, "branch", "", "with branches as stages: the branch that was merged into")
	addWhy(c, &why)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		at := a.place(dir, branch)
		at.Guess = a.merged()
		out, err := move.Apply(cmd.Context(), at, why)
		a.notes(out.Notes)
		if err != nil {
			return err
		}
		done := applied{Commit: out.Commit, Set: out.Set, Pins: pinsOf(out.Pins)}
		return a.print(done, func(w *writer) {
			if len(done.Pins) == 0 {
				w.line("the server has what %.12s locks: nothing to do", done.Commit)
			}
			pinLines(w, out.Pins...)
		})
	}
	return c
}

// applied is what apply did.
type applied struct {
	Commit string    `json:"commit"`
	Set    string    `json:"set,omitempty"`
	Pins   []api.Pin `json:"pins"` // made now; none: the server had it all
}
