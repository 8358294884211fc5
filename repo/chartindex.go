package repo

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"time"

	"chartd.dev/chartd/lock"
)

// keptChartIndexes is how many indexes of single charts are kept, at least.
const keptChartIndexes = 16

// chartIndex is the index of one chart, and the segments that it was made from.
type chartIndex struct {
	from  []*segment
	index *Index
}

// ChartIndex is the index of one chart, for a client that needs no other: a
// repository whose lines, and so the URLs in them, are those of the whole one.
// It is the same as long as the chart's lines are.
func (r *Repository) ChartIndex(ctx context.Context, name string) (*Index, error) {
	x, err := r.Index(ctx)
	if err != nil {
		return nil, err
	}
	from := x.around(name)
	if kept, ok := r.charts.Find(name); ok && slices.Equal(kept.from, from) {
		return kept.index, nil
	}
	out, err := x.part(from, name)
	if err != nil {
		return nil, fmt.Errorf("index of chart %q: %w", name, err)
	}
	if len(out.segments) == 0 {
		return nil, fmt.Errorf("%w: no version of a chart named %q is listed here", lock.ErrNotFound, name)
	}
	r.charts.Put(name, chartIndex{from, out})
	return out, nil
}

// around returns the segments in which lines of the chart may be.
func (x *Index) around(name string) []*segment {
	i := sort.Search(len(x.segments), func(i int) bool { return x.segments[i].first.name >= name })
	if i > 0 && x.segments[i-1].last() >= name {
		i--
	}
	end := i
	for end < len(x.segments) && x.segments[end].first.name <= name {
		end++
	}
	return x.segments[i:end]
}

// part makes an index of the chart's lines in these segments, and shares those
// that hold no other. It is as old as the newest of them.
func (x *Index) part(from []*segment, name string) (*Index, error) {
	var b builder
	for _, s := range from {
		if s.first.name == name && s.last() == name {
			if err := b.keepOne(s); err != nil {
				return nil, err
			}
			continue
		}
		for i := range s.spans {
			if n, _ := s.key(i); n != name {
				continue
			}
			if err := b.add(s.line(i)); err != nil {
				return nil, err
			}
		}
	}
	if err := b.close(); err != nil {
		return nil, err
	}
	at, err := newest(b.out)
	out := newIndex(x.generation, at, x.context, x.format)
	out.segments = b.out
	return out, err
}

// newest is when the newest of the lines was made.
func newest(list []*segment) (at time.Time, err error) {
	for _, s := range list {
		for i := range s.spans {
			var l struct{ Created time.Time }
			if err := json.Unmarshal(s.line(i).json, &l); err != nil {
				return at, err
			}
			if l.Created.After(at) {
				at = l.Created
			}
		}
	}
	return at, nil
}
