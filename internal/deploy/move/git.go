package move

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/gitrepo"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/ref"
)

// files are the lock file and all files with a site of the environments.
func (co *Checkout) files(envs []ref.Env) []string {
	out := []string{lockfile.Name}
	for _, e := range envs {
		for _, s := range co.Repo.Sites(co.Repo.Key(e)) {
			if !slices.Contains(out, s.File) {
				out = append(out, s.File)
			}
		}
	}
	return out
}

// clean refuses a checkout in which the change would mix with others.
func (co *Checkout) clean(ctx context.Context, f Files, envs []ref.Env) error {
	git := co.Repo.Git()
	switch {
	case git == nil && f.Commit:
		return usage("--commit: %s is in no git repository, or there is no git", co.Repo.Root().Dir())
	case co.Repo.NoGit() && !f.AllowDirty && !f.DryRun:
		return localIO("whether files have uncommitted changes cannot be told: %v; install git, or give --allow-dirty", gitrepo.ErrNoGit)
	case git == nil || f.AllowDirty || f.DryRun:
		return nil
	}
	if err := quiet(ctx, git); err != nil {
		return err
	}
	paths, err := co.gitPaths(co.files(envs))
	if err != nil {
		return err
	}
	dirty, err := git.Dirty(ctx, paths...)
	if err != nil || len(dirty) == 0 {
		return deploy.Coded(err)
	}
	var names []string
	for _, d := range dirty {
		names = append(names, d.Path)
	}
	slices.Sort(names)
	return unclean("uncommitted changes in %s: commit them first", strings.Join(names, ", "))
}

// quiet refuses a checkout in which git is in the middle of something.
func quiet(ctx context.Context, git *gitrepo.Repo) error {
	state, err := git.State(ctx)
	if err != nil {
		return deploy.Coded(err)
	}
	branch, err := git.Branch(ctx)
	switch {
	case err != nil:
		return deploy.Coded(err)
	case state.IndexLock != "":
		return unclean("another git works here, or died: %s exists; wait for it or remove that file", state.IndexLock)
	case state.Operation != "":
		return unclean("a %s is in progress here: finish or abort it", state.Operation)
	case branch == "":
		return unclean("no branch is checked out here (detached HEAD): check one out")
	}
	return nil
}

func unclean(format string, args ...any) error {
	return &api.Error{Code: api.CodePrecondition, Message: fmt.Sprintf(format, args...), Want: "or give --allow-dirty"}
}

func (co *Checkout) gitPaths(files []string) ([]string, error) {
	var out []string
	for _, f := range files {
		p, err := co.Repo.GitPath(f)
		if err != nil {
			return nil, deploy.Coded(err)
		}
		out = append(out, p)
	}
	return out, nil
}

// head is the commit that the change builds on, "" if there is none.
func (co *Checkout) head(ctx context.Context) (string, error) {
	if co.Repo.Git() == nil {
		return "", nil
	}
	commit, err := co.Repo.Git().Head(ctx)
	return commit, deploy.Coded(err)
}
