package deploy

import (
	"bytes"
	"fmt"
	"strings"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy/fileset"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/ref"
)

// Plan is a change of the repo in memory: the lock file and every site that
// follows it. Nothing is written.
type Plan struct {
	Changes []fileset.Change // sorted by path
	Lock    lockfile.File    // as it will be
}

// Diff is the change as a unified diff.
func (p *Plan) Diff() string { return Diff(p.Changes) }

// Paths are the files that change.
func (p *Plan) Paths() []string {
	var out []string
	for _, c := range p.Changes {
		out = append(out, c.Path)
	}
	return out
}

// Plan brings the given entries into the lock file and their pairs to the
// sites of each. It refuses a change that would reach an environment which is
// not among them.
func (r *Repo) Plan(entries []lockfile.Entry) (*Plan, error) {
	var moves []move
	for _, e := range entries {
		moves = append(moves, move{entry: e, want: WantOf(e), sites: r.Sites(e.Key)})
	}
	return r.plan(moves)
}

// Preparation moves what an image is built on, ahead of the pair.
type Preparation struct {
	Key    string
	Chart  lockfile.Chart
	Source string
	Bases  map[ref.Role]site.Named // the images that the chart itself names
}

// Prepare brings only what images are built on to the chart, and notes in the
// lock file that the pair is to follow.
func (r *Repo) Prepare(list []Preparation) (*Plan, error) {
	lock, err := r.Lock()
	if err != nil {
		return nil, err
	}
	var moves []move
	for _, p := range list {
		e, ok := lock.Get(p.Key)
		if !ok {
			e = lockfile.Entry{Key: p.Key, Source: p.Source}
		}
		e.Prepare = &p.Chart
		m := move{entry: e, want: site.Want{Bases: p.Bases}}
		for _, s := range r.Sites(p.Key) {
			if s.Kind == site.From {
				m.sites = append(m.sites, s)
			}
		}
		if len(m.sites) == 0 {
			return nil, &api.Error{Code: api.CodeUsage, Message: fmt.Sprintf("%s has no site of kind %q, so no image is built here and there is nothing to prepare: bump it with --version %s", p.Key, site.From, p.Chart.Version)}
		}
		moves = append(moves, m)
	}
	return r.plan(moves)
}

// move is what one environment's sites are to say.
type move struct {
	entry lockfile.Entry
	want  site.Want
	sites []site.Site
}

func (r *Repo) plan(moves []move) (*Plan, error) {
	lock, err := r.Lock()
	if err != nil {
		return nil, err
	}
	files := r.Files()
	before, err := r.outside(files, moves)
	if err != nil {
		return nil, err
	}
	p := &Plan{Lock: lock}
	for _, m := range moves {
		p.Lock = p.Lock.With(m.entry)
		for _, s := range m.sites {
			if err := files.Edit(s, m.want); err != nil {
				return nil, err
			}
		}
	}
	changed, err := files.Changes()
	if err != nil {
		return nil, err
	}
	if err := check(files, moves); err != nil {
		return nil, err
	}
	after, err := r.outside(files, moves)
	if err != nil {
		return nil, err
	}
	for key, was := range before {
		if after[key] != was {
			return nil, &api.Error{Code: api.CodeUsage, Message: fmt.Sprintf("this would move %s as well, which is not among those to move: %s", key, after[key]),
				Want: "name it too, or give --group"}
		}
	}
	return p, p.collect(r, changed)
}

// check reads every site again. Two environments that want different values at
// one site show here.
func check(files *site.Files, moves []move) error {
	for _, m := range moves {
		for _, s := range m.sites {
			found, err := files.Check(s, m.want)
			if err != nil {
				return err
			}
			for _, f := range found {
				if !f.Weak {
					return &api.Error{Code: api.CodeInvalid, Message: fmt.Sprintf("%s:%d: %s of %s would say %q and not %q: another site or environment wants the same place otherwise",
						f.File, f.Line, f.What, m.entry.Key, f.Found, f.Want)}
				}
			}
		}
	}
	return nil
}

// outside says of each environment that does not move what its sites say now.
// A site that cannot be read is none of this change's business.
func (r *Repo) outside(files *site.Files, moves []move) (map[string]string, error) {
	moving, touched := map[string]bool{}, map[string]bool{}
	for _, m := range moves {
		moving[m.entry.Key] = true
		for _, s := range m.sites {
			touched[s.File] = true
		}
	}
	out := map[string]string{}
	for key := range r.conf.Environments {
		if moving[key] {
			continue
		}
		var says []string
		for _, s := range r.Sites(key) {
			if !touched[s.File] {
				continue
			}
			if v, err := files.Value(s); err == nil {
				says = append(says, fmt.Sprintf("%s would say %s", s, v.Text))
			}
		}
		out[key] = strings.Join(says, ", ")
	}
	return out, nil
}

// collect puts the changed sites and the lock file together.
func (p *Plan) collect(r *Repo, changed []site.Change) error {
	b := p.Lock.Bytes()
	if _, err := lockfile.Parse(b); err != nil {
		return fmt.Errorf("the lock file would be refused: %w", err)
	}
	lock := fileset.Change{Path: lockfile.Name, Old: r.raw, New: b}
	placed := bytes.Equal(r.raw, b)
	for _, c := range changed {
		if !placed && c.Path > lock.Path {
			p.Changes, placed = append(p.Changes, lock), true
		}
		p.Changes = append(p.Changes, fileset.Change{Path: c.Path, Old: c.Old, New: c.New})
	}
	if !placed {
		p.Changes = append(p.Changes, lock)
	}
	return nil
}
