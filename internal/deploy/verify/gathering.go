package verify

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/deploy/lockfile"
)

// Gathering collects what is found in one environment after the other: the same
// thing of several is told once, of all of them.
type Gathering struct {
	AnyStage bool // environments are named without their stage
	out      []Finding
	notes    []remark
	groups   map[string]int // by environment: those that move together
}

// remark is a note of some environments.
type remark struct {
	text string
	envs []string
}

// Add keeps a finding of one environment, which moves together with group
// others, itself counted. {env} in its texts is the name of the first
// environment it will be told of, {group} the flag that a bump of several
// needs. The same of another environment is one finding, and so is the same in
// several entries of the lock file.
func (g *Gathering) Add(env string, group int, f Finding) {
	f.Envs = []string{env}
	if g.groups == nil {
		g.groups = map[string]int{}
	}
	g.groups[env] = group
	for i := range g.out {
		have := &g.out[i]
		if have.Kind != f.Kind || have.File != f.File || have.Message != f.Message || have.Mend != f.Mend || have.Line != f.Line && f.File != lockfile.Name {
			continue
		}
		if !slices.Contains(have.Envs, env) {
			have.Envs = append(have.Envs, env)
		}
		if have.Line != f.Line {
			have.Also = append(have.Also, f.Place)
		}
		return
	}
	g.out = append(g.out, f)
}

// Note keeps what could not be compared, or is good to know.
func (g *Gathering) Note(env, format string, a ...any) {
	text := fmt.Sprintf(format, a...)
	for i, have := range g.notes {
		if have.text == text {
			g.notes[i].envs = append(have.envs, env)
			return
		}
	}
	g.notes = append(g.notes, remark{text, []string{env}})
}

// fill puts names into a text about environments.
func (g *Gathering) fill(text string, envs []string) string {
	group, env := "", envs[0]
	if len(envs) > 1 || g.groups[env] > 1 {
		group = " --group"
	}
	if g.AnyStage {
		env += "/STAGE"
	}
	return strings.NewReplacer("{env}", env, "{group}", group).Replace(text)
}

// Verdict fills the names in and sorts by place.
func (g *Gathering) Verdict() Verdict {
	for i := range g.out {
		f := &g.out[i]
		slices.Sort(f.Envs)
		f.Message, f.Mend = g.fill(f.Message, f.Envs), g.fill(f.Mend, f.Envs)
	}
	slices.SortStableFunc(g.out, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Kind, b.Kind))
	})
	var notes []string
	for _, n := range g.notes {
		slices.Sort(n.envs)
		n.envs = slices.Compact(n.envs)
		notes = append(notes, fmt.Sprintf("%s (%s)", g.fill(n.text, n.envs), envList(n.envs)))
	}
	return Verdict{g.out, notes}
}
