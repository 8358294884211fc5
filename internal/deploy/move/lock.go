package move

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/fileset"
	"chartd.dev/chartd/internal/deploy/lockfile"
)

// LockProposal is the lock file as the server's pins make it, entry by entry.
type LockProposal struct {
	Proposal
	Entries []LockDecision `json:"entries"` // those that change

	plan *deploy.Plan
}

// LockDecision is what becomes of one entry; an empty half is none.
type LockDecision struct {
	Key string `json:"key"`
	Was string `json:"was"`
	Now string `json:"now"`
}

// Resolving is a lock file that is written anew from what the server has pinned.
type Resolving struct {
	*Checkout
	Notes    []string
	Proposal LockProposal
}

// ResolveLock compares the lock file with what the server has pinned. leave is
// to be called after it, unless there is an error.
func ResolveLock(ctx context.Context, at Place, dry bool) (*Resolving, error) {
	co, err := Find(ctx, at, true)
	r := &Resolving{Checkout: co}
	if err != nil {
		return r, err
	}
	if r.Notes, err = co.begin(ctx, dry); err == nil {
		err = co.NeedStage(ctx)
	}
	var change fileset.Change
	var entries []LockDecision
	if err == nil {
		change, entries, err = co.fromServer(ctx)
	}
	if err != nil {
		co.Leave()
		return r, err
	}
	p := &deploy.Plan{}
	if !bytes.Equal(change.Old, change.New) {
		p.Changes = []fileset.Change{change}
	}
	r.Proposal = LockProposal{*propose(p), entries, p}
	return r, nil
}

// Write writes the lock file as it is proposed.
func (r *Resolving) Write(ctx context.Context) error {
	a := &act{client: r.Client, co: r.Checkout}
	err := a.writeOnly(ctx, move{}, r.Proposal.plan)
	r.Notes = append(r.Notes, a.out.Notes...)
	r.Proposal.Written = err == nil
	return err
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
func decisions(old []byte, sure []lockfile.Entry, now lockfile.File) []LockDecision {
	out := []LockDecision{}
	for _, e := range now.Entries {
		d := LockDecision{Key: e.Key, Now: entryText(e)}
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
		d := LockDecision{Key: key, Was: "an entry in conflict, or with a wrong sum"}
		if i := slices.IndexFunc(sure, func(s lockfile.Entry) bool { return s.Key == key }); i >= 0 {
			d.Was = entryText(sure[i])
		}
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b LockDecision) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// fromServer is the lock file as the server's pins make it, and what becomes
// of which entry.
func (co *Checkout) fromServer(ctx context.Context) (fileset.Change, []LockDecision, error) {
	old := co.Repo.LockBytes()
	sure := lockfile.Whole(old)
	if f, err := co.Repo.Lock(); err == nil {
		sure = f.Entries
	}
	envs, err := co.Repo.Environments(co.Stage)
	if err != nil {
		return fileset.Change{}, nil, deploy.Coded(err)
	}
	var now lockfile.File
	for _, env := range envs {
		e, err := co.Client.Environment(ctx, env)
		if err != nil && api.CodeOf(err) != api.CodeNotFound {
			return fileset.Change{}, nil, err
		}
		entry := lockfile.Entry{Key: co.Repo.Key(env), Source: co.Repo.Config().Server}
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
