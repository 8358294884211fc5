package config

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/ref"
)

// Search says what to look at, and what is known before.
type Search struct {
	Name  string   // of the checkout's directory, for a hub that nothing names
	Files []string // every regular file, with slashes
	// Read returns a file of at most max bytes.
	Read     func(name string, max int64) ([]byte, error)
	Branches []string // of git; nil without git

	Server string
	Flow   Flow
	Chart  string // "" takes the chart that the repo depends on
	// Known returns a chart's own images by role, as far as a pair needs them,
	// and whether the server has the chart at all.
	Known func(chart string) (images map[ref.Role]string, known bool, err error)
}

// Evidence is one thing that was found, and what it is taken for.
type Evidence struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"`
	Text string `json:"text"` // what stands there
	Why  string `json:"why"`
}

// Proposal is a config that a person can say yes to.
type Proposal struct {
	Config   Config
	Evidence []Evidence
	Notes    []string // what was passed over, and what is missing
	LeftOut  []LeftOut
}

// LeftOut is what was found and not used.
type LeftOut struct {
	What string `json:"what"` // a file, an environment, or a site
	Why  string `json:"why"`
}

// ErrNothing: the repo names no chart to deploy, or no place to write it.
var ErrNothing = errors.New("nothing to propose")

// What a search costs at most. A file over its limit is passed over with a
// note; after the bytes are used up, so is every other.
const (
	maxYAML  = 4 << 20
	maxText  = 256 << 10
	maxBytes = 256 << 20
	maxEnvs  = 5_000
	maxSites = 10_000
)

// charts that a repo is searched for where the server knows none of its
// dependencies, and where they keep the image that others build on.
var wellKnown = map[string]map[ref.Role]string{
	"jupyterhub": {"hub": "quay.io/jupyterhub/k8s-hub"},
	"binderhub":  {"hub": "quay.io/jupyterhub/k8s-hub"},
}

// finder is one search.
type finder struct {
	Search
	out  Proposal
	read int64
	full bool // a bound is reached, and a note says so
	site int  // where the evidence of sites starts

	layout   layout
	wrappers []wrapper
	chart    string
	images   map[ref.Role]string
	places   []placed
	index    map[site.Site]int // of places, by what makes them the same
	users    map[string][]int  // of places with images that users get, by hub
}

// wrapper is a chart in the repo that depends on another one.
type wrapper struct {
	dir, prefix, chart string
	line               int
	version            string // as it is written
	dependency         site.Site
	evidence           Evidence
}

// placed is a site with the environments that it is for.
type placed struct {
	site  site.Site
	scope scope
}

// Discover proposes what to write into .chartctl.yaml.
func Discover(s Search) (Proposal, error) {
	if s.Flow == "" {
		s.Flow = Pin
	}
	f := &finder{Search: s, index: map[site.Site]int{}, users: map[string][]int{}}
	slices.Sort(f.Files)
	f.Files = slices.DeleteFunc(f.Files, func(name string) bool {
		why := badPath(name)
		if why != "" {
			f.pass(name, "it %s", why)
		}
		return why != ""
	})
	f.dropExamples()
	f.layout = layoutOf(f)
	f.findWrappers()
	if err := f.chooseChart(); err != nil {
		return f.out, err
	}
	f.dropDoubled()
	f.dropRanges()
	f.findBranches()
	f.site = len(f.out.Evidence)
	// hubploy's list says which image of several is the first.
	for _, first := range []bool{true, false} {
		for _, name := range f.Files {
			if first == (path.Base(name) == "hubploy.yaml") && !f.passedOver(name) {
				f.lookAt(name)
			}
		}
	}
	if err := f.compose(); err != nil {
		return f.out, err
	}
	// What is proposed has to be what the file then says.
	parsed, err := Parse(f.out.Config.Bytes())
	if err != nil {
		return f.out, fmt.Errorf("propose %s: %w", Name, err)
	}
	f.out.Config = parsed
	return f.out, nil
}

func (f *finder) note(format string, a ...any) {
	f.out.Notes = append(f.out.Notes, fmt.Sprintf(format, a...))
}

// leave notes what is not used, as "left out WHAT: WHY".
func (f *finder) leave(what, format string, a ...any) {
	why := fmt.Sprintf(format, a...)
	f.out.LeftOut = append(f.out.LeftOut, LeftOut{what, why})
	f.note("left out %s: %s", what, why)
}

// pass notes a file that is not looked into, as "passed over FILE: WHY".
func (f *finder) pass(file, format string, a ...any) {
	why := fmt.Sprintf(format, a...)
	f.out.LeftOut = append(f.out.LeftOut, LeftOut{file, why})
	f.note("passed over %q: %s", file, why)
}

func (f *finder) evidence(file string, line int, text, why string) {
	f.out.Evidence = append(f.out.Evidence, Evidence{file, line, text, why})
}

// get reads a file within the bounds; nil is one that is passed over.
func (f *finder) get(name string, most int64) []byte {
	if f.full {
		return nil
	}
	b, err := f.Read(name, most)
	if err != nil {
		f.pass(name, "%v", err)
		return nil
	}
	if f.read += int64(len(b)); f.read > maxBytes {
		f.full = true
		f.note("stopped reading at %q: the files so far hold more than %d MiB", name, maxBytes>>20)
	}
	return b
}

// passedOver: packed or rendered parts of charts, and what is no part of a
// deployment.
func (f *finder) passedOver(name string) bool {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		base := path.Base(dir)
		if base == "node_modules" || base == ".venv" || base == "vendor" {
			return true
		}
		if (base == "templates" || base == "charts") && f.has(path.Join(path.Dir(dir), "Chart.yaml")) {
			return true
		}
	}
	return name == Name || name == "chartd.lock"
}

func (f *finder) has(name string) bool {
	_, ok := slices.BinarySearch(f.Files, name)
	return ok
}

// chooseChart decides which chart the repo deploys.
func (f *finder) chooseChart() error {
	all := map[string]bool{}
	var names []string
	for _, w := range f.wrappers {
		if !all[w.chart] {
			names = append(names, w.chart)
		}
		all[w.chart] = true
	}
	pick := func(good func(string) bool) []string {
		return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !good(n) })
	}
	images := map[string]map[ref.Role]string{}
	for _, n := range append(slices.Clone(names), first(f.Chart, "jupyterhub")) {
		own, known, err := f.Known(n)
		if err != nil {
			return err
		}
		if known {
			images[n] = own
		}
	}
	isKnown := func(n string) bool { _, ok := images[n]; return ok }
	found := pick(isKnown)
	if len(found) == 0 {
		found = pick(func(n string) bool { return wellKnown[n] != nil })
	}
	switch {
	case f.Chart != "" && !all[f.Chart] && !isKnown(f.Chart):
		return fmt.Errorf("%w: no chart here depends on %q, and the server does not have it", ErrNothing, f.Chart)
	case f.Chart != "":
		f.chart = f.Chart
	case len(found) == 1:
		f.chart = found[0]
	case len(found) > 1:
		return fmt.Errorf("%w: the charts here depend on %s; say with --chart NAME which of them is to be pinned", ErrNothing, strings.Join(found, ", "))
	case len(names) == 0 || isKnown("jupyterhub"):
		f.chart = "jupyterhub"
	default:
		return fmt.Errorf("%w: the server has none of the charts that those here depend on (%s); publish or import it first, or name another with --chart NAME", ErrNothing, strings.Join(names, ", "))
	}
	switch {
	case isKnown(f.chart):
		f.images = images[f.chart]
	case wellKnown[f.chart] != nil:
		f.images = wellKnown[f.chart]
	default:
		f.images = map[ref.Role]string{"hub": ""}
	}
	f.wrappers = slices.DeleteFunc(f.wrappers, func(w wrapper) bool { return w.chart != f.chart })
	return nil
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
