package move

import (
	"context"
	"fmt"
	"slices"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// maxHistory bounds how many commits of chartd.lock are looked at.
const maxHistory = 10000

// history is chartd.lock as the commits on HEAD's first-parent line left it,
// newest first.
type history struct {
	head    string
	locks   []lockfile.File
	cut     bool  // older commits are not here
	headErr error // HEAD's own lock is not among them
}

// history reads the lock files of HEAD and its first-parent ancestors. One
// that cannot be trusted is passed over.
func (co *Checkout) history(ctx context.Context) (history, error) {
	var h history
	git := co.Repo.Git()
	if git == nil {
		return h, usage("%s is in no git repository, and apply pins what a commit has locked", co.Repo.Root().Dir())
	}
	var err error
	if h.head, err = co.head(ctx); err != nil {
		return h, err
	}
	state, err := git.State(ctx)
	if err != nil {
		return h, deploy.Coded(err)
	}
	path, err := co.Repo.GitPath(lockfile.Name)
	if err != nil {
		return h, deploy.Coded(err)
	}
	versions, err := git.FirstParents(ctx, path, maxHistory)
	if err != nil {
		return h, deploy.Coded(err)
	}
	if len(versions) == 0 || versions[0].Blob == "" {
		h.headErr = &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("HEAD has no %s: nothing is locked yet", lockfile.Name), Want: fmt.Sprintf("make one with %s and commit it", advice.AnyBump)}
	}
	h.cut = state.Shallow || len(versions) == maxHistory
	for i, v := range versions {
		f, err := lockfile.Parse(v.Data)
		switch {
		case err == nil:
			h.locks = append(h.locks, f)
		case i == 0 && h.headErr == nil:
			h.headErr = deploy.Coded(err)
		}
	}
	return h, nil
}

// bindings are those that the key was locked to, newest first, without
// repetitions in a row.
func (h history) bindings(key string) []ref.BindingID {
	var out []ref.BindingID
	for _, f := range h.locks {
		if e, ok := f.Get(key); ok && e.Pinned() && (len(out) == 0 || out[len(out)-1] != e.Binding) {
			out = append(out, e.Binding)
		}
	}
	return out
}

// allows says whether HEAD's lock of key may follow what the server has
// pinned: that is the lock of an ancestor, and no lock after that one was
// pinned and left again, as by a rollback that the repo does not know of.
func (h history) allows(ctx context.Context, co *Checkout, e api.Environment, key string) error {
	if e.Pin == nil {
		return nil
	}
	locked := h.bindings(key)
	at := slices.Index(locked, e.Pin.Binding)
	if at < 0 {
		return h.stranger(e)
	}
	later := locked[:at]
	for before := uint64(0); ; {
		page, err := co.Client.Pins(ctx, e.Env, before, 100)
		if err != nil {
			return err
		}
		for _, p := range page.Pins {
			// Going back in time on both sides: a pin is that of the same or an
			// earlier lock, or it does not come from this history.
			if i := slices.Index(locked[at:], p.Binding); i >= 0 {
				at += i
			} else if slices.Contains(later, p.Binding) {
				return h.left(co, e, p)
			}
			before = p.Revision
		}
		if page.Next == 0 || len(page.Pins) == 0 {
			return nil
		}
	}
}

// stranger refuses to overwrite a pin that the repo never had.
func (h history) stranger(e api.Environment) error {
	why := ""
	if h.cut {
		why = " that is here: history is cut off (fetch-depth: 0 gets all of it)"
	}
	return &api.Error{Code: api.CodeDrift, Message: fmt.Sprintf("%s is pinned to %s@%s (revision %d, %s by %s), which %s had at no commit of this branch%s",
		e.Env, e.Pin.Name, e.Pin.Version, e.Revision, e.Pin.Kind, e.Pin.By, lockfile.Name, why),
		Want: fmt.Sprintf("bring that pin into the repo with %s, or pin by hand with %s", advice.LockResolve, advice.AnyBump)}
}

// left refuses to go again to a lock that was pinned before the current one.
func (h history) left(co *Checkout, e api.Environment, p api.Pin) error {
	locked := h.bindings(co.Repo.Key(e.Env))[0]
	again := model.Facts{Env: e.Env, Binding: locked}
	for _, other := range co.Repo.Group(e.Env) { // a part of a group would split it
		if entry, ok := h.locks[0].Get(co.Repo.Key(other)); ok && other != e.Env && entry.Binding == locked {
			again.Others = append(again.Others, other)
		}
	}
	return &api.Error{Code: api.CodeStale, Message: fmt.Sprintf("%s had what HEAD locks, or a lock before it, as revision %d (%s@%s), and went back to %s@%s since (revision %d, %s by %s)",
		e.Env, p.Revision, p.Name, p.Version, e.Pin.Name, e.Pin.Version, e.Revision, e.Pin.Kind, e.Pin.By),
		Want: "revert the commit, or pin it again on purpose: " + advice.BumpNoFiles.With(again)}
}
