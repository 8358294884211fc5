package move

import (
	"context"
	"slices"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// Request is what every command says that pins environments.
type Request struct {
	Envs  []ref.Env
	Files Files
	Why   Why
}

// BumpRequest asks for another pair.
type BumpRequest struct {
	Request
	Pair    Pair
	Fix     bool // the one pin that a halted environment takes to mend what failed
	Prepare bool // only what images are built on: nothing is pinned
}

// Bump pins environments to another pair. Of a group the environment that was
// named chooses, and the others take its pair.
func Bump(ctx context.Context, at Place, r BumpRequest) (Outcome, error) {
	a, err := begin(ctx, at, r.Files, r.Envs)
	defer a.leave()
	switch {
	case err != nil:
		return a.out, err
	case r.Prepare:
		return a.prepare(ctx, r.Pair.Version)
	}
	m := move{Kind: model.Bump, Why: r.Why}
	if r.Fix {
		m.Kind = model.Fix
	}
	for _, env := range a.envs {
		q := Question{Env: env, Pair: r.Pair, Kind: m.Kind, Why: r.Why}
		if i := slices.IndexFunc(m.Steps, func(s step) bool { return s.Env == a.leader[env] }); i >= 0 {
			q.Pair = Pair{Binding: m.Steps[i].To.ID}
		}
		s, err := a.choose(ctx, q)
		if err != nil {
			return a.out, a.grouped(err)
		}
		m.Steps = append(m.Steps, s)
	}
	return a.do(ctx, m)
}
