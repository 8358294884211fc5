package renderer

import (
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"chartd.dev/chartd/internal/render"
	"chartd.dev/chartd/internal/render/manifest"
	"sigs.k8s.io/yaml"
)

// alone renders with one candidate changed: what differs is its doing.
func (t *tracer) alone(c *candidate) {
	if t.spent() {
		return
	}
	rendered := false
	for _, value := range c.sentinels() {
		next, err := t.s.show(t.b, []change{{c, value}}, false)
		if err != nil {
			continue
		}
		f := &feed{candidate: c, bare: c.class == classDigest && !strings.HasPrefix(printed(value), "sha256:")}
		diffs := compare(t.b.shown, next)
		rendered = true
		if len(diffs) > 0 && t.readable(c, diffs) {
			t.attribute(f, diffs)
			t.known[c] = true
			return
		}
	}
	t.known[c], t.failed[c] = rendered, !rendered
}

// readable: a digest makes references that are references. Of "sha256:" twice,
// or not at all, the next form is tried.
func (t *tracer) readable(c *candidate, diffs []difference) bool {
	if c.class != classDigest {
		return true
	}
	for _, d := range diffs {
		if d.to == nil || len(t.at[d.key()]) == 0 || !d.to.IsContainerImage() {
			continue
		}
		if r, ok := manifest.ParseReference(d.to.Value); !ok || r.Digest == "" {
			return false
		}
	}
	return true
}

// guess notes a scalar that was not traced alone, because the chart renders
// with no other value of it or the time was up: as it showed beside others, else
// where its text and its neighbours say which references it feeds.
func (t *tracer) guess(c *candidate) {
	f := &feed{candidate: c}
	if t.failed[c] {
		f.other = []render.Place{{Use: render.Fails}}
	}
	if marked := t.marked[c]; len(marked) > 0 {
		for _, d := range marked {
			t.feeds(f, d)
		}
		return
	}
	if c.text == "" || c.chart != "" || !t.failed[c] && t.partial == "" {
		return
	}
	for _, o := range t.order {
		traced, beside := o.fedBeside(c)
		if c.shownIn([]string{o.text}) && (beside || t.failed[c] && !traced) {
			o.feeds = append(o.feeds, f)
		}
	}
}

// fedBeside says whether values are known that feed the reference, and whether
// one of them stands in the candidate's map.
func (o *occurrence) fedBeside(c *candidate) (fed, beside bool) {
	for _, f := range o.feeds {
		if f.chart == "" && f.text != "" {
			fed, beside = true, beside || slices.Equal(mapOf(f.at), mapOf(c.at))
		}
	}
	return fed, beside
}

// attribute notes which references a candidate feeds, and what else it does.
func (t *tracer) attribute(f *feed, diffs []difference) {
	for _, d := range diffs {
		if t.b.random[d.key()] || t.feeds(f, d) {
			continue
		}
		if len(f.other) < maxOther {
			f.other = append(f.other, placeOf(d.doc, d.leaf(), useOf(d, f.marker)))
		}
	}
}

// maxOther bounds the other places that are told of one scalar.
const maxOther = 100

// feeds notes the references of a place that changed.
func (t *tracer) feeds(f *feed, d difference) bool {
	if d.structural() {
		return false
	}
	from, to := region(d.from.Value, d.to.Value)
	occurs := t.at[d.key()]
	if len(occurs) == 0 {
		// A reference without a host is one where both its parts are fed.
		span, ok := t.hostless(d.from.Value, from, to-from)
		if !ok || f.class == classRegistry || !strings.Contains(d.from.Value[span.From:span.To], f.text) {
			return false
		}
		occurs = []*occurrence{t.occur(d.doc, d.index, d.from, span, render.Reference)}
	}
	after := d.to.References()
	any := false
	for i, o := range occurs {
		if !o.parts && (o.span.From > to || o.span.To < from) {
			continue
		}
		if len(after) == len(occurs) && d.to.Value[after[i].From:after[i].To] == o.text {
			continue
		}
		o.feeds, any = append(o.feeds, f), true
	}
	return any
}

var hexText = regexp.MustCompile(`^[0-9a-f]{8,128}$`)

// useOf says what a place that is no reference is to a scalar.
func useOf(d difference, marker string) render.Use {
	if d.structural() {
		return render.Structure
	}
	path, from, to := d.from.Path, d.from.Value, d.to.Value
	shows := strings.Contains(to, marker)
	switch {
	case hexText.MatchString(from) && hexText.MatchString(to) && len(from) == len(to) && !shows:
		return render.Checksum
	case slices.Contains(path, "labels") || slices.Contains(path, "matchLabels") || slices.Contains(path, "selector"):
		return render.Label
	case slices.Contains(path, "annotations"):
		return render.Annotation
	case len(path) == 2 && path[0] == "metadata" && path[1] == "name":
		return render.Name
	}
	if a, ok := decoded(from); ok {
		if b, ok := decoded(to); ok && a != b {
			return render.Encoded
		}
	}
	switch {
	case structured(from) && structured(to):
		return render.Encoded
	case shows:
		return render.Text
	}
	return render.Compared
}

// decoded is text that stands as base64, at least some of it.
func decoded(s string) (string, bool) {
	if len(s) < 4 || len(s)%4 != 0 {
		return "", false
	}
	b, err := base64.StdEncoding.DecodeString(s)
	return string(b), err == nil && utf8.Valid(b)
}

// structured: text that is a map or a list in YAML or JSON.
func structured(s string) bool {
	_, ok := structure(s)
	return ok
}

func structure(s string) (any, bool) {
	if !strings.ContainsAny(s, ":[") || len(s) < 4 {
		return nil, false
	}
	var v any
	if err := yaml.Unmarshal([]byte(s), &v); err != nil {
		return nil, false
	}
	switch v.(type) {
	case map[string]any, []any:
		return v, true
	}
	return nil, false
}
