package move

import (
	"context"
	"errors"
	"fmt"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// act is one move at work: the server, the environments, and the deploy repo
// whose files follow.
type act struct {
	client *client.Client
	envs   []ref.Env // those named first, then the rest of their groups
	co     *Checkout // nil: no files
	files  Files
	leader map[ref.Env]ref.Env // of those that only their group brought in
	out    Outcome
}

// Outcome is what a move came to. Its notes are there with an error, too.
type Outcome struct {
	Commit   string    // of HEAD, where apply read the lock
	Set      string    // of pins made in one transaction
	Pins     []Now     // of each environment, unless nothing was to be pinned
	Proposal *Proposal // where nothing was to be pinned
	Notes    []string
}

// Now is the pin that an environment has after a move.
type Now struct {
	api.Pin
	Made bool // by it; else the environment was there already
	// ByVersion is where the chart goes by its version, where that is not where
	// it goes by the order of publication.
	ByVersion model.Heading
}

// Proposal is a change of files that pins nothing: a dry run, or one that is
// to be reviewed.
type Proposal struct {
	Pinned   bool              `json:"pinned"` // always false
	Written  bool              `json:"written"`
	Files    []string          `json:"files"`
	Diff     string            `json:"diff"`
	Verdicts []api.GateVerdict `json:"verdicts"`
}

func propose(p *deploy.Plan) *Proposal {
	out := &Proposal{Files: []string{}, Verdicts: []api.GateVerdict{}}
	if p != nil {
		out.Files, out.Diff = append(out.Files, p.Paths()...), p.Diff()
	}
	return out
}

func (a *act) note(format string, args ...any) {
	a.out.Notes = append(a.out.Notes, fmt.Sprintf(format, args...))
}

// begin finds out what a command that names environments is about. leave is
// to be called after it, with an error too.
func begin(ctx context.Context, at Place, f Files, envs []ref.Env) (*act, error) {
	a := &act{files: f, envs: envs}
	if err := f.check(at); err != nil {
		return a, err
	}
	err := a.enter(ctx, at)
	if err != nil {
		return a, err
	}
	if a.co == nil {
		a.client, err = at.Dial("")
		return a, err
	}
	a.client = a.co.Client
	if a.envs, a.leader, err = a.co.together(envs, f.Group); err != nil {
		return a, err
	}
	return a, a.co.clean(ctx, f, a.envs)
}

// enter opens the deploy repo for the change, recovers what an earlier command
// left, and checks that it is on the right branch. There is no checkout where
// no deploy repo names the environments.
func (a *act) enter(ctx context.Context, at Place) error {
	if a.files.None {
		return nil
	}
	needed := a.files.need(at)
	co, err := Find(ctx, at, needed)
	if err != nil || co == nil {
		return err
	}
	named, err := co.names(a.envs, needed)
	if err != nil || !named {
		if err == nil {
			a.note("note: %s in %s does not name %s, so no file is changed", config.Name, co.Repo.Root().Dir(), a.envs[0])
		}
		co.Leave()
		return err
	}
	a.co = co
	said, err := co.begin(ctx, a.files.DryRun)
	a.out.Notes = append(a.out.Notes, said...)
	if err != nil {
		return err
	}
	return co.onStage(ctx, a.envs)
}

// leave lets others work in the checkout again.
func (a *act) leave() { a.co.Leave() }

// do makes a move, or proposes it where nothing is to be pinned.
func (a *act) do(ctx context.Context, m move) (Outcome, error) {
	if a.co == nil {
		return a.out, a.onServer(ctx, m)
	}
	err := a.inRepo(ctx, m)
	return a.out, a.grouped(err)
}

func (a *act) onServer(ctx context.Context, m move) error {
	a.noteThere(m)
	if a.files.DryRun {
		return a.propose(ctx, m, nil)
	}
	res, _, err := m.pin(ctx, a.client, m.intent(a.client.Server()), false)
	if err != nil {
		return err
	}
	return a.pinned(m, res)
}

// inRepo makes a move and brings the files to it, as one act.
func (a *act) inRepo(ctx context.Context, m move) error {
	if err := a.co.halves(m); err != nil {
		return err
	}
	p, err := a.co.Repo.Plan(a.co.entries(m))
	if err != nil {
		return deploy.Coded(err)
	}
	if m.Commit, err = a.co.head(ctx); err != nil {
		return err
	}
	a.noteThere(m)
	switch {
	case a.files.DryRun:
		return a.propose(ctx, m, p)
	case a.co.Repo.Config().Flow == config.Review:
		return a.review(ctx, m, p)
	}
	res, err := a.pinAndWrite(ctx, m, p)
	if err != nil {
		return err
	}
	if err := a.wrote(ctx, m, p); err != nil {
		return halfwayCommit(res.Pins, err)
	}
	return a.pinned(m, res)
}

// pinAndWrite stages the files, pins, and moves the files in.
func (a *act) pinAndWrite(ctx context.Context, m move, p *deploy.Plan) (api.PinSetResult, error) {
	n := m.intent(a.client.Server())
	if len(p.Changes) == 0 {
		res, _, err := m.pin(ctx, a.client, n, false)
		return res, err
	}
	tx, err := a.co.Repo.Root().Stage(p.Changes, n.encode())
	if err != nil {
		return api.PinSetResult{}, unstaged(err)
	}
	for _, w := range tx.Warnings() {
		a.note("note: %s", w)
	}
	if err := ctx.Err(); err != nil {
		return api.PinSetResult{}, errors.Join(err, tx.Abort())
	}
	res, known, err := m.pin(ctx, a.client, n, true) // the commit point
	switch {
	case err != nil && !known:
		return res, err
	case err != nil:
		if abort := tx.Abort(); abort != nil {
			return res, localIO("%v; besides, the prepared files could not be removed: %v", err, abort)
		}
		return res, err
	}
	if err := tx.Finish(); err != nil {
		return res, halfway(res.Pins, err)
	}
	return res, nil
}

// unstaged is the error where the files could not even be prepared.
func unstaged(err error) error {
	err = deploy.Coded(err)
	var e *api.Error
	if errors.As(err, &e) && e.Code == api.CodeLocalIO {
		told := *e
		told.Message = "nothing was pinned, and no file is changed: " + told.Message
		return &told
	}
	return err
}

// grouped adds --group to what a refusal says to run: the server knows of no
// files that environments share.
func (a *act) grouped(err error) error {
	var e *api.Error
	if a.co == nil || !a.files.Group || len(a.envs) < 2 || !errors.As(err, &e) {
		return err
	}
	told := *e
	told.Want, told.Command = advice.Together(e.Want, a.envs), advice.Together(e.Command, a.envs)
	return &told
}
