package move

import (
	"context"

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
// named chooses, and the others take its pair, or its chart with images of their
// own.
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
	if m.Steps, err = a.members(ctx, Question{Pair: r.Pair, Kind: m.Kind, Why: r.Why}); err != nil {
		return a.out, a.grouped(err)
	}
	return a.do(ctx, m)
}
