package setup

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/advice"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/fileset"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/deploy/move"
	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/ref"
)

// writable refuses to begin where a file that is to change cannot: nothing is
// to be pinned before that. Which digests will be written is not known yet.
func (s *Setup) writable() error {
	changes := slices.Clone(s.changes)
	add := func(file string) error {
		if slices.ContainsFunc(changes, func(c fileset.Change) bool { return c.Path == file }) {
			return nil
		}
		old, err := s.files.Bytes(file)
		changes = append(changes, fileset.Change{Path: file, Old: old})
		return err
	}
	for _, e := range s.Environments {
		if e.Action != "adopt" || s.conf.ByBranch() && e.Env.Stage() != s.stage {
			continue
		}
		for _, at := range s.conf.SitesOf(e.Env) {
			if !adopted(e, at) {
				continue
			}
			if err := add(at.File); err != nil {
				return deploy.Coded(err)
			}
		}
	}
	if s.repo.LockBytes() != nil {
		changes = append(changes, fileset.Change{Path: lockfile.Name, Old: s.repo.LockBytes()})
	}
	err := deploy.Coded(s.repo.Root().Check(changes))
	var e *api.Error
	if errors.As(err, &e) {
		told := *e
		told.Message = "nothing was changed, here or on the server: " + told.Message
		return &told
	}
	return err
}

// adopted reports whether a site names an image that is to be adopted.
func adopted(e Environment, at site.Site) bool {
	for role := range e.Images {
		if _, ok := imagePart(at, role); ok {
			return true
		}
	}
	return false
}

// writeFiles writes .chartctl.yaml, the sites and chartd.lock as one change.
func (s *Setup) writeFiles() error {
	var entries []lockfile.Entry
	for _, e := range s.Environments {
		if e.binding == nil || s.conf.ByBranch() && e.Env.Stage() != s.stage {
			continue
		}
		entry := deploy.EntryOf(s.conf.Key(e.Env), *e.binding, s.source())
		entries = append(entries, entry)
		if err := s.addDigests(e.Env, deploy.WantOf(entry)); err != nil {
			return deploy.Coded(err)
		}
	}
	if err := s.collect(); err != nil {
		return deploy.Coded(err)
	}
	if len(entries) > 0 {
		lock, _ := s.repo.Lock() // parsed when the checkout was opened
		s.changes = append(s.changes, fileset.Change{Path: lockfile.Name, Old: s.repo.LockBytes(), New: lock.With(entries...).Bytes()})
	}
	s.changes = slices.DeleteFunc(s.changes, func(c fileset.Change) bool { return c.Old != nil && string(c.Old) == string(c.New) })
	slices.SortFunc(s.changes, func(a, b fileset.Change) int { return strings.Compare(a.Path, b.Path) })
	s.Diff = deploy.Diff(s.changes)
	if len(s.changes) == 0 {
		return nil
	}
	tx, err := s.repo.Root().Stage(s.changes, move.FilesOnly(s.client.Server()))
	if err != nil {
		return deploy.Coded(err)
	}
	for _, w := range tx.Warnings() {
		s.Said = append(s.Said, "note: "+w)
	}
	if err := tx.Finish(); err != nil {
		return &api.Error{Code: api.CodeLocalIO, Message: fmt.Sprintf("the server is set up, and the files are not all written: %v", err), Want: fmt.Sprintf("run %s again", advice.Init)}
	}
	return nil
}

// addDigests writes the digest to every site that names the pinned tag without
// it. A site that says something else stays: chartctl verify tells of it.
func (s *Setup) addDigests(env ref.Env, w site.Want) error {
	for _, at := range s.conf.SitesOf(env) {
		found, err := s.files.Check(at, w)
		if err != nil {
			return err
		}
		if len(found) > 0 && !slices.ContainsFunc(found, func(f site.Finding) bool { return !f.Weak }) {
			if err := s.files.Edit(at, w); err != nil {
				return err
			}
		}
	}
	return nil
}
