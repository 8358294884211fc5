package deploy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"chartd.dev/chartd/internal/advice"

	"chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/fileset"
	"chartd.dev/chartd/internal/deploy/gitrepo"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/ref"
)

// ErrNoRepo says that no directory from the given one upwards holds a
// .chartctl.yaml.
var ErrNoRepo = errors.New("not in a deploy repo")

// maxSite is the largest file with a site that is read, in bytes.
const maxSite = 16 << 20

// MaxFiles bounds the search of a checkout for sites and values.
const MaxFiles = 100_000

// Repo is a deploy repo as it was read by Open or Reload. It is for one
// goroutine.
type Repo struct {
	root   *fileset.Root
	git    *gitrepo.Repo
	noGit  bool
	fresh  bool // there may be no configuration yet
	conf   config.Config
	source []byte  // of the configuration; nil if there is none
	branch *string // nil until it is asked for
	target string  // of TargetBranch
	forced bool

	lock    lockfile.File
	lockErr error
	raw     []byte // of the lock file; nil if there is none
}

// Open opens the deploy repo that dir lies in: the nearest directory upwards
// that holds a .chartctl.yaml. It is ErrNoRepo if there is none. A lock file
// that cannot be parsed is no error before Lock.
func Open(ctx context.Context, dir string) (*Repo, error) {
	top, err := find(dir)
	if err != nil {
		return nil, err
	}
	return open(ctx, &Repo{}, top)
}

// OpenNew opens a directory that is to become a deploy repo: what Config says is
// empty where it holds no .chartctl.yaml yet.
func OpenNew(ctx context.Context, dir string) (*Repo, error) {
	return open(ctx, &Repo{fresh: true}, dir)
}

func open(ctx context.Context, r *Repo, top string) (*Repo, error) {
	var err error
	if r.root, err = fileset.Open(top); err != nil {
		return nil, err
	}
	r.git, err = gitrepo.Open(ctx, top)
	r.noGit = errors.Is(err, gitrepo.ErrNoGit)
	if err != nil && !errors.Is(err, gitrepo.ErrNone) && !errors.Is(err, gitrepo.ErrNoGit) {
		return nil, errors.Join(err, r.root.Close())
	}
	if err := r.Reload(); err != nil {
		return nil, errors.Join(err, r.root.Close())
	}
	return r, nil
}

func find(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find the deploy repo: %w", err)
	}
	for at := dir; ; at = filepath.Dir(at) {
		_, err := os.Lstat(filepath.Join(at, config.Name))
		switch {
		case err == nil:
			return at, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("find the deploy repo: %w", err)
		case at == filepath.Dir(at):
			return "", fmt.Errorf("%w: neither %q nor a directory above it holds %s; make one with %s", ErrNoRepo, dir, config.Name, advice.Init)
		}
	}
}

// Reload reads the configuration and the lock file again, as is needed once
// the checkout is locked.
func (r *Repo) Reload() error {
	var err error
	r.source, err = r.root.Read(config.Name, config.MaxSize)
	switch {
	case r.fresh && errors.Is(err, fs.ErrNotExist):
		r.source, r.conf = nil, config.Config{}
	case err != nil:
		return err
	default:
		if r.conf, err = config.Parse(r.source); err != nil {
			return err
		}
	}
	r.lock, r.lockErr, r.branch = lockfile.File{}, nil, nil
	r.raw, err = r.root.Read(lockfile.Name, lockfile.MaxSize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.raw = nil
	case err != nil:
		return err
	default:
		r.lock, r.lockErr = lockfile.Parse(r.raw)
	}
	return nil
}

// Close lets go of the directory.
func (r *Repo) Close() error { return r.root.Close() }

// Config is what .chartctl.yaml says.
func (r *Repo) Config() config.Config { return r.conf }

// ConfigBytes is .chartctl.yaml as it was read, nil if there is none yet.
func (r *Repo) ConfigBytes() []byte { return r.source }

// Root gives access to the files.
func (r *Repo) Root() *fileset.Root { return r.root }

// Git is the git repository of the checkout; nil if there is none, or no git.
func (r *Repo) Git() *gitrepo.Repo { return r.git }

// NoGit reports that the checkout is one of git, but the program is not there.
func (r *Repo) NoGit() bool { return r.noGit }

// Lock is what chartd.lock says: nothing where there is none, a
// *lockfile.SyntaxError where it cannot be trusted.
func (r *Repo) Lock() (lockfile.File, error) { return r.lock, r.lockErr }

// LockBytes is chartd.lock as it was read, nil if there is none.
func (r *Repo) LockBytes() []byte { return r.raw }

// Files reads the files of sites, each once, and edits them in memory.
func (r *Repo) Files() *site.Files {
	return site.NewFiles(func(path string) ([]byte, error) { return r.root.Read(path, maxSite) })
}

// GitPath is the path of a file of the deploy repo from the top of the git
// checkout, which may lie further up.
func (r *Repo) GitPath(path string) (string, error) {
	dir, err := filepath.EvalSymlinks(r.root.Dir())
	if err != nil {
		return "", err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", err
	}
	rel, err := filepath.Rel(r.git.Root(), dir)
	if err != nil || !filepath.IsLocal(rel) {
		return "", fmt.Errorf("%q does not lie in the git checkout %q", dir, r.git.Root())
	}
	return filepath.ToSlash(filepath.Join(rel, path)), nil
}

// LockIgnored says that git leaves the lock file out of what it adds, by which
// rule, and how to mend it; "" where it does not.
func (r *Repo) LockIgnored(ctx context.Context) (string, error) {
	if r.git == nil {
		return "", nil
	}
	path, err := r.GitPath(lockfile.Name)
	if err != nil {
		return "", nil // the directory moved meanwhile
	}
	rule, err := r.git.IgnoredBy(ctx, path)
	if err != nil || rule == nil {
		return "", err
	}
	return fmt.Sprintf("%s:%d: git ignores %s by the pattern %q, so it is in no commit and nobody else has it: git add -f %s, or write !%s below that line",
		rule.File, rule.Line, lockfile.Name, rule.Pattern, lockfile.Name, lockfile.Name), nil
}

// TargetBranch names the branch that the checkout is meant for where the one
// that is checked out is no stage's, as on a pull request. It comes before the
// checked out one if it is forced.
func (r *Repo) TargetBranch(branch string, forced bool) { r.target, r.forced = branch, forced }

// Stage is the stage that the checkout is of, "" where branches are no stages
// or its branch is none of them.
func (r *Repo) Stage(ctx context.Context) (string, error) {
	if !r.conf.ByBranch() {
		return "", nil
	}
	if r.forced {
		return r.conf.Branches[r.target], nil
	}
	if r.branch == nil {
		branch := ""
		if r.git != nil {
			var err error
			if branch, err = r.git.Branch(ctx); err != nil {
				return "", err
			}
		}
		r.branch = &branch
	}
	if stage := r.conf.Branches[*r.branch]; stage != "" {
		return stage, nil
	}
	return r.conf.Branches[r.target], nil
}

// Environments are those of the repo, sorted; where branches are stages, those
// of the given stage.
func (r *Repo) Environments(stage string) ([]ref.Env, error) {
	var out []ref.Env
	for _, key := range r.conf.Keys() {
		e, err := r.Env(key, stage)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// Env is the environment that a key of the lock file stands for, on a checkout
// of the given stage.
func (r *Repo) Env(key, stage string) (ref.Env, error) {
	if r.conf.ByBranch() {
		key += "/" + stage
	}
	return ref.ParseEnv(key)
}

// Key is an environment's key in the lock file and in .chartctl.yaml.
func (r *Repo) Key(env ref.Env) string { return r.conf.Key(env) }

// Group are the environments that can only move together with env: those that
// share a site with it, those that share one with them, and so on. It is
// sorted and holds env itself.
func (r *Repo) Group(env ref.Env) []ref.Env { return r.conf.Group(env) }

// Sites are those of the environment with a key, each once.
func (r *Repo) Sites(key string) []site.Site {
	var out []site.Site
	for _, name := range r.conf.Environments[key].Sites {
		for _, s := range r.conf.Sites[name] {
			if !slices.ContainsFunc(out, s.Same) {
				out = append(out, s)
			}
		}
	}
	return out
}
