package verify

import (
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/ref"
)

// subject is an environment with what it is compared by.
type subject struct {
	env   string // as findings name it
	full  ref.Env
	conf  config.Environment
	entry lockfile.Entry
	sites []site.Site // that the lock entry says something about
	dirs  []string    // of charts whose charts/ may hold the package
	group int         // environments that move together
}

// image is the locked one of a role.
func (s subject) image(role ref.Role) site.Named { return deploy.WantOf(s.entry).Images[role] }

// base is what the image of a role is built on: the image itself where the
// chart names that.
func (s subject) base(role ref.Role) site.Named {
	w := deploy.WantOf(s.entry)
	if n, ok := w.Bases[role]; ok {
		return n
	}
	return w.Images[role]
}

// verification is one run; each file is read and parsed once in it.
type verification struct {
	o     Options
	repo  *deploy.Repo
	conf  config.Config
	files *site.Files
	found Gathering

	packages map[string]string // the chart in each package of charts/ that was looked into
	trees    map[string]tree   // of parsed files

	unpackeds map[string]unpackedChart

	values []*valuesFile // of the repo
	passed []string      // why some values files are not among them
	loaded bool
}

// add keeps a finding of one environment.
func (v *verification) add(s subject, f Finding) { v.found.Add(s.env, s.group, f) }

// note keeps what could not be compared, or is good to know.
func (v *verification) note(s subject, format string, a ...any) { v.found.Note(s.env, format, a...) }
