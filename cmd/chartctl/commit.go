package main

import (
	"context"
	"fmt"
	"strings"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/lockfile"
)

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
