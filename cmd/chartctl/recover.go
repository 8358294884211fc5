package main

import (
	"strings"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/deploy/move"
)

func (a *app) recover() *cobra.Command {
	var dir string
	var discard bool
	c := &cobra.Command{
		Use:   "recover",
		Short: "Finish or discard what an interrupted command left in the deploy repo",
		Long: `A command that pins and writes files can be interrupted between the two. Recover
asks the server what became of the pin: if it was made, the files are finished;
if not, the server is told to refuse it from now on, and the files stay as they
were. If the server can't be reached, nothing changes (exit 10). Every command
that changes the deploy repo does the same before it starts.

--discard gives up the files even if the pin was made, where one of them was
edited meanwhile; a bump to the same version writes them again.`,
		Example: "  chartctl recover\n  chartctl recover -C ~/hubs",
		Args:    args(0, 0),
	}
	c.Flags().StringVarP(&dir, "directory", "C", "", "work in the deploy repo of this directory")
	c.Flags().BoolVar(&discard, "discard", false, "give up the files, whatever became of the pin")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		done, err := move.Recover(cmd.Context(), a.place(dir, ""), discard)
		if err != nil {
			return err
		}
		return a.print(done, func(w *writer) { recoveredLines(w, done) })
	}
	return c
}

func recoveredLines(w *writer, r move.Recovered) {
	if r.State == move.Nothing {
		w.line("nothing to recover")
		return
	}
	w.line("%s: %s", r.State, strings.Join(r.Files, ", "))
	for _, p := range r.Pins {
		w.line("%s is pinned as revision %d", p.Env, p.Revision)
	}
}
