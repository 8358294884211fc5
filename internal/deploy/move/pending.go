package move

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/ref"
)

// Pending are the environments whose lock waits for its pin, as on a pull
// request.
type Pending struct {
	// Unfollowed says of a lock why Apply would not pin it after the merge,
	// whatever the gate says.
	Unfollowed map[ref.Env]*api.Error
	Judged     bool     // the lock's history was looked at
	Notes      []string // of what is not known

	co      *Checkout
	waiting []waiting
}

// waiting is a lock entry and how the environment is pinned instead.
type waiting struct {
	entry lockfile.Entry
	now   api.Environment
}

// Pending finds the locks that wait for their pin, and where the flow is
// review judges which of them Apply would not pin.
func (co *Checkout) Pending(ctx context.Context, envs []ref.Env, now map[ref.Env]api.Environment) (*Pending, error) {
	out := &Pending{co: co, Unfollowed: map[ref.Env]*api.Error{}}
	lock, err := co.Repo.Lock()
	if err != nil {
		return out, nil // nothing that could be pinned; verify says why
	}
	for _, env := range envs {
		e, ok := lock.Get(co.Repo.Key(env))
		is, known := now[env]
		if ok && e.Pinned() && known && (is.Pin == nil || is.Pin.Binding != e.Binding) {
			out.waiting = append(out.waiting, waiting{e, is})
		}
	}
	if co.Repo.Config().Flow != config.Review || len(out.waiting) == 0 {
		return out, nil
	}
	past, err := co.proposed(ctx)
	out.Judged = true
	for i := 0; i < len(out.waiting) && err == nil; i++ {
		err = out.judge(ctx, past, out.waiting[i])
	}
	return out, err
}

func (p *Pending) judge(ctx context.Context, past history, w waiting) error {
	err := p.co.pinnable(ctx, past, w.entry, w.now)
	var e *api.Error
	switch {
	case err == nil:
	case !errors.As(err, &e) || e.Code != api.CodeDrift && e.Code != api.CodeStale:
		return err
	case past.cut && e.Code == api.CodeStale || past.cut && w.now.Pin != nil && !slices.Contains(past.bindings(w.entry.Key), w.now.Pin.Binding):
		why := "the history of the checkout is cut off (fetch-depth: 0 gets all of it)"
		if p.co.Repo.Git() == nil {
			why = "it is in no git repository, or there is no git"
		}
		p.Notes = append(p.Notes, fmt.Sprintf("whether apply would pin the lock of %s is not known: %s", w.now.Env, why))
	default:
		p.Unfollowed[w.now.Env] = e
	}
	return nil
}

// AskGate asks what the gate would say to the pins that the locks wait for.
// The error is that of the first refusal.
func (p *Pending) AskGate(ctx context.Context) ([]api.GateVerdict, error) {
	var m move
	for _, w := range p.waiting {
		if p.Unfollowed[w.now.Env] != nil {
			continue
		}
		b, err := p.co.Client.Binding(ctx, w.entry.Binding)
		if err != nil {
			return nil, err
		}
		m.Steps = append(m.Steps, newStep(w.now, b, ""))
	}
	if len(m.Steps) == 0 {
		return nil, nil
	}
	_, list, err := p.co.kindOf(ctx, m)
	if err != nil {
		return nil, err
	}
	return list, byApply(Refusal(list...))
}

// pinnable says why an entry would not be pinned: with CodeDrift or CodeStale,
// else the question failed.
func (co *Checkout) pinnable(ctx context.Context, past history, entry lockfile.Entry, now api.Environment) error {
	b, err := co.Client.Binding(ctx, entry.Binding)
	if api.CodeOf(err) == api.CodeNotFound {
		return &api.Error{Code: api.CodeDrift, Message: fmt.Sprintf("the server has no binding %s, which %s names for %s", entry.Binding, lockfile.Name, entry.Key),
			Want: resolveFirst}
	}
	if err == nil {
		err = same(entry, b)
	}
	if err != nil {
		return err
	}
	err = past.allows(ctx, co, now, entry.Key)
	if api.CodeOf(err) != api.CodeDrift {
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
func (co *Checkout) proposed(ctx context.Context) (history, error) {
	lock, err := co.Repo.Lock()
	if err != nil {
		return history{}, deploy.Coded(err)
	}
	var past history
	if co.Repo.Git() == nil {
		past.cut = true
	} else if past, err = co.history(ctx); err != nil {
		return past, err
	}
	past.locks = slices.Insert(past.locks, 0, lock)
	return past, nil
}

// everHad reports whether any ancestor of HEAD has the key locked to a binding.
func (co *Checkout) everHad(ctx context.Context, key string, want ref.BindingID) (bool, error) {
	if co.Repo.Git() == nil {
		return false, nil
	}
	path, err := co.Repo.GitPath(lockfile.Name)
	if err != nil {
		return false, deploy.Coded(err)
	}
	versions, err := co.Repo.Git().Ancestors(ctx, path, maxHistory)
	if err != nil {
		return false, deploy.Coded(err)
	}
	for _, v := range versions {
		f, err := lockfile.Parse(v.Data)
		if e, ok := f.Get(key); err == nil && ok && e.Binding == want {
			return true, nil
		}
	}
	return false, nil
}
