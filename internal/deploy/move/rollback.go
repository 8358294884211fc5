package move

import (
	"context"
	"fmt"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// Rollback pins an environment to the pair of an earlier revision, 0 for the
// newest pair that passed here and is not the present one. The rest of its
// group goes back to the newest revision of theirs that had it.
func Rollback(ctx context.Context, at Place, env ref.Env, revision uint64, r Request) (Outcome, error) {
	a, err := begin(ctx, at, r.Files, []ref.Env{env})
	defer a.leave()
	if err != nil {
		return a.out, err
	}
	pair := Pair{Choice: api.Choice{Revision: revision, Passed: revision == 0}}
	lead, err := a.choose(ctx, Question{Env: env, Pair: pair, Why: r.Why})
	if err != nil {
		return a.out, a.grouped(err)
	}
	m := move{Kind: model.Rollback, Why: r.Why, Steps: []step{lead}}
	for _, other := range a.envs[1:] {
		own, err := a.apart(ctx, other, lead)
		if err != nil {
			return a.out, err
		}
		if own {
			s, err := a.ownPast(ctx, other, lead)
			if err != nil {
				return a.out, err
			}
			m.Steps = append(m.Steps, s)
			continue
		}
		s, err := a.follow(ctx, other, lead.To, func(s step) (string, error) {
			from, err := had(ctx, a.client, s)
			if err == nil && from == "" {
				err = neverHad(other, lead)
			}
			return from, err
		})
		if err != nil {
			return a.out, err
		}
		m.Steps = append(m.Steps, s)
	}
	return a.do(ctx, m)
}

// neverHad refuses a rollback of a group of which one never had the pair.
func neverHad(env ref.Env, lead step) error {
	return &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("%s never had %s@%s as it is in revision %s of %s, so it cannot be rolled back with it", env, lead.To.Name, lead.To.Version, lead.From, lead.Env),
		Want: "give --to with a revision whose pair both had, or bump them to it", Command: advice.BumpBinding.With(model.Facts{Env: lead.Env, Binding: lead.To.ID, Group: true})}
}
