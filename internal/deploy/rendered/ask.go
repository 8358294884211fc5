package rendered

import (
	"context"

	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/verify"
)

// Pairs renders the environments of a deploy repo and compares each with its
// pair. What was found before an error is told with it.
func Pairs(ctx context.Context, set Settings, repo *deploy.Repo, c *client.Client, pairs []verify.Pair) (verify.Verdict, []verify.Rendering, error) {
	r, err := New(set, repo, c)
	if err != nil {
		return verify.Verdict{}, nil, err
	}
	defer r.Close()
	for _, p := range pairs {
		if err = r.Look(ctx, Subject{Env: p.Env, Pair: p.Entry, Binding: p.Binding}); err != nil {
			break
		}
	}
	verdict, how := r.Verdict()
	return verdict, how, err
}
