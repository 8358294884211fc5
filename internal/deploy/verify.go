package deploy

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/ref"
)

// The kinds of difference.
const (
	DriftLock     = "lock"      // chartd.lock and .chartctl.yaml name other environments
	DriftPair     = "pair"      // chart and image as the files say them are not the locked pair
	DriftSite     = "site"      // one place differs, or cannot be read
	DriftOverride = "override"  // another image in values that are no site
	DriftHelmLock = "helm-lock" // Chart.lock or requirements.lock
	DriftPacked   = "packed"    // a package in charts/
	DriftPin      = "pin"       // what the server has pinned
	DriftTag      = "tag"       // what a registry has behind a tag today
	DriftDeployed = "deployed"  // what runs
)

// VerifyOptions says what to compare the checkout with, besides itself. What
// is nil is not looked at.
type VerifyOptions struct {
	Envs []ref.Env // none: all of the repo
	// AnyStage: branches are stages, and the checkout is of none that is
	// known; Envs name any, and findings name the hubs alone.
	AnyStage bool
	// Environments is what the server has pinned.
	Environments map[ref.Env]api.Environment
	// Charts is what the server knows of chart versions, by NAME@VERSION:
	// their order and the digest of their content.
	Charts map[string]api.Chart
	// Tags is what the registries have behind REPOSITORY:TAG today.
	Tags map[string]ref.Digest
	// Deployed is what runs.
	Deployed map[ref.Env]HelmRelease
	// Pending lets the lock be ahead of the pin, but for what Unfollowed says
	// why it cannot be pinned as it is.
	Pending    bool
	Unfollowed map[ref.Env]*api.Error
}

// Place is a line of a file of the repo; Line is 0 for the file as a whole.
type Place struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"`
}

func (p Place) String() string {
	if p.Line > 0 {
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return p.File
}

// Finding is one difference. Its text is one line.
type Finding struct {
	Kind string   `json:"kind"`
	Envs []string `json:"environments"` // those that it concerns, sorted
	Place
	Found   string  `json:"found"`
	Want    string  `json:"want"`
	Message string  `json:"message"` // the difference as a sentence
	Mend    string  `json:"mend"`
	Also    []Place `json:"also,omitempty"` // other places that the sentence names
}

// String is the line: place, found, expected, how to mend, whom it concerns.
func (f Finding) String() string {
	return fmt.Sprintf("%s: %s. Mend: %s (%s)", f.Place, f.Message, f.Mend, envList(f.Envs))
}

// envList names a few environments and counts the others.
func envList(envs []string) string {
	const most = 3
	if len(envs) <= most+1 {
		return strings.Join(envs, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(envs[:most], ", "), len(envs)-most)
}

// subject is an environment with what it is compared by.
type subject struct {
	env   string // as findings name it
	full  ref.Env
	entry lockfile.Entry
	chart string
	sites []site.Site // that the lock entry says something about
	dirs  []string    // of charts whose charts/ may hold the package
	group int         // environments that move together
}

// verification is one run; each file is read and parsed once in it.
type verification struct {
	o      VerifyOptions
	files  *site.Files
	list   func(dir string) ([]string, error) // names in a directory of the repo
	lock   []byte
	source string // the server of .chartctl.yaml
	review bool   // flow: review
	merged bool   // branches are stages: a merge is to be pinned
	notes  []remark
	out    []Finding
	groups map[string]int

	packages map[string]string // the chart in each package of charts/ that was looked into
	trees    map[string]tree   // of parsed files

	top       string // directory of the repo
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

// lockPlace is the line of a field of an entry.
func (v *verification) lockPlace(key, field string) Place {
	prefix := key + " " + field + ":"
	n := 0
	for line := range strings.Lines(string(v.lock)) {
		n++
		if strings.HasPrefix(line, prefix) {
			return Place{lockfile.Name, n}
		}
	}
	return Place{File: lockfile.Name}
}

// one checks everything about one environment.
func (v *verification) one(s subject) {
	if s.entry.Pinned() {
		v.sites(s)
		v.packed(s)
	}
	v.prepared(s)
	v.sourceOf(s)
	v.pin(s)
	v.tags(s)
	v.deployed(s)
}

// prepared tells of a chart whose image is not built yet.
func (v *verification) prepared(s subject) {
	if p := s.entry.Prepare; p != nil {
		text := fmt.Sprintf("prepared, image pending: %s %s waits for its image", p.Name, p.Version)
		image := "ROLE=REPOSITORY:TAG"
		if len(s.entry.Bases) == 1 {
			role := s.entry.Bases[0].Role
			is, _ := lockedImage(s, role)
			image = fmt.Sprintf("%s=%s:TAG", role, is.Repository)
		}
		mend := fmt.Sprintf("build the image, then chartctl bump {env}{group} --version %s --image %s", p.Version, image)
		if v.o.Pending {
			v.note(s, "%s; %s", text, mend)
			return
		}
		v.add(s, Finding{Kind: DriftLock, Place: v.lockPlace(s.entry.Key, "prepare"), Found: p.Version, Want: s.entry.Chart.Version,
			Message: text, Mend: mend})
	}
}

func (v *verification) sourceOf(s subject) {
	if s.entry.Source != v.source {
		v.add(s, Finding{Kind: DriftLock, Place: v.lockPlace(s.entry.Key, "source"), Found: s.entry.Source, Want: v.source,
			Message: fmt.Sprintf("the source is %s, the server of .chartctl.yaml is %s", s.entry.Source, v.source),
			Mend:    restore(s)})
	}
}

func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
