package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"chartd.dev/chartd/internal/api"
	repoconfig "chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/deploy/verify"
	"chartd.dev/chartd/internal/ref"
)

// pendingEntry is what the lock has of an environment that is pinned otherwise.
func (co *checkout) pendingEntry(o *verify.Options, env ref.Env) (lockfile.Entry, api.Environment, bool) {
	lock, err := co.repo.Lock()
	e, ok := lock.Get(co.repo.Key(env))
	now, known := o.Environments[env]
	return e, now, err == nil && ok && e.Pinned() && known && (now.Pin == nil || now.Pin.Binding != e.Binding)
}

// askHistory finds out which of the pending locks chartctl apply would not pin
// after a merge, whatever the gate says.
func (co *checkout) askHistory(ctx context.Context, o *verify.Options, out *verified) error {
	if co.repo.Config().Flow != repoconfig.Review {
		return nil
	}
	var past history
	for _, env := range o.Envs {
		entry, now, pending := co.pendingEntry(o, env)
		if !pending {
			continue
		}
		if past.locks == nil {
			var err error
			if past, err = co.proposed(ctx); err != nil {
				return err
			}
			out.Checked = append(out.Checked, "history")
			o.Unfollowed = map[ref.Env]*api.Error{}
		}
		err := co.pinnable(ctx, past, entry, now)
		var e *api.Error
		switch {
		case err == nil:
		case !errors.As(err, &e) || e.Code != api.CodeDrift && e.Code != api.CodeStale:
			return err
		case past.cut && e.Code == api.CodeStale || past.cut && now.Pin != nil && !slices.Contains(past.bindings(entry.Key), now.Pin.Binding):
			why := "the history of the checkout is cut off (fetch-depth: 0 gets all of it)"
			if co.repo.Git() == nil {
				why = "it is in no git repository, or there is no git"
			}
			out.Notes = append(out.Notes, fmt.Sprintf("whether apply would pin the lock of %s is not known: %s", env, why))
		default:
			o.Unfollowed[env] = e
		}
	}
	return nil
}

// pinnable says why an entry would not be pinned: with CodeDrift or CodeStale,
// else the question failed.
func (co *checkout) pinnable(ctx context.Context, past history, entry lockfile.Entry, now api.Environment) error {
	b, err := co.client.Binding(ctx, entry.Binding)
	if code(err) == api.CodeNotFound {
		return &api.Error{Code: api.CodeDrift, Message: fmt.Sprintf("the server has no binding %s, which %s names for %s", entry.Binding, lockfile.Name, entry.Key),
			Want: "run chartctl lock resolve, then bump again"}
	}
	if err == nil {
		err = same(entry, b)
	}
	if err != nil {
		return err
	}
	err = past.allows(ctx, co, now, entry.Key)
	if code(err) != api.CodeDrift {
		return err
	}
	// The first parent of this branch is not always that of the merge.
	if had, asked := co.everHad(ctx, entry.Key, now.Pin.Binding); asked != nil || had {
		return asked
	}
	return err
}

// proposed is the history with the lock of the checkout on top, as it will be
// after the merge.
func (co *checkout) proposed(ctx context.Context) (history, error) {
	lock, err := co.repo.Lock()
	if err != nil {
		return history{}, repoError(err)
	}
	var past history
	if co.repo.Git() == nil {
		past.cut = true
	} else if past, err = co.history(ctx); err != nil {
		return past, err
	}
	past.locks = slices.Insert(past.locks, 0, lock)
	return past, nil
}

// everHad reports whether any ancestor of HEAD has the key locked to a binding.
func (co *checkout) everHad(ctx context.Context, key string, want ref.BindingID) (bool, error) {
	if co.repo.Git() == nil {
		return false, nil
	}
	path, err := co.repo.GitPath(lockfile.Name)
	if err != nil {
		return false, repoError(err)
	}
	versions, err := co.repo.Git().Ancestors(ctx, path, maxHistory)
	if err != nil {
		return false, repoError(err)
	}
	for _, v := range versions {
		f, err := lockfile.Parse(v.Data)
		if e, ok := f.Get(key); err == nil && ok && e.Binding == want {
			return true, nil
		}
	}
	return false, nil
}

// askGate asks what the gate would say to the pins that the lock waits for.
// The first refusal is the exit code.
func (a *app) askGate(ctx context.Context, co *checkout, o verify.Options, out *verified) error {
	var j job
	for _, env := range o.Envs {
		entry, now, pending := co.pendingEntry(&o, env)
		if !pending || o.Unfollowed[env] != nil {
			continue
		}
		b, err := co.client.Binding(ctx, entry.Binding)
		if err != nil {
			return err
		}
		j.moves = append(j.moves, newMove(now, b, ""))
	}
	if len(j.moves) == 0 {
		return nil
	}
	_, list, err := co.kindOf(ctx, j)
	if err != nil {
		return err
	}
	out.Gate, out.Checked = list, append(out.Checked, "gate")
	return byApply(refusedBy(list))
}
