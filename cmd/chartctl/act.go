package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy"
	repoconfig "chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/ref"
)

// job is what one command pins: one environment, or several as a set.
type job struct {
	kind, reason, commit  string
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

// refused reports whether err is the server's word that nothing was pinned.
// A credential that is refused may have been good for an earlier try.
func refused(err error) bool {
	var e *api.Error
	return errors.As(err, &e) && e.Status/100 == 4 && e.Status != http.StatusRequestTimeout &&
		e.Code != api.CodeUnauthorized && e.Code != api.CodeForbidden
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

// wrote tells which files were changed, and commits them if asked.
func (a *app) wrote(ctx context.Context, co *checkout, j job, p *deploy.Plan) error {
	if len(p.Changes) == 0 {
		a.note("the files are at that pair already")
		return nil
	}
	a.note("wrote %s", strings.Join(p.Paths(), ", "))
	if !co.flags.commit {
		return nil
	}
	paths, err := co.gitPaths(p.Paths())
	if err != nil {
		return err
	}
	commit, err := co.repo.Git().Commit(context.WithoutCancel(ctx), message(co, j), paths)
	if err != nil {
		return err
	}
	a.note("committed as %.12s", commit)
	return nil
}

func halfwayCommit(pins []api.Pin, err error) error {
	state := "the files are written"
	if len(pins) > 0 {
		state = madePins(pins) + ", and " + state
	}
	return localIO("%s, but they could not be committed: %v; commit them yourself", state, err)
}

// message is the commit message of a job: what moved from where to where.
func message(co *checkout, j job) string {
	old, _ := co.repo.Lock() // parsed before the plan was made
	var each []string
	for _, m := range j.moves {
		before, _ := old.Get(co.repo.Key(m.env))
		after := deploy.EntryOf(co.repo.Key(m.env), m.to, "")
		what := changes(before, after)
		if j.kind == "prepare" {
			what = "prepare " + after.Chart.Name + " " + after.Chart.Version
		}
		each = append(each, what)
	}
	if len(each) == 1 {
		return fmt.Sprintf("%s: %s\n", j.moves[0].env, each[0])
	}
	text := fmt.Sprintf("%s: %s\n\n", plural(len(each), "environment"), each[0])
	for i, m := range j.moves {
		text += fmt.Sprintf("%s: %s\n", m.env, each[i])
	}
	return text
}

// changes says what differs: "jupyterhub 3.3.7 → 3.3.8, hub 2024.4.9 → 2024.5.1".
func changes(before, after lockfile.Entry) string {
	parts := []string{after.Chart.Name + " " + arrow(before.Chart.Version, after.Chart.Version)}
	for _, i := range after.Images {
		was, is := "", first(i.Tag, short(i.Digest))
		for _, b := range before.Images {
			if b.Role != i.Role {
				continue
			}
			if was = first(b.Tag, short(b.Digest)); was == is && b.Digest != i.Digest { // built anew
				was, is = was+"@"+short(b.Digest), is+"@"+short(i.Digest)
			}
		}
		parts = append(parts, string(i.Role)+" "+arrow(was, is))
	}
	return strings.Join(parts, ", ")
}

func arrow(from, to string) string {
	if from == "" || from == to {
		return to
	}
	return fmt.Sprintf("%s → %s", from, to)
}
