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

// pending judges the locks that wait for their pin, which are those that
// chartctl apply would not pin after a merge, whatever the gate says.
func (co *checkout) pending(ctx context.Context, envs []ref.Env, now map[ref.Env]api.Environment) (verify.Pending, error) {
	out := verify.Pending{Unfollowed: map[ref.Env]*api.Error{}}
	var j job
	var past history
	for _, env := range envs {
		lock, err := co.repo.Lock()
		e, ok := lock.Get(co.repo.Key(env))
		is, known := now[env]
		if err != nil || !ok || !e.Pinned() || !known || is.Pin != nil && is.Pin.Binding == e.Binding {
			continue
		}
		if co.repo.Config().Flow == repoconfig.Review {
			if past.locks == nil {
				if past, err = co.proposed(ctx); err != nil {
					return out, err
				}
			}
			out.Judged = true
			if err := co.judge(ctx, past, e, is, &out); err != nil {
				return out, err
			}
		}
		if out.Unfollowed[env] == nil {
			j.moves = append(j.moves, newMove(is, api.Binding{ID: e.Binding}, ""))
		}
	}
	out.AskGate = func(ctx context.Context) ([]api.GateVerdict, error) { return co.askGate(ctx, j) }
	return out, nil
}

func (co *checkout) judge(ctx context.Context, past history, entry lockfile.Entry, now api.Environment, out *verify.Pending) error {
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
		out.Notes = append(out.Notes, fmt.Sprintf("whether apply would pin the lock of %s is not known: %s", now.Env, why))
	default:
		out.Unfollowed[now.Env] = e
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
// The first refusal is the error.
func (co *checkout) askGate(ctx context.Context, j job) ([]api.GateVerdict, error) {
	for i, m := range j.moves {
		b, err := co.client.Binding(ctx, m.to.ID)
		if err != nil {
			return nil, err
		}
		j.moves[i].to = b
	}
	if len(j.moves) == 0 {
		return nil, nil
	}
	_, list, err := co.kindOf(ctx, j)
	if err != nil {
		return nil, err
	}
	return list, byApply(refusedBy(list))
}
