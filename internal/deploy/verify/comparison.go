package verify

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

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
	o      Options
	repo   *deploy.Repo
	conf   config.Config
	files  *site.Files
	notes  []remark
	out    []Finding
	groups map[string]int // by environment: those that move together

	packages map[string]string // the chart in each package of charts/ that was looked into
	trees    map[string]tree   // of parsed files

	unpackeds map[string]unpackedChart

	values []*valuesFile // of the repo
	passed []string      // why some values files are not among them
	loaded bool
}

// add keeps a finding of one environment; {env} in its texts is the name of
// the first environment it will be told of, {group} the flag that a bump of
// several needs. The same of another environment is one finding, and so is the
// same in several entries of the lock file.
func (v *verification) add(s subject, f Finding) {
	f.Envs = []string{s.env}
	v.groups[s.env] = s.group
	for i := range v.out {
		have := &v.out[i]
		if have.Kind != f.Kind || have.File != f.File || have.Message != f.Message || have.Mend != f.Mend || have.Line != f.Line && f.File != lockfile.Name {
			continue
		}
		if !slices.Contains(have.Envs, s.env) {
			have.Envs = append(have.Envs, s.env)
		}
		if have.Line != f.Line {
			have.Also = append(have.Also, f.Place)
		}
		return
	}
	v.out = append(v.out, f)
}

// remark is a note of some environments.
type remark struct {
	text string
	envs []string
}

// note keeps what could not be compared, or is good to know.
func (v *verification) note(s subject, format string, a ...any) {
	text := fmt.Sprintf(format, a...)
	for i, have := range v.notes {
		if have.text == text {
			v.notes[i].envs = append(have.envs, s.env)
			return
		}
	}
	v.notes = append(v.notes, remark{text, []string{s.env}})
}

// fill puts names into a text about environments.
func (v *verification) fill(text string, envs []string) string {
	group, env := "", envs[0]
	if len(envs) > 1 || v.groups[env] > 1 {
		group = " --group"
	}
	if v.o.AnyStage {
		env += "/STAGE"
	}
	return strings.NewReplacer("{env}", env, "{group}", group).Replace(text)
}

// findings fills the names in and sorts by place.
func (v *verification) findings() []Finding {
	for i := range v.out {
		f := &v.out[i]
		slices.Sort(f.Envs)
		f.Message, f.Mend = v.fill(f.Message, f.Envs), v.fill(f.Mend, f.Envs)
	}
	slices.SortStableFunc(v.out, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Kind, b.Kind))
	})
	return v.out
}

func (v *verification) remarks() []string {
	var out []string
	for _, n := range v.notes {
		slices.Sort(n.envs)
		n.envs = slices.Compact(n.envs)
		out = append(out, fmt.Sprintf("%s (%s)", v.fill(n.text, n.envs), envList(n.envs)))
	}
	return out
}
