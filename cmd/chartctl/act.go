package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy"
	repoconfig "chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// job is what one command pins: one environment, or several as a set.
type job struct {
	kind                  model.Kind
	reason, commit        string
	downgrade, breakGlass string
	moves                 []move
}

// todo are the moves of environments that are not there already.
func (j job) todo() []move {
	out := []move{}
	for _, m := range j.moves {
		if m.already == nil {
			out = append(out, m)
		}
	}
	return out
}

func (j job) envs() []ref.Env {
	var out []ref.Env
	for _, m := range j.todo() {
		out = append(out, m.env)
	}
	return out
}

// one is the request of a job with one move.
func (j job) one(key string) client.PinCall {
	m := j.moves[0]
	return client.PinCall{Env: m.env, Base: m.base, Key: key, Pin: api.PinRequest{
		Binding: m.binding, Kind: j.kind, Reason: j.reason, From: m.from, Commit: j.commit, Downgrade: j.downgrade, BreakGlass: j.breakGlass,
	}}
}

// set is the request of a job with several moves.
func (j job) set() api.PinSetRequest {
	s := api.PinSetRequest{Kind: j.kind, Reason: j.reason, Commit: j.commit, Downgrade: j.downgrade, BreakGlass: j.breakGlass}
	for _, m := range j.todo() {
		s.Pins = append(s.Pins, api.SetPin{Env: m.env, Revision: m.base, Binding: m.binding, From: m.from})
	}
	return s
}

// intent is what has to be known of the job to find out what became of it.
func (j job) intent(server string) intent {
	n := intent{Format: intentFormat, Server: server}
	if len(j.todo()) == 0 {
		return n
	}
	n.Key, n.Envs = client.NewKey(), j.envs()
	var request any = j.set()
	if len(j.moves) == 1 {
		request = j.one(n.Key)
	}
	b, err := json.Marshal(request)
	if err != nil {
		panic(err) // wire types always marshal
	}
	n.Request = b
	return n
}

// send asks for the pins of a job, under key.
func (j job) send(ctx context.Context, c *client.Client, key string) (api.PinSetResult, error) {
	switch {
	case len(j.todo()) == 0:
		return api.PinSetResult{}, nil
	case len(j.moves) == 1:
		p, err := c.Pin(ctx, j.one(key))
		return api.PinSetResult{Pins: []api.Pin{p}}, err
	}
	return c.PinSet(ctx, j.set(), key)
}

// refused reports whether err is the server's word that nothing was pinned. It
// knows a key that it has seen; a proxy, a rate limit and the check of a
// credential do not, and an earlier try may have pinned.
func refused(err error) bool {
	var e *api.Error
	return errors.As(err, &e) && e.Status/100 == 4 && !e.Foreign && e.Status != http.StatusRequestTimeout &&
		e.Status != http.StatusTooManyRequests && e.Code != api.CodeUnauthorized && e.Code != api.CodeForbidden
}

// entries are the lock file's when the job is done.
func (co *checkout) entries(j job) []lockfile.Entry {
	var out []lockfile.Entry
	for _, m := range j.moves {
		out = append(out, deploy.EntryOf(co.repo.Key(m.env), m.to, co.repo.Config().Server))
	}
	return out
}

// inRepo does a job and brings the files of the deploy repo to it, as one act.
func (a *app) inRepo(ctx context.Context, s scope, j job) error {
	co := s.co
	p, err := co.repo.Plan(co.entries(j))
	if err != nil {
		return repoError(err)
	}
	if j.commit, err = co.head(ctx); err != nil {
		return err
	}
	switch {
	case s.dryRun:
		return a.dryRun(ctx, s, j, p)
	case co.repo.Config().Flow == repoconfig.Review:
		return a.review(ctx, s, j, p)
	}
	a.noteAlready(j)
	n := j.intent(co.client.Server())
	res, err := a.pinAndWrite(ctx, co, j, n, p)
	if err != nil {
		return err
	}
	if err := a.wrote(ctx, co, j, p); err != nil {
		return halfwayCommit(res.Pins, err)
	}
	return a.printJob(j, res)
}

// pinAndWrite stages the files, pins, and moves the files in. The commit of
// the pin on the server is the commit point: before it everything stays as it
// was, after it there is only forward.
func (a *app) pinAndWrite(ctx context.Context, co *checkout, j job, n intent, p *deploy.Plan) (api.PinSetResult, error) {
	if len(p.Changes) == 0 {
		return a.pinOnly(ctx, co.client, j, n)
	}
	tx, err := co.repo.Root().Stage(p.Changes, n.encode())
	if err != nil {
		return api.PinSetResult{}, unstaged(err)
	}
	for _, w := range tx.Warnings() {
		a.note("note: %s", w)
	}
	if err := ctx.Err(); err != nil {
		return api.PinSetResult{}, errors.Join(err, tx.Abort())
	}
	res, err := j.send(ctx, co.client, n.Key)
	if err != nil && !refused(err) {
		lost := err
		if res.Pins, err = settle(ctx, co.client, n); err != nil {
			return res, unsettled(n, lost)
		}
		if len(res.Pins) == 0 {
			err = nothingPinned(lost)
		}
	}
	if err != nil {
		if abort := tx.Abort(); abort != nil {
			return res, localIO("%v; besides, the prepared files could not be removed: %v", a.explain(err, j), abort)
		}
		return res, a.explain(err, j)
	}
	if err := tx.Finish(); err != nil {
		return res, halfway(res.Pins, err)
	}
	return res, nil
}

// unstaged is the error where the files could not even be prepared.
func unstaged(err error) error {
	err = repoError(err)
	var e *api.Error
	if errors.As(err, &e) && e.Code == api.CodeLocalIO {
		told := *e
		told.Message = "nothing was pinned, and no file is changed: " + told.Message
		return &told
	}
	return err
}

// nothingPinned is what a request came to whose answer was lost.
func nothingPinned(lost error) error {
	var e *api.Error
	if !errors.As(lost, &e) {
		return lost
	}
	told := *e
	told.Message += "; nothing was pinned, and no file is changed"
	return &told
}
