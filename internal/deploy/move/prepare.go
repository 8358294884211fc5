package move

import (
	"context"
	"fmt"
	"strings"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// prepare moves what the images of a version are built on, ahead of the pair:
// an image can only be built once its FROM has moved. Nothing is pinned.
func (a *act) prepare(ctx context.Context, version string) (Outcome, error) {
	if a.co == nil {
		return a.out, usage("--prepare changes the files of a deploy repo: run it in one, or give -C")
	}
	repo := a.co.Repo
	var list []deploy.Preparation
	m := move{prepares: true}
	for _, env := range a.envs {
		ch, err := a.preparable(ctx, repo.Config().Environments[repo.Key(env)].Chart, version)
		if err != nil {
			return a.out, err
		}
		bases, err := ownImages(ch)
		if err != nil {
			return a.out, err
		}
		list = append(list, deploy.Preparation{Key: repo.Key(env), Source: repo.Config().Server, Bases: bases,
			Chart: lockfile.Chart{Name: ch.Name, Version: ch.Version, Digest: ch.Package}})
		m.Steps = append(m.Steps, step{Env: env, To: api.Binding{Name: ch.Name, Version: ch.Version}})
	}
	p, err := repo.Prepare(list)
	if err != nil {
		return a.out, deploy.Coded(err)
	}
	if !a.files.DryRun {
		if err := a.writeOnly(ctx, m, p); err != nil {
			return a.out, err
		}
		next := model.Facts{Env: a.envs[0], Version: version, Group: len(a.leader) > 0}
		a.note("nothing is pinned: build the image, then complete with %s", advice.BumpImages.With(next))
	}
	a.out.Proposal = propose(p)
	a.out.Proposal.Written = !a.files.DryRun
	return a.out, nil
}

// preparable is the version of a chart, unless it was withdrawn.
func (a *act) preparable(ctx context.Context, chart, version string) (api.Chart, error) {
	ch, err := a.client.Chart(ctx, chart, version)
	if err == nil && ch.State != model.Listed {
		err = &api.Error{Code: api.CodeGate, Rule: model.Rule(ch.State), Message: fmt.Sprintf("%s@%s was %s: %s", ch.Name, ch.Version, ch.State, ch.Reason), Want: "prepare another version"}
	}
	return ch, err
}

// ownImages are the images that a chart itself names, by role. A digest is
// known where the chart is bound to them.
func ownImages(ch api.Chart) (map[ref.Role]site.Named, error) {
	out := map[ref.Role]site.Named{}
	for _, i := range ch.Images {
		if !i.Required {
			continue
		}
		text := i.Base // of a wrapper: what the chart below it names
		if text == "" {
			text = i.Repository
			if i.Tag != "" {
				text += ":" + i.Tag
			}
		}
		r, err := ref.ParseReference(strings.TrimSpace(text))
		if err != nil {
			return nil, &api.Error{Code: api.CodeInvalid, Message: fmt.Sprintf("%s@%s names its %s image as %q: %v", ch.Name, ch.Version, i.Role, text, err)}
		}
		out[i.Role] = site.Named{Repository: r.Repository, Tag: r.Tag, Digest: r.Digest}
	}
	if ch.Binding != nil {
		for _, i := range ch.Binding.Images {
			if n, ok := out[i.Role]; ok && n.Digest.IsZero() && n.Repository == i.Image.Repository && n.Tag == i.Tag {
				n.Digest = i.Image.Digest
				out[i.Role] = n
			}
		}
	}
	return out, nil
}
