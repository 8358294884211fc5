package verify

import (
	"context"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// render compares what Helm renders with the pins.
func (q *Question) render(ctx context.Context, r *deploy.Repo, a *Answer) error {
	var pairs []Pair
	var none Gathering
	for _, env := range q.Envs {
		conf, ok := r.Config().Environment(env)
		if !ok {
			continue // told of the files
		}
		p, ok := q.pair(r, env)
		if !ok {
			none.Add(env.String(), len(r.Group(env)), Finding{Kind: DriftPin, Place: Place{File: config.Name}, Found: "nothing pinned", Want: conf.Chart,
				Message: "the server has pinned nothing for {env}, so there is nothing to compare what Helm renders with",
				Mend:    advice.TakeLatest.Part(model.Facts{})})
			continue
		}
		pairs = append(pairs, p)
	}
	a.Findings = append(a.Findings, none.Verdict().Findings...)
	verdict, how, err := q.Render(ctx, pairs)
	a.Findings, a.Notes, a.Rendered = append(a.Findings, verdict.Findings...), append(a.Notes, verdict.Notes...), how
	if err == nil {
		a.Checked = append(a.Checked, "render")
	}
	return err
}

// pair is what an environment is to have: its pin, but for a lock that is ahead
// of it and may be.
func (q *Question) pair(r *deploy.Repo, env ref.Env) (Pair, bool) {
	key := r.Key(env)
	p := Pair{Env: env}
	e := q.Environments[env]
	lock, err := r.Lock()
	locked, ok := lock.Get(key)
	if q.Pending && r.Config().Flow == config.Review && err == nil && ok && locked.Pinned() {
		p.Entry = locked
		if e.Binding != nil && e.Binding.ID == locked.Binding {
			p.Binding = e.Binding
		}
		return p, true
	}
	if e.Pin == nil || e.Binding == nil {
		return p, false
	}
	p.Entry, p.Binding = deploy.EntryOf(key, *e.Binding, r.Config().Server), e.Binding
	return p, true
}
