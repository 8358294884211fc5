package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/deploy/move"
	"chartd.dev/chartd/internal/deploy/verify"
)

func (a *app) lock() *cobra.Command {
	return group(&cobra.Command{
		Use: "lock", Short: "Mend the deploy repo's lock file", Example: "  chartctl lock resolve",
	}, a.lockResolve())
}

func (a *app) lockResolve() *cobra.Command {
	var dir, branch string
	var dry, yes, diff bool
	c := &cobra.Command{
		Use:   "resolve",
		Short: "Write chartd.lock anew from what the server has pinned",
		Long: `After a merge conflict, or when the sum of an entry is wrong, resolve takes what
the server has pinned for each environment, says for each entry that changes what
it said and will say, and asks; --diff shows the lines, too. A preparation is kept
where its entry is beyond doubt. Only chartd.lock is written; it then says which
files differ from it, and how to bring them there.`,
		Example: "  chartctl lock resolve\n  chartctl lock resolve --yes --branch prod",
		Args:    args(0, 0),
	}
	c.Flags().StringVarP(&dir, "directory", "C", "", "work in the deploy repo of this directory")
	c.Flags().StringVar(&branch, "branch", "", "with branches as stages: the branch that the file is for")
	c.Flags().BoolVar(&dry, "dry-run", false, "only show what would change")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	c.Flags().BoolVar(&diff, "diff", false, "also show the difference line by line")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.doLockResolve(cmd.Context(), a.place(cmp.Or(dir, "."), branch), dry, yes, diff)
	}
	return c
}

func (a *app) doLockResolve(ctx context.Context, at move.Place, dry, yes, diff bool) error {
	if !yes && !dry && a.output != "table" {
		return usage("lock resolve -o %s cannot ask: give --yes or --dry-run", a.output)
	}
	r, err := move.ResolveLock(ctx, at, dry)
	a.notes(r.Notes)
	if err != nil {
		return err
	}
	defer r.Leave()
	if len(r.Proposal.Files) > 0 && !dry {
		if err := a.agree(r.Proposal, yes, diff); err != nil {
			return err
		}
		r.Notes = nil
		err := r.Write(ctx)
		a.notes(r.Notes)
		if err != nil {
			return err
		}
	}
	if err := a.print(r.Proposal, func(w *writer) { resolved(w, r.Proposal, yes || dry, diff) }); err != nil || dry {
		return err
	}
	return a.sitesBehind(r.Checkout)
}

func resolved(w *writer, p move.LockProposal, show, diff bool) {
	if len(p.Files) == 0 {
		w.line("%s is what the server has pinned", lockfile.Name)
	}
	if show { // else it was shown with the question
		lockLines(w, p, diff)
	}
}

func lockLines(w *writer, p move.LockProposal, diff bool) {
	for _, e := range p.Entries {
		w.line("%s: %s", e.Key, cmp.Or(e.Now, "no entry: the server has nothing pinned"))
		w.line("  instead of %s", cmp.Or(e.Was, "no entry"))
	}
	if len(p.Entries) == 0 && len(p.Files) > 0 {
		w.line("no entry changes; other lines of %s do", lockfile.Name)
	}
	if diff {
		w.verbatim(p.Diff)
	}
}

// agree shows the difference and waits for a yes.
func (a *app) agree(p move.LockProposal, yes, diff bool) error {
	if yes {
		return nil
	}
	w := &writer{}
	lockLines(w, p, diff)
	if _, err := fmt.Fprintf(a.out, "%sWrite %s like this? [y/N] ", w.buf.String(), lockfile.Name); err != nil {
		return localIO("write output: %v", err)
	}
	if a.yes() {
		return nil
	}
	return usage("not agreed to, so %s stays as it is; --yes writes it without asking", lockfile.Name)
}

// sitesBehind says where files differ from the lock that was just written.
func (a *app) sitesBehind(co *move.Checkout) error {
	if err := co.Repo.Reload(); err != nil || co.Repo.LockBytes() == nil {
		return deploy.Coded(err)
	}
	envs, err := co.Repo.Environments(co.Stage)
	if err != nil {
		return deploy.Coded(err)
	}
	v, err := verify.Repo(co.Repo, verify.Options{Envs: envs})
	if err != nil {
		return deploy.Coded(err)
	}
	for _, f := range v.Findings {
		a.note("%s", f)
	}
	return nil
}
