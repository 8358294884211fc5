package main

import (
	"context"
	"fmt"
	"strings"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// prepareBump moves what the images of a version are built on, ahead of the pair:
// the image can only be built once its FROM has moved.
func (a *app) prepareBump(ctx context.Context, s scope, version string) error {
	if s.co == nil {
		return usage("--prepare changes the files of a deploy repo: run it in one, or give -C")
	}
	repo := s.co.repo
	var list []deploy.Preparation
	j := job{kind: "prepare"}
	for _, env := range s.envs {
		name := repo.Config().Environments[repo.Key(env)].Chart
		ch, err := s.client.Chart(ctx, name, version)
		if err != nil {
			return err
		}
		if ch.State != "listed" {
			return &api.Error{Code: api.CodeGate, Rule: model.Rule(ch.State), Message: fmt.Sprintf("%s@%s was %s: %s", ch.Name, ch.Version, ch.State, ch.Reason), Want: "prepare another version"}
		}
		bases, err := ownImages(ch)
		if err != nil {
			return err
		}
		list = append(list, deploy.Preparation{Key: repo.Key(env), Source: repo.Config().Server, Bases: bases,
			Chart: lockfile.Chart{Name: ch.Name, Version: ch.Version, Digest: ch.Package}})
		j.moves = append(j.moves, move{env: env, to: api.Binding{Name: ch.Name, Version: ch.Version}})
	}
	p, err := repo.Prepare(list)
	if err != nil {
		return repoError(err)
	}
	out := proposalOf(p)
	if !s.dryRun {
		if err := a.writeOnly(ctx, s.co, j, p); err != nil {
			return err
		}
		out.Written = true
		a.note("nothing is pinned: build the image, then complete with chartctl bump %s --version %s --image ROLE=REF%s", s.envs[0], version, groupFlag(s))
	}
	return a.print(out, out.lines)
}

func groupFlag(s scope) string {
	if len(s.leader) > 0 {
		return " --group"
	}
	return ""
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
