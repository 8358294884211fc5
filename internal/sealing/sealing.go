// Package sealing makes the sealed package of a binding: the chart's package
// with its images by their digests, and with templates that refuse another.
//
// Invariants: what is offered as proven was rendered beside its original and
// differs in the bound images and their copies alone; the same package, trace
// and images give the same bytes; a Record holds all that it takes to make the
// bytes again and to check them, without a trace and without rendering. Where
// no seal passes there is none, and one sentence says why.
package sealing

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/render"
	"chartd.dev/chartd/internal/render/guard"
)

// Recipes: how a sealed package is made. A binding without a Record has the
// first.
const (
	// Spliced writes the digests where the values, read by convention, name
	// the images. Nothing is rendered.
	Spliced = 1
	// Traced writes them where rendering showed that they have an effect.
	Traced = 2
)

// Prove renders a package beside its sealed form, as render.Pool does.
type Prove func(ctx context.Context, key string, q render.ProveRequest) (render.Proof, error)

// Request is a package to seal.
type Request struct {
	Key     string // whom it is for: rendering is shared out by it
	Package []byte
	Trace   render.Trace // of the package; its zero value where there is none
	Images  map[ref.Role]archive.SealImage
	Values  [][]byte // that were given to render with
	Options archive.Options
}

// Seal is a sealed package, or why there is none.
type Seal struct {
	Package []byte // nil: none
	Record  Record
	Reason  string // why there is none
}

// Make seals a package. An error is one of the context or of the package
// itself; that no seal is possible is none.
func Make(ctx context.Context, prove Prove, q Request) (Seal, error) {
	if q.Trace.Verdict == "" || q.Trace.Verdict == render.NotRendered {
		return spliced(q, unproven(q.Trace))
	}
	m := &maker{ctx: ctx, prove: prove, q: q, first: Record{Recipe: Traced}}
	s, err := m.make()
	var no *noSeal
	if errors.As(err, &no) {
		return Seal{Record: m.first, Reason: no.why}, nil
	}
	return s, err
}

// unproven says why a package was not rendered.
func unproven(t render.Trace) string {
	for _, a := range t.Attempts {
		if a.Failure != nil {
			return a.Failure.String()
		}
	}
	return "not rendered"
}

func spliced(q Request, why string) (Seal, error) {
	sealed, _, err := archive.Seal(q.Package, q.Images, q.Options)
	if errors.Is(err, archive.ErrNoSite) {
		return Seal{Record: Record{Recipe: Spliced, Unproven: why}, Reason: err.Error()}, nil
	}
	return Seal{Package: sealed, Record: Record{Recipe: Spliced, Unproven: why}}, err
}

// noSeal is why no seal is possible.
type noSeal struct{ why string }

func (n *noSeal) Error() string { return n.why }

// maker seals one package by its trace.
type maker struct {
	ctx   context.Context
	prove Prove
	q     Request
	first Record // of the first way of each image
}

// role is one image to seal and the ways to do it.
type role struct {
	role  ref.Role
	image render.Image
	want  archive.SealImage
	ways  [][]Setting
}

func (r role) bound() render.Bound {
	return r.image.Bind(r.want.Repository.String(), r.want.Digest.String())
}

// make tries the first ways of all images at once, guarded: that is what most
// charts take. Else it looks for each image's way alone.
func (m *maker) make() (Seal, error) {
	roles, err := m.roles()
	if err != nil {
		return Seal{}, err
	}
	first := make([][]Setting, len(roles))
	for i, r := range roles {
		first[i] = r.ways[0]
	}
	m.first = recordOf(roles, first)
	s, _, err := m.try(roles, first, true)
	if err != nil || s.Package != nil {
		return s, err
	}
	chosen := make([][]Setting, len(roles))
	for i := range roles {
		if chosen[i], err = m.choose(roles[i]); err != nil {
			return s, err
		}
	}
	if !slices.EqualFunc(first, chosen, sameWay) {
		if s, _, err = m.try(roles, chosen, true); err != nil || s.Package != nil {
			return s, err
		}
	}
	guarded := s.Reason
	if s, _, err = m.try(roles, chosen, false); err != nil {
		return s, err
	}
	if s.Package == nil {
		return s, &noSeal{s.Reason}
	}
	s.Record.Unguarded = guarded
	return s, nil
}

// choose finds the first way that seals an image alone. Where there is none, or
// no time for more, the first that could be tried says why.
func (m *maker) choose(r role) ([]Setting, error) {
	why, tried := "", false
	for _, way := range r.ways {
		s, possible, err := m.try([]role{r}, [][]Setting{way}, false)
		switch {
		case errors.Is(err, context.DeadlineExceeded) && tried:
			return nil, &noSeal{why + " (there was no time for every other way)"}
		case err != nil:
			return nil, err
		case s.Package != nil:
			return way, nil
		case why == "" || possible && !tried:
			why, tried = s.Reason, possible
		}
	}
	return nil, &noSeal{why}
}

func sameWay(a, b []Setting) bool {
	return slices.EqualFunc(a, b, func(x, y Setting) bool {
		return x.File == y.File && x.Value == y.Value && slices.Equal(x.Path, y.Path)
	})
}

// roles finds each image to seal in the trace.
func (m *maker) roles() ([]role, error) {
	for _, t := range m.q.Trace.Twice {
		if !t.Equal {
			return nil, &noSeal{fmt.Sprintf("the subchart %s is there twice, as %s, and they differ: which of them is rendered is left to chance", t.Name, strings.Join(t.Files, " and "))}
		}
	}
	var out []role
	for _, name := range slices.Sorted(maps.Keys(m.q.Images)) {
		i := slices.IndexFunc(m.q.Trace.Images, func(i render.Image) bool { return i.Role == string(name) })
		if i < 0 {
			return nil, &noSeal{fmt.Sprintf("nothing that is rendered shows the image of role %s", name)}
		}
		r := role{role: name, image: m.q.Trace.Images[i], want: m.q.Images[name]}
		var err error
		if r.ways, err = waysOf(r.image, r.want); err != nil {
			return nil, &noSeal{fmt.Sprintf("role %s: %v", name, err)}
		}
		out = append(out, r)
	}
	return out, nil
}

// try makes a package of one way for each image and proves it. It is possible
// where the scalars can be written.
func (m *maker) try(roles []role, ways [][]Setting, guarded bool) (s Seal, possible bool, err error) {
	r := recordOf(roles, ways)
	var bound []render.Bound
	for _, x := range roles {
		bound = append(bound, x.bound())
	}
	if guarded {
		r.Guards = m.guards(roles)
	}
	r.Settings, r.Guards = twins(m.q.Trace, r.Settings, r.Guards)
	sealed, err := archive.Rewrite(m.q.Package, r.plan(), m.q.Options)
	if errors.Is(err, archive.ErrNoSite) {
		return Seal{Reason: err.Error()}, false, nil
	}
	if err == nil {
		_, err = r.Compare(m.q.Package, sealed, slices.Collect(maps.Values(m.q.Images)), m.q.Options)
	}
	if err != nil {
		return s, false, err
	}
	p, err := m.prove(m.ctx, m.q.Key, render.ProveRequest{Original: m.q.Package, Sealed: sealed, Bound: bound, Values: m.q.Values})
	if err != nil {
		return s, true, err
	}
	if !p.OK {
		return Seal{Reason: reason(p)}, true, nil
	}
	r.Engine, r.Pinned, r.Copies = m.q.Trace.Engine, p.Pinned, p.Copies
	return Seal{Package: sealed, Record: r}, true, nil
}

func recordOf(roles []role, ways [][]Setting) Record {
	r := Record{Recipe: Traced, Settings: slices.Concat(ways...)}
	for _, x := range roles {
		r.Stated = append(r.Stated, stated(x.image, r.Settings)...)
	}
	return r
}

// stated are the parts of an image that a seal leaves as they are, but for
// those that other images share.
func stated(i render.Image, settings []Setting) []Stated {
	var out []Stated
	for _, f := range i.Feeds {
		if slices.Contains([]render.Part{render.PartRepository, render.PartName, render.PartRegistry, render.PartTag}, f.Part) &&
			f.Value != "" && isValues(f.File) && !slices.Contains(f.Values, "global") &&
			!slices.ContainsFunc(settings, func(s Setting) bool { return slices.Equal(s.Values, f.Values) }) {
			out = append(out, Stated{f.Values, f.Value})
		}
	}
	return out
}

// guards are the templates that refuse other images.
func (m *maker) guards(roles []role) []guard.Guarded {
	var out []guard.Guarded
	for _, r := range roles {
		for _, g := range guard.Of(m.q.Trace, r.image, r.bound(), "move both with: "+string(advice.AnyBump)) {
			name, ext := g.File, ".yaml"
			for n := 2; slices.ContainsFunc(out, func(o guard.Guarded) bool { return o.File == g.File }); n++ {
				g.File = fmt.Sprintf("%s-%d%s", strings.TrimSuffix(name, ext), n, ext)
			}
			out = append(out, g)
		}
	}
	return out
}

// twins makes the changes of a subchart in its equal copies too.
func twins(t render.Trace, settings []Setting, guards []guard.Guarded) ([]Setting, []guard.Guarded) {
	for _, twice := range t.Twice {
		for _, from := range twice.Files {
			for _, to := range twice.Files {
				if from != to {
					settings, guards = copied(settings, guards, inside(from), inside(to))
				}
			}
		}
	}
	return settings, guards
}

// inside is what the names of a subchart's files begin with.
func inside(file string) string {
	if strings.HasSuffix(file, "/") {
		return file
	}
	return file + "!"
}

func copied(settings []Setting, guards []guard.Guarded, from, to string) ([]Setting, []guard.Guarded) {
	for _, s := range settings {
		rest, ok := strings.CutPrefix(s.File, from)
		s.File = to + rest
		if ok && !slices.ContainsFunc(settings, func(o Setting) bool { return sameWay([]Setting{o}, []Setting{s}) }) {
			settings = append(settings, s)
		}
	}
	for _, g := range guards {
		rest, ok := strings.CutPrefix(g.File, from)
		g.File = to + rest
		if ok && !slices.ContainsFunc(guards, func(o guard.Guarded) bool { return o.File == g.File }) {
			guards = append(guards, g)
		}
	}
	return settings, guards
}

// reason is what keeps a package from being sealed: its first faults.
func reason(p render.Proof) string {
	if len(p.Faults) == 0 {
		return p.Failure.String()
	}
	f := p.Faults[0]
	s := f.Why
	if f.From != f.To {
		s = fmt.Sprintf("would be %q, is %q: %s", f.To, f.From, s)
	}
	if f.Place.Kind != "" || f.Place.Template != "" {
		s = f.Place.String() + " " + s
	}
	if f.Values != "" {
		s += " (with " + f.Values + ")"
	}
	if n := len(p.Faults) - 1; n > 0 {
		s += fmt.Sprintf("; and %d more such differences", n)
	}
	return s
}
