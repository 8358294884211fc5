package setup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/model"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy"
	config "chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/fileset"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/ref"
)

// propose finds out what .chartctl.yaml is to say.
func (s *Setup) propose(ctx context.Context) error {
	if s.repo.ConfigBytes() != nil {
		s.Notes = append(s.Notes, config.Name+" is there already and is used as it is; remove it to have another one proposed")
		s.Config = string(s.repo.ConfigBytes())
		return s.findStage(ctx)
	}
	names, left, err := s.repo.Root().Files(deploy.MaxFiles)
	if err != nil {
		return err
	}
	search := config.Search{
		Name: filepath.Base(s.repo.Root().Dir()), Files: names, Read: s.repo.Root().Read,
		Server: s.Server(), Flow: s.ask.Flow, Chart: s.ask.Chart,
		Known: func(chart string) (map[ref.Role]string, bool, error) { return s.ownImages(ctx, chart) },
	}
	if s.repo.Git() != nil {
		if search.Branches, err = s.repo.Git().Branches(ctx); err != nil {
			return err
		}
	}
	p, err := config.Discover(search)
	for _, l := range left {
		s.Notes = append(s.Notes, "passed over "+l)
		what, why, _ := strings.Cut(l, ": ")
		s.Summary.LeftOut = append(s.Summary.LeftOut, config.LeftOut{What: strings.Trim(what, `"`), Why: why})
	}
	s.Summary.LeftOut = append(s.Summary.LeftOut, p.LeftOut...)
	s.Evidence = append(s.Evidence, p.Evidence...)
	s.Notes = append(s.Notes, p.Notes...)
	if err != nil {
		return err
	}
	s.conf = p.Config
	s.Config = string(s.conf.Bytes())
	s.changes = append(s.changes, fileset.Change{Path: config.Name, New: []byte(s.Config)})
	return s.findStage(ctx)
}

// findStage tells which stage the files of the checkout are of.
func (s *Setup) findStage(ctx context.Context) error {
	if !s.conf.ByBranch() {
		if s.ask.Branch != "" {
			return api.Errorf(api.CodeUsage, "--branch %s: no branch is a stage here", s.ask.Branch)
		}
		return nil
	}
	branch := s.ask.Branch
	if branch == "" && s.repo.Git() != nil {
		var err error
		if branch, err = s.repo.Git().Branch(ctx); err != nil {
			return err
		}
	}
	stage, ok := s.conf.Stage(branch)
	switch {
	case s.ask.Branch != "" && !ok:
		return api.Errorf(api.CodeUsage, "--branch %s is no stage's: %v are", s.ask.Branch, slices.Sorted(maps.Keys(s.conf.Branches)))
	case !ok:
		s.Notes = append(s.Notes, fmt.Sprintf("branch %q is no stage's, so %s is not written here: run %s again on each of %v, or %s", branch, lockfile.Name, advice.Init, slices.Sorted(maps.Keys(s.conf.Branches)), advice.LockOfBranch.With(model.Facts{})))
	}
	s.stage = stage
	return nil
}

// ownImages asks the server for the images that a chart itself names.
func (s *Setup) ownImages(ctx context.Context, chart string) (map[ref.Role]string, bool, error) {
	if _, err := ref.ParseImported(chart, "1.0.0"); err != nil {
		return nil, false, nil
	}
	if s.client == nil {
		return nil, false, nil
	}
	list, err := s.client.Versions(ctx, chart)
	if err != nil && s.lost(err) {
		return nil, false, nil
	}
	if api.CodeOf(err) == api.CodeNotFound || err == nil && len(list.Charts) == 0 {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	newest := slices.MaxFunc(list.Charts, func(a, b api.Chart) int { return int(a.Seq) - int(b.Seq) })
	out := map[ref.Role]string{}
	for _, i := range newest.Images {
		if !i.Required {
			continue
		}
		out[i.Role] = i.Repository
		if r, err := ref.ParseReference(i.Base); err == nil {
			out[i.Role] = r.Repository.String()
		}
	}
	return out, true, nil
}

// pointAtServer edits the repository of every dependency.
func (s *Setup) pointAtServer() error {
	if s.client == nil {
		return s.collect()
	}
	done := map[site.Site]bool{}
	for _, set := range slices.Sorted(maps.Keys(s.conf.Sites)) {
		for _, at := range s.conf.Sites[set] {
			if at.Kind != site.Dependency || done[at] {
				continue
			}
			done[at] = true
			if err := s.files.Edit(at, site.Want{Source: s.source()}); err != nil {
				return err
			}
		}
	}
	return s.collect()
}

// source is the address as the repo writes it.
func (s *Setup) source() string { return cmp.Or(s.conf.Server, s.Server()) }

// collect takes over what the sites' edits changed so far.
func (s *Setup) collect() error {
	edited, err := s.files.Changes()
	if err != nil {
		return err
	}
	kept := slices.DeleteFunc(s.changes, func(c fileset.Change) bool { return c.Path != config.Name })
	for _, c := range edited {
		if base := path.Base(c.Path); base == "Chart.lock" || base == "requirements.lock" {
			note := fmt.Sprintf("helm dependency build reads %s and wants: helm repo add chartd %s", c.Path, s.Server())
			if !slices.Contains(s.Notes, note) {
				s.Notes = append(s.Notes, note)
			}
		}
		kept = append(kept, fileset.Change{Path: c.Path, Old: c.Old, New: c.New})
	}
	s.changes = kept
	return nil
}

// coded gives an error of the search its code.
func coded(err error) error {
	if errors.Is(err, config.ErrNothing) {
		return &api.Error{Code: api.CodeNotFound, Message: err.Error()}
	}
	return deploy.Coded(err)
}
