package setup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"chartd.dev/chartd/internal/advice"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy"
	config "chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/gitrepo"
	"chartd.dev/chartd/internal/deploy/move"
)

// Open opens the checkout; no other chartctl changes it before Close. With an
// error, what it says was done all the same.
func Open(ctx context.Context, r Request) (*Setup, error) {
	s := &Setup{ask: r, unlock: func() {}}
	var err error
	if s.repo, err = open(ctx, r.Dir); err != nil {
		return s, deploy.Coded(err)
	}
	s.Proposal = Proposal{Directory: s.repo.Root().Dir(), Evidence: []config.Evidence{}, Notes: []string{}, Environments: []Environment{}}
	if err = s.hold(ctx); err == nil {
		err = s.load()
	}
	if err == nil {
		err = s.connect()
	}
	if err != nil {
		s.Close()
	}
	return s, deploy.Coded(err)
}

// connect makes the client of the repo's server. A dry run does without one.
func (s *Setup) connect() (err error) {
	if s.client, err = s.ask.Dial(s.conf.Server); err != nil {
		if s.lost(err) {
			return nil
		}
		return err
	}
	if u, bad := client.ParseServer(s.conf.Server); s.conf.Server != "" && (bad != nil || s.client.Server() != u.String()) {
		return api.Errorf(api.CodeUsage, "%s names the server %q, and not %q: change it there if it has moved", config.Name, s.conf.Server, s.client.Server())
	}
	return nil
}

// lost reports whether a dry run goes on without the server, which could not be
// asked.
func (s *Setup) lost(err error) bool {
	code := api.CodeOf(err)
	if !s.ask.DryRun || code == api.CodeLocalIO || code == "" {
		return false
	}
	if s.client == nil || code == api.CodeUnavailable || code == api.CodeUnauthorized || code == api.CodeForbidden {
		s.client = nil
		s.Notes = append(s.Notes, fmt.Sprintf("no server was asked (%v), so what it has is not known: charts and images are those that are well known", err))
		return true
	}
	return false
}

// noServer is written where no server is known to a dry run.
const noServer = "https://charts.example.edu"

// Server is the one that the repo is set up for.
func (s *Setup) Server() string {
	if s.client == nil {
		return cmp.Or(s.conf.Server, noServer)
	}
	return s.client.Server()
}

// open opens the directory that .chartctl.yaml stands in, or is to stand in.
func open(ctx context.Context, dir string) (*deploy.Repo, error) {
	at := cmp.Or(dir, ".")
	if info, err := os.Stat(at); err != nil || !info.IsDir() {
		return nil, api.Errorf(api.CodeUsage, "%q is no directory", at)
	}
	if repo, err := deploy.Open(ctx, at); !errors.Is(err, deploy.ErrNoRepo) {
		return repo, err
	}
	if dir == "" {
		git, err := gitrepo.Open(ctx, at)
		switch {
		case err == nil:
			at = git.Root()
		case !errors.Is(err, gitrepo.ErrNone) && !errors.Is(err, gitrepo.ErrNoGit):
			return nil, err
		}
	}
	at, err := filepath.Abs(at)
	if err != nil {
		return nil, err
	}
	return deploy.OpenNew(ctx, at)
}

// Close lets others work here again.
func (s *Setup) Close() {
	s.unlock()
	s.repo.Close()
}

// hold keeps other chartctl processes away, and finishes the files that an
// earlier init left. A dry run only looks.
func (s *Setup) hold(ctx context.Context) error {
	if !s.ask.DryRun {
		unlock, err := s.repo.Root().Lock(ctx)
		if err != nil {
			return err
		}
		s.unlock = unlock
	}
	tx, err := s.repo.Root().Pending()
	if err != nil || tx == nil {
		return err
	}
	pins, err := move.Pins(tx)
	if err != nil {
		return err
	}
	if s.ask.DryRun || pins {
		return &api.Error{Code: api.CodePrecondition, Message: "an earlier change of this checkout is unfinished", Want: fmt.Sprintf("run %s first, or %s without --dry-run if that was an init", advice.Recover, advice.Init)}
	}
	if err := tx.Finish(); err != nil {
		return err
	}
	s.Said = append(s.Said, "the files of an earlier init were finished")
	return nil
}

// load reads what is there of an earlier init. Whoever held the lock before may
// have changed it.
func (s *Setup) load() error {
	if err := s.repo.Reload(); err != nil {
		return err
	}
	s.files, s.conf = s.repo.Files(), s.repo.Config()
	_, err := s.repo.Lock()
	return err
}
