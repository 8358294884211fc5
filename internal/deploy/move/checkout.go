package move

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/ref"
)

// Checkout is the deploy repo that a command works in. Between Hold and Leave
// no other chartctl changes it.
type Checkout struct {
	Repo   *deploy.Repo
	Client *client.Client // of the repo's server; nil before Connect
	Stage  string         // of the checkout, where branches are stages; see NeedStage
	place  Place
	unlock func()
}

// Find opens the deploy repo that lies around the place. It is nil where there
// is none, unless it has to be there.
func Find(ctx context.Context, at Place, needed bool) (*Checkout, error) {
	repo, err := deploy.Open(ctx, cmp.Or(at.Dir, "."))
	if errors.Is(err, deploy.ErrNoRepo) && !needed {
		return nil, nil
	}
	if err != nil {
		return nil, deploy.Coded(err)
	}
	repo.TargetBranch(cmp.Or(at.Branch, at.Guess), at.Branch != "")
	return &Checkout{Repo: repo, place: at, unlock: func() {}}, nil
}

// Leave lets others work here again. It does nothing without a checkout.
func (co *Checkout) Leave() {
	if co != nil {
		co.unlock()
		co.Repo.Close()
	}
}

// Connect makes the client of the repo's server.
func (co *Checkout) Connect() (err error) {
	co.Client, err = co.place.Dial(co.Repo.Config().Server)
	return err
}

// lock keeps other chartctl processes from changing the checkout until Leave.
func (co *Checkout) lock(ctx context.Context) error {
	unlock, err := co.Repo.Root().Lock(ctx)
	if err == nil {
		co.unlock = unlock
	}
	return deploy.Coded(err)
}

// hold keeps other chartctl processes away and recovers first; it says what
// it recovered.
func (co *Checkout) hold(ctx context.Context) (said []string, err error) {
	if err := co.lock(ctx); err != nil {
		return nil, err
	}
	done, err := co.recover(ctx, false)
	if err != nil {
		return nil, err
	}
	if done.State != Nothing {
		said = []string{done.said()}
	}
	// Whoever held the lock before may have changed it all.
	return said, deploy.Coded(co.Repo.Reload())
}

// Idle refuses to read files that an unfinished change is about to replace.
func (co *Checkout) Idle() error {
	tx, err := co.Repo.Root().Pending()
	if err == nil && tx != nil {
		err = &api.Error{Code: api.CodePrecondition, Message: "an earlier change of this checkout is unfinished", Want: fmt.Sprintf("run %s first", advice.Recover)}
	}
	return deploy.Coded(err)
}

// begin makes the checkout ready to be changed, or to be read if nothing is
// to change.
func (co *Checkout) begin(ctx context.Context, dry bool) ([]string, error) {
	if err := co.Connect(); err != nil {
		return nil, err
	}
	if dry {
		return nil, co.Idle()
	}
	return co.hold(ctx)
}

// names reports whether the repo is that of the environments: of all or none.
func (co *Checkout) names(envs []ref.Env, needed bool) (bool, error) {
	var in, out []string
	for _, e := range envs {
		if _, ok := co.Repo.Config().Environments[co.Repo.Key(e)]; ok {
			in = append(in, e.String())
		} else {
			out = append(out, e.String())
		}
	}
	switch {
	case len(in) > 0 && len(out) > 0:
		return false, usage("%s names %s, but not %s: move them by two commands, the latter with --no-files",
			config.Name, strings.Join(in, ", "), strings.Join(out, ", "))
	case len(in) == 0 && needed:
		return false, usage("%s in %s does not name %s", config.Name, co.Repo.Root().Dir(), strings.Join(out, ", "))
	}
	return len(in) > 0, nil
}

// onStage checks that the environments are of the stage that is checked out.
func (co *Checkout) onStage(ctx context.Context, envs []ref.Env) error {
	if !co.Repo.Config().ByBranch() {
		return nil
	}
	stage, err := co.StageOf(ctx)
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
	if _, known := co.Repo.Config().Branch(stage); !known {
		return usage("%s maps no branch to stage %q of %s", config.Name, stage, envs[0])
	}
	co.Stage = stage
	return nil
}

// StageOf is the stage of the checkout; "" on a branch that is none's.
func (co *Checkout) StageOf(ctx context.Context) (string, error) {
	conf := co.Repo.Config()
	if _, known := conf.Stage(co.place.Branch); co.place.Branch != "" && !known && conf.ByBranch() {
		return "", usage("%s maps branch %q to no stage", config.Name, co.place.Branch)
	}
	stage, err := co.Repo.Stage(ctx)
	return stage, deploy.Coded(err)
}

// NeedStage finds the stage of the checkout, for what has to know it, and
// refuses a branch that is none's.
func (co *Checkout) NeedStage(ctx context.Context) (err error) {
	conf := co.Repo.Config()
	co.Stage, err = co.StageOf(ctx)
	if err == nil && co.Stage == "" && conf.ByBranch() {
		err = usage("the branch checked out here is no stage's: give --branch %s", strings.Join(slices.Sorted(maps.Keys(conf.Branches)), " or "))
	}
	return err
}

// together completes envs by the groups that they belong to, and says of each
// further one whose pair it takes. Without leave to move groups it refuses.
func (co *Checkout) together(envs []ref.Env, group bool) ([]ref.Env, map[ref.Env]ref.Env, error) {
	all, leader := slices.Clone(envs), map[ref.Env]ref.Env{}
	for _, e := range envs {
		var more []string
		for _, other := range co.Repo.Group(e) {
			if !slices.Contains(all, other) {
				all, leader[other] = append(all, other), e
				more = append(more, other.String())
			}
		}
		if len(more) > 0 && !group {
			return nil, nil, &api.Error{Code: api.CodeUsage, Message: fmt.Sprintf("%s shares sites with %s, so they can only move together", e, strings.Join(more, ", ")),
				Want: "give --group to move all of them in one pin set"}
		}
	}
	return all, leader, nil
}
