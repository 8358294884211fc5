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
	"chartd.dev/chartd/internal/deploy/verify"
)

func (a *app) lock() *cobra.Command {
	return group(&cobra.Command{
		Use: "lock", Short: "Mend the deploy repo's lock file", Example: "  chartctl lock resolve",
	}, a.lockResolve())
}

func (a *app) lockResolve() *cobra.Command {
	var f fileFlags
	var yes, diff bool
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
	c.Flags().StringVarP(&f.dir, "directory", "C", "", "work in the deploy repo of this directory")
	c.Flags().StringVar(&f.branch, "branch", "", "with branches as stages: the branch that the file is for")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "only show what would change")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	c.Flags().BoolVar(&diff, "diff", false, "also show the difference line by line")
	c.RunE = func(cmd *cobra.Command, _ []string) error { return a.doLockResolve(cmd.Context(), f, yes, diff) }
	return c
}

func (a *app) doLockResolve(ctx context.Context, f fileFlags, yes, diff bool) error {
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
	change, entries, err := co.fromServer(ctx)
	if err != nil {
		return err
	}
	p := &deploy.Plan{}
	if !bytes.Equal(change.Old, change.New) {
		p.Changes = []fileset.Change{change}
	}
	out := lockProposal{proposalOf(p), entries}
	if len(p.Changes) > 0 && !f.dryRun {
		if err := a.agree(out, yes, diff); err != nil {
			return err
		}
		if err := a.writeOnly(ctx, co, job{}, p); err != nil {
			return err
		}
		out.Written = true
	}
	if err := a.print(out, func(w *writer) { resolved(w, yes || f.dryRun, diff, out) }); err != nil || f.dryRun {
		return err
	}
	return a.sitesBehind(co)
}

// lockProposal is what resolve writes, entry by entry.
type lockProposal struct {
	proposal
	Entries []lockDecision `json:"entries"` // those that change
}

// lockDecision is what becomes of one entry; an empty half is none.
type lockDecision struct {
	Key string `json:"key"`
	Was string `json:"was"`
	Now string `json:"now"`
}

func resolved(w *writer, show, diff bool, out lockProposal) {
	if len(out.Files) == 0 {
		w.line("%s is what the server has pinned", lockfile.Name)
	}
	if show { // else it was shown with the question
		out.lines(w, diff)
	}
}

func (p lockProposal) lines(w *writer, diff bool) {
	for _, e := range p.Entries {
		w.line("%s: %s", e.Key, first(e.Now, "no entry: the server has nothing pinned"))
		w.line("  instead of %s", first(e.Was, "no entry"))
	}
	if len(p.Entries) == 0 && len(p.Files) > 0 {
		w.line("no entry changes; other lines of %s do", lockfile.Name)
	}
	if diff {
		w.verbatim(p.Diff)
	}
}

// entryText is a lock entry in one line.
func entryText(e lockfile.Entry) string {
	var parts []string
	if e.Pinned() {
		parts = append(parts, e.Chart.Name+" "+e.Chart.Version)
	}
	for _, i := range e.Images {
		parts = append(parts, fmt.Sprintf("%s %s:%s@%.12s", i.Role, i.Repository, i.Tag, i.Digest.Hex()))
	}
	if e.Prepare != nil {
		parts = append(parts, "prepared "+e.Prepare.Version)
	}
	return strings.Join(parts, ", ")
}

// decisions compares the entries of two lock files. One that is in doubt says
// nothing, but is there.
func decisions(old []byte, sure []lockfile.Entry, now lockfile.File) []lockDecision {
	out := []lockDecision{}
	for _, e := range now.Entries {
		d := lockDecision{Key: e.Key, Now: entryText(e)}
		i := slices.IndexFunc(sure, func(s lockfile.Entry) bool { return s.Key == e.Key })
		switch {
		case i >= 0 && sure[i].Sum() == e.Sum():
			continue
		case i >= 0:
			if d.Was = entryText(sure[i]); d.Was == d.Now {
				d.Was = "the same with another binding, source, digest or base"
			}
		case slices.Contains(lockfile.Keys(old), e.Key):
			d.Was = "an entry in conflict, or with a wrong sum"
		}
		out = append(out, d)
	}
	for _, key := range lockfile.Keys(old) {
		if _, kept := now.Get(key); kept {
			continue
		}
		d := lockDecision{Key: key, Was: "an entry in conflict, or with a wrong sum"}
		if i := slices.IndexFunc(sure, func(s lockfile.Entry) bool { return s.Key == key }); i >= 0 {
			d.Was = entryText(sure[i])
		}
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b lockDecision) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// fromServer is the lock file as the server's pins make it, and what becomes
// of which entry.
func (co *checkout) fromServer(ctx context.Context) (fileset.Change, []lockDecision, error) {
	old := co.repo.LockBytes()
	sure := lockfile.Whole(old)
	if f, err := co.repo.Lock(); err == nil {
		sure = f.Entries
	}
	envs, err := co.repo.Environments(co.stage)
	if err != nil {
		return fileset.Change{}, nil, repoError(err)
	}
	var now lockfile.File
	for _, env := range envs {
		e, err := co.client.Environment(ctx, env)
		if err != nil && code(err) != api.CodeNotFound {
			return fileset.Change{}, nil, err
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
	return change, decisions(old, sure, now), nil
}

// agree shows the difference and waits for a yes.
func (a *app) agree(p lockProposal, yes, diff bool) error {
	if yes {
		return nil
	}
	w := &writer{}
	p.lines(w, diff)
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
	v, err := verify.Repo(co.repo, verify.Options{Envs: envs})
	if err != nil {
		return repoError(err)
	}
	for _, f := range v.Findings {
		a.note("%s", f)
	}
	return nil
}
