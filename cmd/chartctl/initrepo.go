package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy"
	repoconfig "chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/fileset"
	"chartd.dev/chartd/internal/deploy/gitrepo"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/deploy/move"
	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/ref"
)

// maxRepoFiles bounds the search for environments and sites.
const maxRepoFiles = 100_000

// setup is one run of init.
type setup struct {
	flags  initFlags
	client *client.Client
	root   *fileset.Root
	git    *gitrepo.Repo // nil without git
	unlock func()

	conf    repoconfig.Config
	old     []byte // .chartctl.yaml as it is, nil if there is none
	lockOld []byte // chartd.lock, the same
	lock    lockfile.File
	stage   string // of the checkout, where branches are stages
	files   *site.Files
	changes []fileset.Change
	out     initResult
}

func (s *setup) close() {
	s.unlock()
	s.root.Close()
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// openSetup opens the checkout; no other chartctl changes it meanwhile.
func (a *app) openSetup(ctx context.Context, f initFlags) (*setup, error) {
	dir, git, err := topOf(ctx, f.dir)
	if err != nil {
		return nil, err
	}
	s := &setup{flags: f, git: git, unlock: func() {}}
	if s.root, err = fileset.Open(dir); err != nil {
		return nil, deploy.Coded(err)
	}
	s.out = initResult{Directory: s.root.Dir(), Evidence: []initEvidence{}, Notes: []string{}, Environments: []initEnv{}}
	if err = s.hold(ctx, a); err == nil {
		err = s.load()
	}
	if err == nil {
		s.client, err = a.clientAt(s.conf.Server)
	}
	if u, bad := client.ParseServer(s.conf.Server); err == nil && s.conf.Server != "" && (bad != nil || s.client.Server() != u.String()) {
		err = usage("%s names the server %q, and not %q: change it there if it has moved", repoconfig.Name, s.conf.Server, s.client.Server())
	}
	if err != nil {
		s.close()
		return nil, deploy.Coded(err)
	}
	return s, nil
}

// topOf is the directory that .chartctl.yaml stands in, or is to stand in.
func topOf(ctx context.Context, dir string) (string, *gitrepo.Repo, error) {
	at := cmp.Or(dir, ".")
	if info, err := os.Stat(at); err != nil || !info.IsDir() {
		return "", nil, usage("%q is no directory", at)
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
func (s *setup) hold(ctx context.Context, a *app) error {
	if !s.flags.dryRun {
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
	if s.flags.dryRun || pins {
		return &api.Error{Code: api.CodePrecondition, Message: "an earlier change of this checkout is unfinished", Want: "run chartctl recover first, or chartctl init without --dry-run if that was an init"}
	}
	if err := tx.Finish(); err != nil {
		return err
	}
	a.note("the files of an earlier init were finished")
	return nil
}

// load reads what is there of an earlier init.
func (s *setup) load() error {
	s.files = site.NewFiles(func(name string) ([]byte, error) { return s.root.Read(name, maxSiteFile) })
	var err error
	if s.old, err = s.root.Read(repoconfig.Name, repoconfig.MaxSize); err == nil {
		s.conf, err = repoconfig.Parse(s.old)
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

// propose finds out what .chartctl.yaml is to say.
func (s *setup) propose(ctx context.Context) error {
	if s.old != nil {
		s.out.Notes = append(s.out.Notes, repoconfig.Name+" is there already and is used as it is; remove it to have another one proposed")
		s.out.Config = string(s.old)
		return s.findStage(ctx)
	}
	names, left, err := s.root.Files(maxRepoFiles)
	if err != nil {
		return err
	}
	search := repoconfig.Search{
		Name: filepath.Base(s.root.Dir()), Files: names, Read: s.root.Read,
		Server: s.client.Server(), Flow: repoconfig.Flow(s.flags.flow), Chart: s.flags.chart,
		Known: func(chart string) (map[ref.Role]string, bool, error) { return s.ownImages(ctx, chart) },
	}
	if s.git != nil {
		if search.Branches, err = s.git.Branches(ctx); err != nil {
			return err
		}
	}
	p, err := repoconfig.Discover(search)
	if err != nil {
		return err
	}
	for _, l := range left {
		s.out.Notes = append(s.out.Notes, "passed over "+l)
	}
	for _, e := range p.Evidence {
		s.out.Evidence = append(s.out.Evidence, initEvidence(e))
	}
	s.out.Notes = append(s.out.Notes, p.Notes...)
	s.conf = p.Config
	s.out.Config = string(s.conf.Bytes())
	s.changes = append(s.changes, fileset.Change{Path: repoconfig.Name, New: []byte(s.out.Config)})
	return s.findStage(ctx)
}

// findStage tells which stage the files of the checkout are of.
func (s *setup) findStage(ctx context.Context) error {
	if !s.conf.ByBranch() {
		if s.flags.branch != "" {
			return usage("--branch %s: no branch is a stage here", s.flags.branch)
		}
		return nil
	}
	branch := s.flags.branch
	if branch == "" && s.git != nil {
		var err error
		if branch, err = s.git.Branch(ctx); err != nil {
			return err
		}
	}
	stage, ok := s.conf.Stage(branch)
	switch {
	case s.flags.branch != "" && !ok:
		return usage("--branch %s is no stage's: %v are", s.flags.branch, sortedKeys(s.conf.Branches))
	case !ok:
		s.out.Notes = append(s.out.Notes, fmt.Sprintf("branch %q is no stage's, so %s is not written here: run chartctl init again on each of %v, or chartctl lock resolve --branch", branch, lockfile.Name, sortedKeys(s.conf.Branches)))
	}
	s.stage = stage
	return nil
}

// ownImages asks the server for the images that a chart itself names.
func (s *setup) ownImages(ctx context.Context, chart string) (map[ref.Role]string, bool, error) {
	if _, err := ref.ParseImported(chart, "1.0.0"); err != nil {
		return nil, false, nil
	}
	list, err := s.client.Versions(ctx, chart)
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
func (s *setup) pointAtServer() error {
	done := map[site.Site]bool{}
	for _, set := range sortedKeys(s.conf.Sites) {
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
func (s *setup) source() string { return cmp.Or(s.conf.Server, s.client.Server()) }

// collect takes over what the sites' edits changed so far.
func (s *setup) collect() error {
	edited, err := s.files.Changes()
	if err != nil {
		return err
	}
	kept := slices.DeleteFunc(s.changes, func(c fileset.Change) bool { return c.Path != repoconfig.Name })
	for _, c := range edited {
		if base := path.Base(c.Path); base == "Chart.lock" || base == "requirements.lock" {
			note := fmt.Sprintf("helm dependency build reads %s and wants: helm repo add chartd %s", c.Path, s.client.Server())
			if !slices.Contains(s.out.Notes, note) {
				s.out.Notes = append(s.out.Notes, note)
			}
		}
		kept = append(kept, fileset.Change{Path: c.Path, Old: c.Old, New: c.New})
	}
	s.changes = kept
	return nil
}

// initError gives an error of the search its code.
func initError(err error) error {
	if errors.Is(err, repoconfig.ErrNothing) {
		return &api.Error{Code: api.CodeNotFound, Message: err.Error()}
	}
	return deploy.Coded(err)
}
