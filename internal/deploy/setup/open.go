package setup

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy"
	config "chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/fileset"
	"chartd.dev/chartd/internal/deploy/gitrepo"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/deploy/move"
	"chartd.dev/chartd/internal/deploy/site"
)

// maxRepoFiles bounds the search for environments and sites.
const maxRepoFiles = 100_000

// Open opens the checkout; no other chartctl changes it before Close. With an
// error, what it says was done all the same.
func Open(ctx context.Context, r Request) (*Setup, error) {
	s := &Setup{ask: r, unlock: func() {}}
	dir, git, err := topOf(ctx, r.Dir)
	if err != nil {
		return s, err
	}
	if s.root, err = fileset.Open(dir); err != nil {
		return s, deploy.Coded(err)
	}
	s.git = git
	s.Proposal = Proposal{Directory: s.root.Dir(), Evidence: []config.Evidence{}, Notes: []string{}, Environments: []Environment{}}
	if err = s.hold(ctx); err == nil {
		err = s.load()
	}
	if err == nil {
		s.client, err = r.Dial(s.conf.Server)
	}
	if u, bad := client.ParseServer(s.conf.Server); err == nil && s.conf.Server != "" && (bad != nil || s.client.Server() != u.String()) {
		err = api.Errorf(api.CodeUsage, "%s names the server %q, and not %q: change it there if it has moved", config.Name, s.conf.Server, s.client.Server())
	}
	if err != nil {
		s.Close()
		return s, deploy.Coded(err)
	}
	return s, nil
}

// Close lets others work here again.
func (s *Setup) Close() {
	s.unlock()
	s.root.Close()
}

// topOf is the directory that .chartctl.yaml stands in, or is to stand in.
func topOf(ctx context.Context, dir string) (string, *gitrepo.Repo, error) {
	at := cmp.Or(dir, ".")
	if info, err := os.Stat(at); err != nil || !info.IsDir() {
		return "", nil, api.Errorf(api.CodeUsage, "%q is no directory", at)
	}
	git, err := gitrepo.Open(ctx, at)
	if err != nil && !errors.Is(err, gitrepo.ErrNone) && !errors.Is(err, gitrepo.ErrNoGit) {
		return "", nil, deploy.Coded(err)
	}
	if repo, err := deploy.Open(ctx, at); err == nil {
		defer repo.Close()
		return repo.Root().Dir(), git, nil
	} else if !errors.Is(err, deploy.ErrNoRepo) {
		return "", nil, deploy.Coded(err)
	}
	if dir == "" && git != nil {
		at = git.Root()
	}
	at, err = filepath.Abs(at)
	return at, git, err
}

// hold keeps other chartctl processes away, and finishes the files that an
// earlier init left. A dry run only looks.
func (s *Setup) hold(ctx context.Context) error {
	if !s.ask.DryRun {
		unlock, err := s.root.Lock(ctx)
		if err != nil {
			return err
		}
		s.unlock = unlock
	}
	tx, err := s.root.Pending()
	if err != nil || tx == nil {
		return err
	}
	pins, err := move.Pins(tx)
	if err != nil {
		return err
	}
	if s.ask.DryRun || pins {
		return &api.Error{Code: api.CodePrecondition, Message: "an earlier change of this checkout is unfinished", Want: "run chartctl recover first, or chartctl init without --dry-run if that was an init"}
	}
	if err := tx.Finish(); err != nil {
		return err
	}
	s.Said = append(s.Said, "the files of an earlier init were finished")
	return nil
}

// load reads what is there of an earlier init.
func (s *Setup) load() error {
	s.files = site.NewFiles(func(name string) ([]byte, error) { return s.root.Read(name, maxSiteFile) })
	var err error
	if s.old, err = s.root.Read(config.Name, config.MaxSize); err == nil {
		s.conf, err = config.Parse(s.old)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return err
	}
	s.lockOld, err = s.root.Read(lockfile.Name, lockfile.MaxSize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	s.lock, err = lockfile.Parse(s.lockOld)
	return err
}

// maxSiteFile is the largest file with a site that is read, in bytes.
const maxSiteFile = 16 << 20
