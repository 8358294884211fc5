package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/fileset"
	"chartd.dev/chartd/internal/deploy/lockfile"
)

func (a *app) lock() *cobra.Command {
	return group(&cobra.Command{
		Use: "lock", Short: "Mend the deploy repo's lock file", Example: "  chartctl lock resolve",
	}, a.lockResolve())
}

func (a *app) lockResolve() *cobra.Command {
	var f fileFlags
	var yes bool
	c := &cobra.Command{
		Use:   "resolve",
		Short: "Write chartd.lock anew from what the server has pinned",
		Long: `After a merge conflict, or when the sum of an entry is wrong, resolve takes what
the server has pinned for each environment, shows the difference and asks. A
preparation is kept where its entry is beyond doubt. Only chartd.lock is
written; it then says which files differ from it, and how to bring them there.`,
		Example: "  chartctl lock resolve\n  chartctl lock resolve --yes --branch prod",
		Args:    args(0, 0),
	}
	c.Flags().StringVarP(&f.dir, "directory", "C", "", "work in the deploy repo of this directory")
	c.Flags().StringVar(&f.branch, "branch", "", "with branches as stages: the branch that the file is for")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "only show the difference")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	c.RunE = func(cmd *cobra.Command, _ []string) error { return a.doLockResolve(cmd.Context(), f, yes) }
	return c
}

func (a *app) doLockResolve(ctx context.Context, f fileFlags, yes bool) error {
	if !yes && !f.dryRun && a.output != "table" {
		return usage("lock resolve -o %s cannot ask: give --yes or --dry-run", a.output)
	}
	f.dir = first(f.dir, ".")
	co, err := a.find(ctx, f)
	if err != nil {
		return err
	}
	defer co.leave()
	if co.client, err = a.clientAt(co.repo.Config().Server); err != nil {
		return err
	}
	if f.dryRun {
		err = co.idle()
	} else {
		err = a.hold(ctx, co)
	}
	if err != nil {
		return err
	}
	if err := co.needStage(ctx); err != nil {
		return err
	}
	change, err := co.fromServer(ctx)
	if err != nil {
		return err
	}
	p := &deploy.Plan{}
	if !bytes.Equal(change.Old, change.New) {
		p.Changes = []fileset.Change{change}
	}
	out := proposalOf(p)
	if len(p.Changes) > 0 && !f.dryRun {
		if err := a.agree(out, yes); err != nil {
			return err
		}
		if err := a.writeOnly(ctx, co, job{}, p); err != nil {
			return err
		}
		out.Written = true
	}
	if err := a.print(out, func(w *writer) { resolved(w, f, yes, out) }); err != nil || f.dryRun {
		return err
	}
	return a.sitesBehind(co)
}

func resolved(w *writer, f fileFlags, yes bool, out proposal) {
	if len(out.Files) == 0 {
		w.line("%s is what the server has pinned", lockfile.Name)
	}
	if yes || f.dryRun { // else it was shown with the question
		w.verbatim(out.Diff)
	}
}

// fromServer is the lock file as the server's pins make it.
func (co *checkout) fromServer(ctx context.Context) (fileset.Change, error) {
	old := co.repo.LockBytes()
	sure := lockfile.Whole(old)
	if f, err := co.repo.Lock(); err == nil {
		sure = f.Entries
	}
	envs, err := co.repo.Environments(co.stage)
	if err != nil {
		return fileset.Change{}, repoError(err)
	}
	var now lockfile.File
	for _, env := range envs {
		e, err := co.client.Environment(ctx, env)
		if err != nil && code(err) != api.CodeNotFound {
			return fileset.Change{}, err
		}
		entry := lockfile.Entry{Key: co.repo.Key(env), Source: co.repo.Config().Server}
		if e.Binding != nil {
			entry = deploy.EntryOf(entry.Key, *e.Binding, entry.Source)
		}
		if i := slices.IndexFunc(sure, func(s lockfile.Entry) bool { return s.Key == entry.Key }); i >= 0 {
			entry.Prepare = sure[i].Prepare
		}
		if entry.Pinned() || entry.Prepare != nil {
			now = now.With(entry)
		}
	}
	change := fileset.Change{Path: lockfile.Name, Old: old}
	if old != nil || len(now.Entries) > 0 {
		change.New = now.Bytes()
	}
	return change, nil
}

// agree shows the difference and waits for a yes.
func (a *app) agree(p proposal, yes bool) error {
	if yes {
		return nil
	}
	w := &writer{}
	w.verbatim(p.Diff)
	if _, err := fmt.Fprintf(a.out, "%sWrite %s like this? [y/N] ", w.buf.String(), lockfile.Name); err != nil {
		return localIO("write output: %v", err)
	}
	line, _ := bufio.NewReader(a.in).ReadString('\n') // an end of input is a no
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return usage("not agreed to, so %s stays as it is; --yes writes it without asking", lockfile.Name)
}

// sitesBehind says where files differ from the lock that was just written.
func (a *app) sitesBehind(co *checkout) error {
	if err := co.repo.Reload(); err != nil || co.repo.LockBytes() == nil {
		return repoError(err)
	}
	envs, err := co.repo.Environments(co.stage)
	if err != nil {
		return repoError(err)
	}
	v, err := co.repo.Verify(deploy.VerifyOptions{Envs: envs})
	if err != nil {
		return repoError(err)
	}
	for _, f := range v.Findings {
		a.note("%s", f)
	}
	return nil
}
