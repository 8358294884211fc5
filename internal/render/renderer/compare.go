package renderer

import (
	"maps"
	"slices"
	"strconv"

	"chartd.dev/chartd/internal/render/manifest"
)

// difference is one leaf that two renderings do not share. Of a whole document
// that only one of them has, the leaf has no path.
type difference struct {
	doc      manifest.Document // of the first rendering, where it has it
	index    int
	from, to *manifest.Leaf // nil: it is not there
}

func (d difference) leaf() *manifest.Leaf {
	if d.from != nil {
		return d.from
	}
	return d.to
}

func (d difference) key() string { return placeKey(d.doc.Template, d.index, d.leaf()) }

func placeKey(template string, index int, l *manifest.Leaf) string {
	return template + "\x00" + strconv.Itoa(index) + "\x00" + l.Key()
}

// structural: something is there in one rendering only.
func (d difference) structural() bool { return d.from == nil || d.to == nil }

// compare lists what differs between two renderings of a chart.
func compare(a, b *shown) []difference {
	var out []difference
	names := map[string]bool{}
	for _, s := range []*shown{a, b} {
		for name := range s.docs {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		x, y := a.docs[name], b.docs[name]
		for i := range max(len(x), len(y)) {
			switch {
			case i >= len(y):
				out = append(out, difference{doc: x[i], index: i, from: &manifest.Leaf{}})
			case i >= len(x):
				out = append(out, difference{doc: y[i], index: i, to: &manifest.Leaf{}})
			default:
				out = append(out, compareLeaves(x[i], y[i], i)...)
			}
		}
	}
	return out
}

func compareLeaves(a, b manifest.Document, index int) []difference {
	var out []difference
	x, y := a.Leaves, b.Leaves
	if len(x) == len(y) && (len(x) == 0 || &x[0] == &y[0]) {
		return nil // the same document, read once
	}
	for len(x) > 0 || len(y) > 0 {
		order := 0
		switch {
		case len(x) == 0:
			order = 1
		case len(y) == 0:
			order = -1
		default:
			order = slices.Compare(x[0].Path, y[0].Path)
		}
		switch {
		case order < 0:
			out = append(out, difference{doc: a, index: index, from: &x[0]})
			x = x[1:]
		case order > 0:
			out = append(out, difference{doc: a, index: index, to: &y[0]})
			y = y[1:]
		default:
			if x[0].Type != y[0].Type || x[0].Value != y[0].Value {
				out = append(out, difference{doc: a, index: index, from: &x[0], to: &y[0]})
			}
			x, y = x[1:], y[1:]
		}
	}
	return out
}

// region is what differs between two texts, in the first one.
func region(a, b string) (from, to int) {
	for from < len(a) && from < len(b) && a[from] == b[from] {
		from++
	}
	to = len(a)
	for end := len(b); to > from && end > from && a[to-1] == b[end-1]; end-- {
		to--
	}
	return from, to
}

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
