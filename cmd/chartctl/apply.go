package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

func (a *app) apply() *cobra.Command {
	var f fileFlags
	var g gateFlags
	var reason string
	c := &cobra.Command{
		Use:   "apply",
		Short: "Pin what the deploy repo's HEAD has locked, after a merge",
		Long: `Apply is for CI, after the merge of a change that was made under "flow: review".
It reads chartd.lock of HEAD. What the server has pinned already needs nothing
(exit 0). Anything else is pinned, several environments in one transaction, if
the server is still at the lock of an earlier commit on HEAD's first-parent line
and no later lock was pinned since: a rollback is not undone by running an old
job again (exit 6), and a pin that the repo never had is not overwritten (exit
7). It needs the whole history: fetch-depth: 0.

The pin is a promote if every environment's upstream stage has that pair now,
else a bump; where the gate refuses that and all of them had the pair before, it
is a rollback, so that a merged revert passes as one. A bump or rollback that
needed --downgrade or --break-glass needs it here again: files do not hold it, so
somebody who may pin runs apply with it, on the branch that was merged into.

Where branches are stages, the stage is that of the branch checked out; CI often
checks out none, so --branch, GITHUB_REF_NAME or CI_COMMIT_BRANCH tells it.`,
		Example: `  chartctl apply
  chartctl apply --branch prod
  chartctl apply --downgrade "logins fail since 3.3.8"`,
		Args: args(0, 0),
	}
	c.Flags().StringVarP(&f.dir, "directory", "C", "", "work in the deploy repo of this directory")
	c.Flags().StringVar(&f.branch, "branch", "", "with branches as stages: the branch that was merged into")
	c.Flags().StringVar(&reason, "reason", "", "why; kept with the pin")
	g.add(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.doApply(cmd.Context(), f, job{reason: reason, downgrade: g.downgrade, breakGlass: g.breakGlass})
	}
	return c
}

// applied is what apply did.
type applied struct {
	Commit string    `json:"commit"`
	Set    string    `json:"set,omitempty"`
	Pins   []api.Pin `json:"pins"` // made now; none: the server had it all
}

func (a *app) doApply(ctx context.Context, f fileFlags, j job) error {
	f.dir = first(f.dir, ".")
	co, err := a.find(ctx, f)
	if err != nil {
		return err
	}
	defer co.leave()
	if co.client, err = a.clientAt(co.repo.Config().Server); err != nil {
		return err
	}
	if err := a.hold(ctx, co); err != nil {
		return err
	}
	if f.branch == "" {
		co.repo.TargetBranch(first(a.getenv("GITHUB_REF_NAME"), a.getenv("CI_COMMIT_BRANCH")), false)
	}
	if err := co.needStage(ctx); err != nil {
		return err
	}
	past, err := co.history(ctx)
	if err != nil {
		return err
	}
	if past.headErr != nil {
		return past.headErr
	}
	j.commit = past.head
	if j.moves, err = co.behind(ctx, past); err != nil {
		return err
	}
	out := applied{Commit: past.head, Pins: []api.Pin{}}
	if len(j.moves) > 0 {
		if err := co.matches(j, past.locks[0]); err != nil {
			return err
		}
		var list []api.GateVerdict
		if j, list, err = co.kindOf(ctx, j); err != nil {
			return err
		}
		if err := refusedBy(list); err != nil {
			return byApply(err)
		}
		res, err := a.pinOnly(ctx, co.client, j, j.intent(co.client.Server()))
		if err != nil {
			return err
		}
		out.Set, out.Pins = res.Set, res.Pins
	}
	return a.print(out, func(w *writer) {
		if len(out.Pins) == 0 {
			w.line("the server has what %.12s locks: nothing to do", out.Commit)
		}
		pinLines(w, out.Pins...)
	})
}

// behind are the moves to what HEAD locks, of the environments that the
// server has otherwise.
func (co *checkout) behind(ctx context.Context, past history) ([]move, error) {
	envs, err := co.repo.Environments(co.stage)
	if err != nil {
		return nil, repoError(err)
	}
	var out []move
	for _, env := range envs {
		key := co.repo.Key(env)
		entry, ok := past.locks[0].Get(key)
		if !ok || !entry.Pinned() {
			continue
		}
		e, err := co.client.Environment(ctx, env)
		if err != nil {
			return nil, err
		}
		if e.Pin != nil && e.Pin.Binding == entry.Binding {
			continue
		}
		if err := past.allows(ctx, co, e, key); err != nil {
			return nil, err
		}
		b, err := co.client.Binding(ctx, entry.Binding)
		if err != nil {
			return nil, err
		}
		if err := same(entry, b); err != nil {
			return nil, err
		}
		out = append(out, newMove(e, b, ""))
	}
	return out, nil
}

// same refuses a lock entry that says something else than the binding that it
// names.
func same(e lockfile.Entry, b api.Binding) error {
	want := deploy.EntryOf(e.Key, b, e.Source)
	want.Prepare = e.Prepare
	if want.Sum() != e.Sum() {
		return &api.Error{Code: api.CodeDrift, Message: fmt.Sprintf("%s of %s names binding %s, but another chart or images than that binding has: it was edited by hand", lockfile.Name, e.Key, b.ID),
			Want: "run chartctl lock resolve, then bump again"}
	}
	return nil
}

// matches refuses to pin what the files of the checkout do not say. Where the
// next version is being prepared already, FROM is ahead: verify knows of that.
func (co *checkout) matches(j job, lock lockfile.File) error {
	entries := slices.DeleteFunc(co.entries(j), func(e lockfile.Entry) bool {
		now, _ := lock.Get(e.Key)
		return now.Prepare != nil
	})
	p, err := co.repo.Plan(entries)
	if err != nil {
		return repoError(err)
	}
	if len(p.Changes) > 0 {
		return &api.Error{Code: api.CodeDrift, Message: fmt.Sprintf("%s differs from what HEAD locks for %s", p.Changes[0].Path, j.moves[0].env),
			Want: "see chartctl verify --offline"}
	}
	return co.whole(j, lock)
}

// whole refuses a lock that moves one environment of a group and not another:
// their sites are the same, and can be those of one pair only.
func (co *checkout) whole(j job, lock lockfile.File) error {
	for _, m := range j.moves {
		for _, other := range co.repo.Group(m.env) {
			e, ok := lock.Get(co.repo.Key(other))
			if !ok || !e.Pinned() || e.Prepare != nil {
				continue
			}
			if p, err := co.repo.Plan([]lockfile.Entry{e}); err == nil && len(p.Changes) == 0 {
				continue
			}
			return &api.Error{Code: api.CodeDrift, Message: fmt.Sprintf("%s shares sites with %s, and what HEAD locks for %s is not what they say: one of the two would be moved alone", m.env, other, other),
				Want: fmt.Sprintf("see chartctl verify --offline; move them together with chartctl bump %s --group", m.env)}
		}
	}
	return nil
}

// kindOf finds the kind of pin that the gate lets pass, if there is one, and
// what the gate says.
func (co *checkout) kindOf(ctx context.Context, j job) (job, []api.GateVerdict, error) {
	j.kind = model.Bump
	promote := j
	promote.kind, promote.moves = model.Promote, nil
	back := j
	back.kind, back.moves = model.Rollback, nil
	for _, m := range j.moves {
		source, err := co.upstream(ctx, m)
		if err != nil {
			return j, nil, err
		}
		if source != "" {
			up := m
			up.from = source
			promote.moves = append(promote.moves, up)
		}
	}
	if len(promote.moves) == len(j.moves) {
		j = promote
	}
	said, err := verdicts(ctx, co.client, j)
	if err != nil || refusedBy(said) == nil {
		return j, said, err
	}
	for _, m := range j.moves {
		p, err := earlier(ctx, co.client, api.Environment{Env: m.env, Revision: m.base, Pin: m.before}, func(p api.Pin) bool { return p.Binding == m.binding })
		if code(err) == api.CodeNotFound {
			return j, said, nil
		}
		if err != nil {
			return j, nil, err
		}
		m.from = fmt.Sprint(p.Revision)
		back.moves = append(back.moves, m)
	}
	again, err := verdicts(ctx, co.client, back)
	if err != nil || refusedBy(again) != nil {
		return j, said, err
	}
	return back, again, nil
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
	told.Command = `chartctl apply --downgrade "…"`
	return &told
}

// upstream is the upstream environment that has the very pair of m, if any.
func (co *checkout) upstream(ctx context.Context, m move) (string, error) {
	e, err := co.client.Environment(ctx, m.env)
	if err != nil {
		return "", err
	}
	for _, name := range e.Upstream {
		env, err := ref.ParseEnv(name)
		if err != nil { // a stage of the same hub
			if env, err = ref.ParseEnv(m.env.Hub() + "/" + name); err != nil {
				return "", err
			}
		}
		up, err := co.client.Environment(ctx, env)
		if code(err) == api.CodeNotFound {
			continue
		}
		if err != nil {
			return "", err
		}
		if up.Pin != nil && up.Pin.Binding == m.binding {
			return env.String(), nil
		}
	}
	return "", nil
}
