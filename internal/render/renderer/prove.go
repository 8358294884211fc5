package renderer

import (
	"fmt"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/render"
	"chartd.dev/chartd/internal/render/manifest"
)

// proofOf compares a package with its sealed form.
func proofOf(q render.Request, l limits) render.Proof {
	p := render.Proof{Version: render.ProofVersion}
	original, err := open(q.Packages[0], l)
	if err != nil {
		p.Failure = failure(err)
		return p
	}
	sealed, err := open(q.Packages[1], l)
	if err != nil {
		p.Faults = []render.Fault{{Why: "the sealed package can not be read: " + err.Error()}}
		return p
	}
	pinned := map[string]int{}
	tries := slices.Concat([]values{{over: map[string]any{}}}, original.ciValues(), givenValues(q.Values))
	rendered := false
	for _, v := range tries {
		b, err := original.basisOf(v)
		p.Attempts = append(p.Attempts, render.Attempt{Values: v.name, Failure: failure(err)})
		switch {
		case err != nil:
			continue
		case overrides(v, q.Bound):
			p.Overridden = append(p.Overridden, v.name)
			continue
		}
		rendered = true
		prove(&p, newTracer(original, b), sealed, q.Bound, pinned)
	}
	if !rendered {
		p.Failure = &render.Failure{Reason: render.ChartFault, Message: "the original renders with no values that leave its images as they are"}
		if f := p.Attempts[0].Failure; f != nil {
			p.Failure.Message += "; with its defaults: " + f.Message
		}
		return p
	}
	for _, b := range q.Bound {
		if pinned[b.Role] == 0 && len(p.Faults) == 0 {
			p.Faults = append(p.Faults, render.Fault{Why: fmt.Sprintf("the image of role %s is shown nowhere", b.Role)})
		}
		p.Pinned += pinned[b.Role]
	}
	p.OK = len(p.Faults) == 0
	return p
}

// overrides: the values say themselves what a bound image is.
func overrides(v values, bound []render.Bound) bool {
	return slices.ContainsFunc(bound, func(b render.Bound) bool {
		return slices.ContainsFunc(b.Feeds, func(at []string) bool { return set(v.over, at) })
	})
}

// judge decides on the differences between an original and its sealed form,
// both rendered with the same values.
type judge struct {
	proof  *render.Proof
	t      *tracer
	bound  []render.Bound
	of     map[*occurrence]int // index in bound
	texts  map[string]int      // references of bound images → index in bound
	sealed *shown
}

func prove(p *render.Proof, t *tracer, sealed *session, bound []render.Bound, pinned map[string]int) {
	j := &judge{proof: p, t: t, bound: bound, of: map[*occurrence]int{}, texts: map[string]int{}}
	for i, b := range bound {
		for _, at := range b.Feeds {
			j.trace(i, at)
		}
	}
	var err error
	if j.sealed, err = sealed.show(&basis{values: t.b.values, effective: t.b.effective}, nil, true); err != nil {
		j.fault(render.Place{}, "", "", "the sealed package does not render: "+sentence(err.Error()))
		return
	}
	changed := map[*occurrence]bool{}
	for _, d := range compare(t.b.shown, j.sealed) {
		if !t.b.random[d.key()] {
			j.difference(d, changed)
		}
	}
	for _, o := range t.order {
		i, ok := j.of[o]
		good, told := changed[o]
		switch {
		case !ok || told && !good:
		case good:
			pinned[bound[i].Role]++
		case !t.b.random[o.key] && !j.isPinned(i, o.text):
			j.fault(o.place, o.text, o.text, "the image of role "+bound[i].Role+" is still shown without its digest")
		default:
			pinned[bound[i].Role]++
		}
	}
}

// trace finds the references that a bound image's scalar feeds.
func (j *judge) trace(i int, at []string) {
	v, ok := lookup(j.t.b.effective, at)
	if !ok {
		return
	}
	c := &candidate{at: at, value: v, text: printed(v), marker: freeMarker(j.t.b.shown, firstMarker)}
	var refs []string
	for _, o := range j.t.order {
		refs = append(refs, o.text)
	}
	in, _ := lookup(j.t.b.effective, at[:len(at)-1])
	m, _ := in.(map[string]any)
	if !c.classify(m, refs) || c.text == "" {
		return
	}
	j.t.alone(c)
	for _, o := range j.t.order {
		if slices.ContainsFunc(o.feeds, func(f *feed) bool { return f.candidate == c }) && !shared(at, c) {
			j.of[o], j.texts[o.text] = i, i
		}
	}
}

// shared: global values and registries feed images of others too.
func shared(at []string, c *candidate) bool {
	return c.class == classRegistry || slices.Contains(at, "global")
}

func (j *judge) fault(p render.Place, from, to, why string) {
	const most = 50
	if len(j.proof.Faults) < most {
		j.proof.Faults = append(j.proof.Faults, render.Fault{Values: j.t.b.name, Place: p, From: sentence(from), To: sentence(to), Why: why})
	}
}

// difference decides on one leaf. changed collects the references that change:
// to their digest, or not.
func (j *judge) difference(d difference, changed map[*occurrence]bool) {
	use := useOf(d, "\x00")
	place := placeOf(d.doc, d.leaf(), use)
	if d.structural() {
		j.fault(place, text(d.from), text(d.to), "it is there in one of the two only")
		return
	}
	occurs := j.t.at[d.key()]
	switch {
	case d.from.Type != manifest.String || d.to.Type != manifest.String:
	case len(occurs) > 0 && occurs[0].parts:
		if i, ok := j.of[occurs[0]]; ok && j.partPinned(i, d) {
			changed[occurs[0]] = true
			return
		}
	case len(occurs) > 0:
		if pinned, ok := j.spansPinned(d.from.Value, d.to.Value, occurs); ok {
			for _, o := range pinned {
				changed[o] = true
			}
			return
		}
	case use == render.Checksum, j.copied(d.from.Value, d.to.Value, 0):
		j.proof.Copies++
		return
	}
	for _, o := range occurs {
		changed[o] = false // to be told once
		place.Use = o.place.Use
	}
	j.fault(place, d.from.Value, d.to.Value, changes(place.Use)+" changes, and not to a bound image by its digest")
}

// changes is what a use is called in a sentence.
func changes(u render.Use) string {
	switch u {
	case render.Container, render.Reference:
		return "an image reference"
	case render.Label:
		return "a label or selector"
	case render.Annotation:
		return "an annotation"
	case render.Name:
		return "an object's name"
	case render.Encoded:
		return "an encoded text"
	}
	return "a value"
}

func text(l *manifest.Leaf) string {
	if l == nil {
		return ""
	}
	return l.Value
}

// spansPinned: the text is the same but for the references of bound images,
// which are their digests.
func (j *judge) spansPinned(from, to string, occurs []*occurrence) ([]*occurrence, bool) {
	var pinned []*occurrence
	at, next := 0, 0 // in from, in to
	for _, o := range occurs {
		before := from[at:o.span.From]
		if !strings.HasPrefix(to[next:], before) {
			return nil, false
		}
		next += len(before)
		end := next
		if after := from[o.span.To:]; len(occurs) == 1 && strings.HasSuffix(to[next:], after) {
			end = len(to) - len(after)
		} else {
			end = token(to, next, next).To
		}
		now := to[next:end]
		i, ok := j.of[o]
		if now != o.text {
			if !ok || !j.isPinned(i, now) {
				return nil, false
			}
			pinned = append(pinned, o)
		}
		at, next = o.span.To, end
	}
	return pinned, from[at:] == to[next:]
}

// isPinned: the text is the bound image by its digest.
func (j *judge) isPinned(i int, text string) bool {
	r, ok := manifest.ParseReference(text)
	return ok && r.Digest == j.bound[i].Digest && sameRepository(r.Repository(), j.bound[i].Repository)
}

// sameRepository compares repositories as container engines read them.
func sameRepository(a, b string) bool { return manifest.Canonical(a) == manifest.Canonical(b) }
