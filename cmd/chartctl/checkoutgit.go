package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy/gitrepo"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/ref"
)

// files are the lock file and all files with a site of the environments.
func (co *checkout) files(envs []ref.Env) []string {
	out := []string{lockfile.Name}
	for _, e := range envs {
		for _, s := range co.repo.Sites(co.repo.Key(e)) {
			if !slices.Contains(out, s.File) {
				out = append(out, s.File)
			}
		}
	}
	return out
}

// clean refuses a checkout in which the change would mix with others.
func (co *checkout) clean(ctx context.Context, envs []ref.Env) error {
	git := co.repo.Git()
	switch {
	case git == nil && co.flags.commit:
		return usage("--commit: %s is in no git repository, or there is no git", co.repo.Root().Dir())
	case co.repo.NoGit() && !co.flags.allowDirty && !co.flags.dryRun:
		return localIO("whether files have uncommitted changes cannot be told: %v; install git, or give --allow-dirty", gitrepo.ErrNoGit)
	case git == nil || co.flags.allowDirty || co.flags.dryRun:
		return nil
	}
	state, err := git.State(ctx)
	if err != nil {
		return repoError(err)
	}
	branch, err := git.Branch(ctx)
	if err != nil {
		return repoError(err)
	}
	refuse := func(format string, args ...any) error {
		return &api.Error{Code: api.CodePrecondition, Message: fmt.Sprintf(format, args...), Want: "or give --allow-dirty"}
	}
	switch {
	case state.IndexLock != "":
		return refuse("another git works here, or died: %s exists; wait for it or remove that file", state.IndexLock)
	case state.Operation != "":
		return refuse("a %s is in progress here: finish or abort it", state.Operation)
	case branch == "":
		return refuse("no branch is checked out here (detached HEAD): check one out")
	}
	paths, err := co.gitPaths(co.files(envs))
	if err != nil {
		return repoError(err)
	}
	dirty, err := git.Dirty(ctx, paths...)
	if err != nil || len(dirty) == 0 {
		return repoError(err)
	}
	var names []string
	for _, d := range dirty {
		names = append(names, d.Path)
	}
	slices.Sort(names)
	return refuse("uncommitted changes in %s: commit them first", strings.Join(names, ", "))
}

func (co *checkout) gitPaths(files []string) ([]string, error) {
	var out []string
	for _, f := range files {
		p, err := co.repo.GitPath(f)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// head is the commit that the change builds on, "" if there is none.
func (co *checkout) head(ctx context.Context) (string, error) {
	if co.repo.Git() == nil {
		return "", nil
	}
	commit, err := co.repo.Git().Head(ctx)
	return commit, repoError(err)
}
