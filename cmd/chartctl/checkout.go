package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy"
	repoconfig "chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/ref"
)

// fileFlags say how a command treats the deploy repo that it is run in.
type fileFlags struct {
	dir, branch                                string
	noFiles, group, allowDirty, commit, dryRun bool
}

func (f *fileFlags) add(c *cobra.Command) {
	c.Flags().StringVarP(&f.dir, "directory", "C", "", "work in the deploy repo of this directory")
	c.Flags().StringVar(&f.branch, "branch", "", "with branches as stages: the branch that the files are for")
	c.Flags().BoolVar(&f.noFiles, "no-files", false, "only pin; leave the files of the deploy repo alone")
	c.Flags().BoolVar(&f.group, "group", false, "move the environments that share sites with it too")
	c.Flags().BoolVar(&f.allowDirty, "allow-dirty", false, "also over uncommitted changes of the files concerned")
	c.Flags().BoolVar(&f.commit, "commit", false, "commit the changed files, and nothing else")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "show the diff and what the gate says; change nothing")
}

func (f *fileFlags) check() error {
	switch {
	case f.commit && f.allowDirty:
		return usage("--commit and --allow-dirty exclude each other: the commit would hold changes that are not the pin's")
	case f.commit && f.dryRun:
		return usage("--commit and --dry-run exclude each other")
	case f.noFiles && (f.commit || f.group || f.dir != ""):
		return usage("--no-files excludes --commit, --group and -C: they are about the deploy repo's files")
	}
	return nil
}

// checkout is the deploy repo that a command works in. Unless it is only read,
// no other chartctl changes it before leave.
type checkout struct {
	repo   *deploy.Repo
	client *client.Client
	flags  fileFlags
	stage  string // of the checkout, where branches are stages
	unlock func()
}

func (co *checkout) leave() {
	if co != nil {
		co.unlock()
		co.repo.Close()
	}
}

// find opens the deploy repo that the command is run in; nil if there is none
// and none is asked for.
func (a *app) find(ctx context.Context, f fileFlags) (*checkout, error) {
	dir := first(f.dir, ".")
	repo, err := deploy.Open(ctx, dir)
	if errors.Is(err, deploy.ErrNoRepo) && f.dir == "" && !f.group && !f.commit {
		return nil, nil
	}
	if err != nil {
		return nil, repoError(err)
	}
	repo.TargetBranch(first(f.branch, a.getenv("GITHUB_BASE_REF"), a.getenv("CI_MERGE_REQUEST_TARGET_BRANCH_NAME")), f.branch != "")
	return &checkout{repo: repo, flags: f, unlock: func() {}}, nil
}

// enter opens the deploy repo for a change of envs, recovers what an earlier
// command left, and checks that the files may be changed. It is nil where
// there is no deploy repo that names them.
func (a *app) enter(ctx context.Context, f fileFlags, envs []ref.Env) (*checkout, error) {
	if err := f.check(); err != nil || f.noFiles {
		return nil, err
	}
	co, err := a.find(ctx, f)
	if err != nil || co == nil {
		return nil, err
	}
	named, err := co.names(envs)
	switch {
	case err != nil:
	case named:
		err = co.open(ctx, a, envs)
	default:
		a.note("note: %s in %s does not name %s, so no file is changed", repoconfig.Name, co.repo.Root().Dir(), envs[0])
	}
	if err != nil || !named {
		co.leave()
		return nil, err
	}
	return co, nil
}

// open makes the checkout ready for a change of envs.
func (co *checkout) open(ctx context.Context, a *app, envs []ref.Env) error {
	var err error
	if co.client, err = a.clientAt(co.repo.Config().Server); err != nil {
		return err
	}
	if co.flags.dryRun {
		err = co.idle()
	} else {
		err = a.hold(ctx, co)
	}
	if err != nil {
		return err
	}
	return co.onStage(ctx, envs)
}

// hold keeps other chartctl processes away and recovers first.
func (a *app) hold(ctx context.Context, co *checkout) error {
	if err := co.lock(ctx); err != nil {
		return err
	}
	done, err := a.recoverPending(ctx, co, false)
	if err != nil {
		return err
	}
	if done.State != "" {
		done.tell(a)
	}
	// Whoever held the lock before may have changed it all.
	return repoError(co.repo.Reload())
}

// lock keeps other chartctl processes from changing the checkout until leave.
func (co *checkout) lock(ctx context.Context) error {
	unlock, err := co.repo.Root().Lock(ctx)
	if err == nil {
		co.unlock = unlock
	}
	return repoError(err)
}

// idle refuses to read files that an unfinished change is about to replace.
func (co *checkout) idle() error {
	tx, err := co.repo.Root().Pending()
	if err == nil && tx != nil {
		err = &api.Error{Code: api.CodePrecondition, Message: "an earlier change of this checkout is unfinished", Want: "run chartctl recover first"}
	}
	return repoError(err)
}

// names reports whether the repo is that of the environments: of all or none.
func (co *checkout) names(envs []ref.Env) (bool, error) {
	var in, out []string
	for _, e := range envs {
		if _, ok := co.repo.Config().Environments[co.repo.Key(e)]; ok {
			in = append(in, e.String())
		} else {
			out = append(out, e.String())
		}
	}
	if len(in) > 0 && len(out) > 0 {
		return false, usage("%s names %s, but not %s: move them by two commands, the latter with --no-files",
			repoconfig.Name, strings.Join(in, ", "), strings.Join(out, ", "))
	}
	if f := co.flags; len(in) == 0 && (f.group || f.commit || f.dir != "") {
		return false, usage("%s in %s does not name %s", repoconfig.Name, co.repo.Root().Dir(), strings.Join(out, ", "))
	}
	return len(in) > 0, nil
}

// onStage checks that the environments are of the stage that is checked out.
func (co *checkout) onStage(ctx context.Context, envs []ref.Env) error {
	if !co.repo.Config().ByBranch() {
		return nil
	}
	stage, err := co.stageOf(ctx)
	if err != nil {
		return err
	}
	if stage == "" { // a branch that will be merged into the one of the stage
		stage = envs[0].Stage()
	}
	for _, e := range envs {
		if e.Stage() != stage {
			return usage("this checkout is of stage %q, and %s is not: check out the branch of %q, or give --no-files", stage, e, e.Stage())
		}
	}
	if _, known := co.repo.Config().Branch(stage); !known {
		return usage("%s maps no branch to stage %q of %s", repoconfig.Name, stage, envs[0])
	}
	co.stage = stage
	return nil
}

// stageOf is the stage of the checkout; "" on a branch that is none's.
func (co *checkout) stageOf(ctx context.Context) (string, error) {
	if _, known := co.repo.Config().Stage(co.flags.branch); co.flags.branch != "" && !known && co.repo.Config().ByBranch() {
		return "", usage("%s maps branch %q to no stage", repoconfig.Name, co.flags.branch)
	}
	stage, err := co.repo.Stage(ctx)
	return stage, repoError(err)
}

// needStage finds the stage of the checkout, for what has to know it, and refuses
// a branch that is none's.
func (co *checkout) needStage(ctx context.Context) (err error) {
	co.stage, err = co.stageOf(ctx)
	if err == nil && co.stage == "" && co.repo.Config().ByBranch() {
		err = usage("the branch checked out here is no stage's: give --branch %s", strings.Join(sortedKeys(co.repo.Config().Branches), " or "))
	}
	return err
}

// together completes envs by the groups that they belong to, and says of each
// further one whose pair it takes. Without --group it refuses.
func (co *checkout) together(envs []ref.Env) ([]ref.Env, map[ref.Env]ref.Env, error) {
	all, leader := slices.Clone(envs), map[ref.Env]ref.Env{}
	for _, e := range envs {
		var more []string
		for _, other := range co.repo.Group(e) {
			if !slices.Contains(all, other) {
				all, leader[other] = append(all, other), e
				more = append(more, other.String())
			}
		}
		if len(more) > 0 && !co.flags.group {
			return nil, nil, &api.Error{Code: api.CodeUsage, Message: fmt.Sprintf("%s shares sites with %s, so they can only move together", e, strings.Join(more, ", ")),
				Want: "give --group to move all of them in one pin set"}
		}
	}
	return all, leader, nil
}

// repoError gives an error of the checkout the code that decides the exit code.
func repoError(err error) error { return deploy.Coded(err) }
