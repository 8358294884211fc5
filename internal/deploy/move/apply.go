package move

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// Apply pins what HEAD of the deploy repo has locked and the server has
// otherwise.
func Apply(ctx context.Context, at Place, why Why) (Outcome, error) {
	a := &act{}
	co, err := Find(ctx, at, true)
	if err != nil {
		return a.out, err
	}
	defer co.Leave()
	if a.out.Notes, err = co.begin(ctx, false); err != nil {
		return a.out, err
	}
	if err := co.NeedStage(ctx); err != nil {
		return a.out, err
	}
	past, err := co.history(ctx)
	if err = cmp.Or(err, past.headErr); err != nil {
		return a.out, err
	}
	a.out.Commit = past.head
	m := move{Why: why, Commit: past.head}
	if m.Steps, err = co.behind(ctx, past); err != nil || len(m.Steps) == 0 {
		return a.out, err
	}
	if err := co.halves(m); err != nil {
		return a.out, err
	}
	if err := co.matches(m, past.locks[0]); err != nil {
		return a.out, err
	}
	m, said, err := co.kindOf(ctx, m)
	if err == nil {
		err = byApply(Refusal(said...))
	}
	if err != nil {
		return a.out, err
	}
	res, _, err := m.pin(ctx, co.Client, m.intent(co.Client.Server()), false)
	if err != nil {
		return a.out, err
	}
	return a.out, a.pinned(m, res)
}

// halves refuses environments of which half a pair is written nowhere.
func (co *Checkout) halves(m move) error {
	for _, e := range co.entries(m) {
		if err := co.Repo.Whole(e); err != nil {
			return err
		}
	}
	return nil
}

// behind are the moves to what HEAD locks, of the environments that the
// server has otherwise.
func (co *Checkout) behind(ctx context.Context, past history) ([]step, error) {
	envs, err := co.Repo.Environments(co.Stage)
	if err != nil {
		return nil, deploy.Coded(err)
	}
	var out []step
	for _, env := range envs {
		key := co.Repo.Key(env)
		entry, ok := past.locks[0].Get(key)
		if !ok || !entry.Pinned() {
			continue
		}
		e, err := co.Client.Environment(ctx, env)
		if err != nil {
			return nil, err
		}
		if e.Pin != nil && e.Pin.Binding == entry.Binding {
			continue
		}
		if err := past.allows(ctx, co, e, key); err != nil {
			return nil, err
		}
		b, err := co.Client.Binding(ctx, entry.Binding)
		if err != nil {
			return nil, err
		}
		if err := same(entry, b); err != nil {
			return nil, err
		}
		out = append(out, newStep(e, b, ""))
	}
	return out, nil
}

// resolveFirst mends a lock that says what no server does.
var resolveFirst = fmt.Sprintf("run %s, then bump again", advice.LockResolve)

// same refuses a lock entry that says something else than the binding that it
// names.
func same(e lockfile.Entry, b api.Binding) error {
	want := deploy.EntryOf(e.Key, b, e.Source)
	want.Prepare = e.Prepare
	if want.Sum() != e.Sum() {
		return &api.Error{Code: api.CodeDrift, Message: fmt.Sprintf("%s of %s names binding %s, but another chart or images than that binding has: it was edited by hand", lockfile.Name, e.Key, b.ID),
			Want: resolveFirst}
	}
	return nil
}

// matches refuses to pin what the files of the checkout do not say. Where the
// next version is being prepared already, FROM is ahead: verify knows of that.
func (co *Checkout) matches(m move, lock lockfile.File) error {
	entries := slices.DeleteFunc(co.entries(m), func(e lockfile.Entry) bool {
		now, _ := lock.Get(e.Key)
		return now.Prepare != nil
	})
	p, err := co.Repo.Plan(entries)
	if err != nil {
		return deploy.Coded(err)
	}
	if len(p.Changes) > 0 {
		return &api.Error{Code: api.CodeDrift, Message: fmt.Sprintf("%s differs from what HEAD locks for %s", p.Changes[0].Path, m.Steps[0].Env),
			Want: "see " + string(advice.VerifyOffline)}
	}
	return co.whole(m, lock)
}

// whole refuses a lock that moves one environment of a group and not another:
// their sites are the same, and can be those of one pair only.
func (co *Checkout) whole(m move, lock lockfile.File) error {
	for _, s := range m.Steps {
		for _, other := range co.Repo.Group(s.Env) {
			e, ok := lock.Get(co.Repo.Key(other))
			if !ok || !e.Pinned() || e.Prepare != nil {
				continue
			}
			if p, err := co.Repo.Plan([]lockfile.Entry{e}); err == nil && len(p.Changes) == 0 {
				continue
			}
			return &api.Error{Code: api.CodeDrift, Message: fmt.Sprintf("%s shares sites with %s, and what HEAD locks for %s is not what they say: one of the two would be moved alone", s.Env, other, other),
				Want: fmt.Sprintf("see %s; move them together with %s", advice.VerifyOffline, advice.BumpGroup.With(model.Facts{Env: s.Env}))}
		}
	}
	return nil
}

// kindOf finds the kind of pin that the gate lets pass, if there is one, and
// what the gate says.
func (co *Checkout) kindOf(ctx context.Context, m move) (move, []api.GateVerdict, error) {
	m.Kind = model.Bump
	promote, err := m.as(model.Promote, func(s step) (string, error) { return upstream(ctx, co.Client, s) })
	if err != nil {
		return m, nil, err
	}
	if promote != nil {
		m = *promote
	}
	said, err := verdicts(ctx, co.Client, m)
	if err != nil || Refusal(said...) == nil {
		return m, said, err
	}
	back, err := m.as(model.Rollback, func(s step) (string, error) { return had(ctx, co.Client, s) })
	if err != nil || back == nil {
		return m, said, err
	}
	again, err := verdicts(ctx, co.Client, *back)
	if err != nil || Refusal(again...) != nil {
		return m, said, err
	}
	return *back, again, nil
}

// as is the move as one of another kind, with where each step comes from; nil
// where one comes from nowhere.
func (m move) as(kind model.Kind, from func(step) (string, error)) (*move, error) {
	out := m
	out.Kind, out.Steps = kind, nil
	for _, s := range m.Steps {
		var err error
		s.verdict = nil
		if s.From, err = from(s); err != nil || s.From == "" {
			return nil, err
		}
		out.Steps = append(out.Steps, s)
	}
	return &out, nil
}

// upstream is the environment before that of s which has the very pair now;
// "" if there is none.
func upstream(ctx context.Context, c *client.Client, s step) (string, error) {
	for _, name := range s.upstream {
		env, err := ref.ParseEnv(name)
		if err != nil {
			return "", err
		}
		up, err := c.Environment(ctx, env)
		switch {
		case api.CodeOf(err) == api.CodeNotFound:
		case err != nil:
			return "", err
		case up.Pin != nil && up.Pin.Binding == s.To.ID:
			return env.String(), nil
		}
	}
	return "", nil
}

// had is the newest revision before the present one at which the environment
// had the pair; "" if it never had it.
func had(ctx context.Context, c *client.Client, s step) (string, error) {
	p, err := earlier(ctx, c, s.Env, s.Base, func(p api.Pin) bool { return p.Binding == s.To.ID })
	if err != nil || p == nil {
		return "", err
	}
	return fmt.Sprint(p.Revision), nil
}

// earlier is the newest pin before a revision that fits; nil if there is none.
func earlier(ctx context.Context, c *client.Client, env ref.Env, before uint64, fits func(api.Pin) bool) (*api.Pin, error) {
	for before > 1 {
		page, err := c.Pins(ctx, env, before, 100)
		if err != nil || len(page.Pins) == 0 {
			return nil, err
		}
		for _, p := range page.Pins {
			if fits(p) {
				return &p, nil
			}
			before = min(before, p.Revision)
		}
	}
	return nil, nil
}

// byApply names apply where a refusal names a bump: under flow: review that
// only writes files.
func byApply(err error) error {
	var e *api.Error
	if !errors.As(err, &e) || e.Rule != model.RuleDirection || e.Code != api.CodeGate {
		return err
	}
	told := *e
	told.Want = "if it is to go back, somebody who may pin says why, on this branch"
	told.Command = string(advice.ApplyDowngrade)
	return &told
}
