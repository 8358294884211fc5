package move

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// apart reports whether an environment that only its group brought in has images
// of its own: another repository, written at another place. It then takes the
// chart of the others and keeps its images.
func (a *act) apart(ctx context.Context, env ref.Env, lead step) (bool, error) {
	if a.samePlaces(env, lead.Env) {
		return false, nil
	}
	e, err := a.client.Environment(ctx, env)
	if err != nil || e.Binding == nil {
		return err == nil, err
	}
	return !maps.Equal(repositories(*e.Binding), repositories(lead.To)), nil
}

func repositories(b api.Binding) map[ref.Role]ref.Repository {
	out := map[ref.Role]ref.Repository{}
	for _, i := range b.Images {
		if i.Required {
			out[i.Role] = i.Image.Repository
		}
	}
	return out
}

// samePlaces: all images of two environments are written at the same places.
func (a *act) samePlaces(x, y ref.Env) bool {
	places := func(e ref.Env) map[site.Site]bool {
		out := map[site.Site]bool{}
		for _, s := range a.co.Repo.Sites(a.co.Repo.Key(e)) {
			if s.Kind == site.Image || s.Kind == site.ImageRef || s.Kind == site.Marker && strings.HasPrefix(s.Path, "image.") {
				out[s] = true
			}
		}
		return out
	}
	return maps.Equal(places(x), places(y))
}

// members are the steps of a bump: of a group the environment that was named
// chooses, and the others take its pair, or its chart with their own newest
// images that are proven for it. All that have none are named.
func (a *act) members(ctx context.Context, lead Question) ([]step, error) {
	var steps []step
	var missing []*api.Error
	for _, env := range a.envs {
		q := lead
		q.Env = env
		own := false
		for _, s := range steps {
			if s.Env != a.leader[env] {
				continue
			}
			var err error
			if own, err = a.apart(ctx, env, s); err != nil {
				return nil, err
			}
			q.Pair = Pair{Binding: s.To.ID}
			if own {
				q.Pair = Pair{Choice: api.Choice{Version: s.To.Version}}
			}
		}
		s, err := a.choose(ctx, q)
		var e *api.Error
		switch {
		case own && errors.As(err, &e) && e.Code == api.CodeGate:
			missing = append(missing, e)
			continue
		case err != nil:
			return nil, err
		}
		steps = append(steps, s)
	}
	return steps, lacking(missing)
}

// lacking is one refusal of all members that have no image yet.
func lacking(missing []*api.Error) error {
	if len(missing) == 0 {
		return nil
	}
	told := *missing[0]
	var texts []string
	for _, e := range missing {
		texts = append(texts, e.Message)
	}
	told.Message = "members of the group keep their own images, and " + strings.Join(texts, "; ")
	told.Want, told.Command = "bind an image of theirs to that version first, so that nothing moves by half", ""
	return &told
}

// ownPast is the step of a member with images of its own back to the version
// that the others go back to.
func (a *act) ownPast(ctx context.Context, env ref.Env, lead step) (step, error) {
	e, err := a.client.Environment(ctx, env)
	if err != nil {
		return step{}, err
	}
	if e.Pin != nil && e.Pin.Version == lead.To.Version {
		return newStep(e, *e.Binding, ""), nil
	}
	p, err := earlier(ctx, a.client, env, e.Revision, func(p api.Pin) bool { return p.Version == lead.To.Version })
	if err != nil {
		return step{}, err
	}
	if p == nil {
		return step{}, &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("%s keeps its own images and never had %s@%s, so it cannot be rolled back with %s", env, lead.To.Name, lead.To.Version, lead.Env),
			Want: "give --to with a revision whose chart both had"}
	}
	b, err := a.client.Binding(ctx, p.Binding)
	return newStep(e, b, fmt.Sprint(p.Revision)), err
}

// ownPromoted is the step of a member with images of its own to the pair of its
// own hub at the stage that the others are promoted from.
func (a *act) ownPromoted(ctx context.Context, env, from ref.Env, lead step) (step, error) {
	own, err := env.ParseStage(from.Stage())
	if err != nil {
		return step{}, err
	}
	up, err := stageOf(ctx, a.client, own)
	if err != nil {
		return step{}, err
	}
	if up.Pin == nil || up.Pin.Version != lead.To.Version {
		return step{}, &api.Error{Code: api.CodeGate, Rule: model.RuleUpstream,
			Message: fmt.Sprintf("%s keeps its own images, and %s is not at %s@%s: there is nothing to promote it from", env, own, lead.To.Name, lead.To.Version),
			Want:    "see " + string(advice.Status)}
	}
	e, err := a.client.Environment(ctx, env)
	return newStep(e, *up.Binding, own.String()), err
}

// stageOf is an environment, without a pin where it does not exist.
func stageOf(ctx context.Context, c *client.Client, env ref.Env) (api.Environment, error) {
	e, err := c.Environment(ctx, env)
	if api.CodeOf(err) == api.CodeNotFound {
		return api.Environment{Env: env}, nil
	}
	return e, err
}
