package renderer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"chartd.dev/chartd/internal/render"
	"chartd.dev/chartd/internal/render/manifest"
)

// tracerVersion is a part of the engine's version: a trace that is kept is
// good as long as it stays.
const tracerVersion = 2

// EngineVersion names all that a trace depends on besides the package.
func EngineVersion() string {
	return fmt.Sprintf("helm %s kubernetes 1.%s tracer %d", capabilities().HelmVersion.Version, kubernetesMinor(), tracerVersion)
}

// maxBases is how many values files are traced where the defaults fail.
const maxBases = 8

// traceOf traces a package.
func traceOf(pkg []byte, given [][]byte, l limits) render.Trace {
	t := render.Trace{Version: render.TraceVersion, Engine: EngineVersion(), Verdict: render.NotRendered}
	s, err := open(pkg, l)
	if err != nil {
		t.Attempts = []render.Attempt{{Failure: failure(err)}}
		return t
	}
	t.Twice = s.source.twice(s.chart)
	if s.quick, err = withOneKey(s.chart); err != nil {
		t.Attempts = []render.Attempt{{Failure: failure(err)}}
		return t
	}
	bases := s.bases(given, &t)
	m := merger{out: &t, by: map[string]int{}}
	for _, b := range bases {
		tr := newTracer(s, b)
		tr.run()
		m.add(tr)
		s.source.charts(b.chart, "", &t)
	}
	m.finish()
	t.Renders = s.renders
	return t
}

// bases renders with the defaults, else with the values files of the package,
// else with those given.
func (s *session) bases(given [][]byte, t *render.Trace) []*basis {
	for _, tries := range [][]values{{{over: map[string]any{}}}, s.ciValues(), givenValues(given)} {
		var out []*basis
		for _, v := range tries {
			b, err := s.basisOf(v)
			t.Attempts = append(t.Attempts, render.Attempt{Values: v.name, Failure: failure(err)})
			if err == nil && len(out) < maxBases {
				out = append(out, b)
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return nil
}

// occurrence is an image reference at one place of the basis.
type occurrence struct {
	place render.Place
	key   string // of the place
	span  manifest.Span
	text  string
	parts bool // of several strings next to each other
	feeds []*feed
}

// feed is a candidate that a reference changes with.
type feed struct {
	*candidate
	bare  bool // a digest that the chart's template puts "sha256:" before
	other []render.Place
}

// tracer traces one basis.
type tracer struct {
	s       *session
	b       *basis
	at      map[string][]*occurrence // by place
	order   []*occurrence
	seen    bool // a candidate shows up, though not in a reference
	hits    map[*candidate]bool
	marked  map[*candidate][]difference // of references, in a rendering that others changed too
	known   map[*candidate]bool         // what it feeds is known from renderings
	failed  map[*candidate]bool         // the chart does not render with another value
	partial string
}

func newTracer(s *session, b *basis) *tracer {
	t := &tracer{
		s: s, b: b, at: map[string][]*occurrence{},
		hits: map[*candidate]bool{}, marked: map[*candidate][]difference{}, known: map[*candidate]bool{}, failed: map[*candidate]bool{},
	}
	known := map[string]bool{}
	t.leaves(func(d manifest.Document, i int, l *manifest.Leaf) {
		use := render.Reference
		if l.IsContainerImage() {
			use = render.Container
			known[l.Value] = true
		}
		for _, span := range l.References() {
			t.occur(d, i, l, span, use)
		}
	})
	t.splitReferences()
	t.leaves(func(d manifest.Document, i int, l *manifest.Leaf) {
		if len(t.at[placeKey(d.Template, i, l)]) > 0 || l.Type != manifest.String {
			return
		}
		for text := range known {
			if from := strings.Index(l.Value, text); from >= 0 && token(l.Value, from, from+len(text)) == (manifest.Span{From: from, To: from + len(text)}) {
				t.occur(d, i, l, manifest.Span{From: from, To: from + len(text)}, render.Reference)
			}
		}
	})
	return t
}

// leaves calls f with every leaf of the basis.
func (t *tracer) leaves(f func(d manifest.Document, index int, l *manifest.Leaf)) {
	for _, name := range t.b.shown.templates {
		for i, d := range t.b.shown.docs[name] {
			for k := range d.Leaves {
				f(d, i, &d.Leaves[k])
			}
		}
	}
}

func (t *tracer) occur(d manifest.Document, index int, l *manifest.Leaf, span manifest.Span, use render.Use) *occurrence {
	key := placeKey(d.Template, index, l)
	o := &occurrence{place: placeOf(d, l, use), key: key, span: span, text: l.Value[span.From:span.To]}
	t.at[key], t.order = append(t.at[key], o), append(t.order, o)
	return o
}

// splitReferences finds references whose parts are strings of their own, next
// to each other: how custom resources may name an image.
func (t *tracer) splitReferences() {
	t.leaves(func(d manifest.Document, i int, l *manifest.Leaf) {
		if l.Last() != "tag" || l.Type != manifest.String {
			return
		}
		parent := l.Path[:len(l.Path)-1]
		var parts []*manifest.Leaf
		text := map[string]string{}
		for k := range d.Leaves {
			s := &d.Leaves[k]
			if len(s.Path) == len(l.Path) && slices.Equal(s.Path[:len(parent)], parent) && s.Type == manifest.String {
				parts, text[s.Last()] = append(parts, s), s.Value
			}
		}
		name := cmp.Or(text["repository"], text["name"], text["image"])
		if name == "" {
			return
		}
		if text["registry"] != "" {
			name = text["registry"] + "/" + name
		}
		place := placeOf(d, l, render.Reference)
		place.Path = parent
		o := &occurrence{place: place, key: placeKey(d.Template, i, l), text: name + ":" + text["tag"], parts: true}
		t.order = append(t.order, o)
		for _, s := range parts {
			if slices.Contains(splitKeys, s.Last()) {
				key := placeKey(d.Template, i, s)
				t.at[key] = append(t.at[key], o)
			}
		}
	})
}

var splitKeys = []string{"repository", "name", "image", "registry", "tag", "digest"}

// placeOf is where a leaf is; of a list, in which of its items.
func placeOf(d manifest.Document, l *manifest.Leaf, use render.Use) render.Place {
	p := render.Place{Template: d.Template, Kind: d.Kind, Name: d.Name, Path: l.Path, Use: use}
	if use == render.Container {
		name := append(slices.Clone(l.Path[:len(l.Path)-1]), "name")
		if i := slices.IndexFunc(d.Leaves, func(o manifest.Leaf) bool { return slices.Equal(o.Path, name) }); i >= 0 {
			p.Container = d.Leaves[i].Value
		}
	}
	if len(l.Path) > 1 && l.Path[0] == "items" && strings.HasSuffix(d.Kind, "List") {
		for _, other := range d.Leaves {
			switch at := other.Path; {
			case len(at) < 3 || at[1] != l.Path[1]:
			case len(at) == 3 && at[2] == "kind":
				p.Kind = other.Value
			case len(at) == 4 && at[2] == "metadata" && at[3] == "name":
				p.Name = other.Value
			}
		}
	}
	return p
}

// token is the longest piece of text around a part of it that can be in a
// reference.
func token(text string, from, to int) manifest.Span {
	in := func(c byte) bool {
		return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("._/:@-", c) >= 0
	}
	for from > 0 && in(text[from-1]) {
		from--
	}
	for to < len(text) && in(text[to]) {
		to++
	}
	return manifest.Span{From: from, To: to}
}

// run finds the candidates that feed references, many at a time, and then
// looks at what each of them alone changes.
func (t *tracer) run() {
	var refs []string
	for _, o := range t.order {
		if !slices.Contains(refs, o.text) {
			refs = append(refs, o.text)
		}
	}
	all := candidates(t.b, refs)
	groups := apart(all)
	for _, group := range groups {
		t.screen(group)
		for _, c := range group {
			if t.hits[c] {
				t.alone(c)
			}
		}
	}
	// One scalar may have hidden another: a digest its tag, for instance.
	for _, c := range all {
		if !t.hits[c] && t.missing(c) {
			t.alone(c)
		}
	}
	t.finish(groups)
}

// finish decides on the scalars that were not traced alone, and puts what feeds
// a reference into the order of the values.
func (t *tracer) finish(groups [][]*candidate) {
	for _, c := range slices.Concat(groups...) {
		if !t.known[c] {
			t.guess(c)
		}
	}
	for _, o := range t.order {
		slices.SortStableFunc(o.feeds, func(a, b *feed) int { return cmp.Compare(a.index, b.index) })
	}
}

// apart groups candidates that do not hide each other. What a chart is the
// least likely to refuse another value of goes first.
func apart(all []*candidate) [][]*candidate {
	groups := make([][]*candidate, 6)
	for _, c := range all {
		i := 0
		switch {
		case c.chart != "":
			i = 1
		case c.class == classDigest:
			i = 2
		case c.at[0] == "global":
			i = 3
		case c.class == classPath, c.class == classWhole:
			i = 4
		case c.class == classRegistry:
			i = 5
		}
		groups[i] = append(groups[i], c)
	}
	return groups
}

// missing: a reference holds the candidate's text, and nothing is known to
// feed that part of it.
func (t *tracer) missing(c *candidate) bool {
	return len(c.text) > 1 && slices.ContainsFunc(t.order, func(o *occurrence) bool {
		return c.shownIn([]string{o.text}) && !slices.ContainsFunc(o.feeds, func(f *feed) bool { return f.class == c.class && f.text != "" })
	})
}

// share of the processor time after which scalars are no longer traced alone.
const share = 0.6

func (t *tracer) spent() bool {
	if used := cpuUsed(); used > time.Duration(share*float64(t.s.limits.cpu)*float64(time.Second)) {
		t.partial = fmt.Sprintf("after %s of processor time", used.Round(100*time.Millisecond))
	}
	return t.partial != ""
}

// screen renders with all of a group changed and notes which of them show up
// in references. A group that does not render is halved.
func (t *tracer) screen(group []*candidate) {
	if len(group) == 0 || t.spent() {
		return
	}
	changes := make([]change, 0, len(group))
	for _, c := range group {
		changes = append(changes, change{c, c.sentinels()[0]})
	}
	next, err := t.s.show(t.b, changes, false)
	if err != nil && len(group) > 1 {
		t.screen(group[:len(group)/2])
		t.screen(group[len(group)/2:])
		return
	}
	if err != nil {
		t.hits[group[0]] = true // alone says what it does
		return
	}
	for _, c := range group {
		t.known[c] = true
	}
	for _, d := range compare(t.b.shown, next) {
		if d.to == nil {
			continue
		}
		for _, c := range group {
			if !strings.Contains(d.to.Value, c.marker) {
				continue
			}
			t.seen = true
			if t.holdsReference(d, c.marker) {
				t.hits[c], t.known[c], t.marked[c] = true, false, append(t.marked[c], d)
			}
		}
	}
}

// holdsReference: what stands there, before or after, is a reference, and the
// marker is in it.
func (t *tracer) holdsReference(d difference, marker string) bool {
	if len(t.at[d.key()]) > 0 {
		return true
	}
	for _, span := range d.to.References() {
		if strings.Contains(d.to.Value[span.From:span.To], marker) {
			return true
		}
	}
	_, ok := t.hostless(d.to.Value, strings.Index(d.to.Value, marker), len(marker))
	return ok
}

// hostless finds a reference without a host: two scalars next to each other,
// the second behind a colon.
func (t *tracer) hostless(text string, from, size int) (manifest.Span, bool) {
	span := token(text, from, from+size)
	r, ok := manifest.ParseReference(text[span.From:span.To])
	return span, ok && r.Tag != "" && strings.Contains(r.Path, "/")
}
