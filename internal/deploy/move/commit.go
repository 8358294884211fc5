package move

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/ref"
)

// wrote says which files were changed, and commits them if asked.
func (a *act) wrote(ctx context.Context, m move, p *deploy.Plan) error {
	if len(p.Changes) == 0 {
		a.note("the files are at that pair already")
		return nil
	}
	a.note("wrote %s", strings.Join(p.Paths(), ", "))
	if !a.files.Commit {
		return nil
	}
	paths, err := a.co.gitPaths(p.Paths())
	if err != nil {
		return err
	}
	commit, err := a.co.Repo.Git().Commit(context.WithoutCancel(ctx), a.message(m), paths)
	if err != nil {
		return err
	}
	a.note("committed as %.12s", commit)
	return nil
}

func halfwayCommit(pins []api.Pin, err error) error {
	state := "the files are written"
	if len(pins) > 0 {
		state = made(pins) + ", and " + state
	}
	return localIO("%s, but they could not be committed: %v; commit them yourself", state, err)
}

// message is the commit message of a move: what goes from where to where.
func (a *act) message(m move) string {
	old, _ := a.co.Repo.Lock() // parsed before the plan was made
	var each []string
	for _, s := range m.Steps {
		before, _ := old.Get(a.co.Repo.Key(s.Env))
		after := deploy.EntryOf(a.co.Repo.Key(s.Env), s.To, "")
		what := changes(before, after)
		if m.prepares {
			what = "prepare " + after.Chart.Name + " " + after.Chart.Version
		}
		each = append(each, what)
	}
	if len(each) == 1 {
		return fmt.Sprintf("%s: %s\n", m.Steps[0].Env, each[0])
	}
	text := fmt.Sprintf("%d environments: %s\n\n", len(each), each[0])
	for i, s := range m.Steps {
		text += fmt.Sprintf("%s: %s\n", s.Env, each[i])
	}
	return text
}

// changes says what differs: "jupyterhub 3.3.7 → 3.3.8, hub 2024.4.9 → 2024.5.1".
func changes(before, after lockfile.Entry) string {
	parts := []string{after.Chart.Name + " " + arrow(before.Chart.Version, after.Chart.Version)}
	for _, i := range after.Images {
		was, is := "", cmp.Or(i.Tag, short(i.Digest))
		for _, b := range before.Images {
			if b.Role != i.Role {
				continue
			}
			if was = cmp.Or(b.Tag, short(b.Digest)); was == is && b.Digest != i.Digest { // built anew
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

func short(d ref.Digest) string { return d.Hex()[:12] }
