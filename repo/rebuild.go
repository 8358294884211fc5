package repo

import (
	"context"
	"runtime"
	"slices"
	"sync/atomic"

	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/store"
)

// rebuild makes the index from all records. They come in order of the charts'
// names: only the versions of one chart have to be put in order, and no more
// than a few hundred records are in memory beside the segments.
func (r *Repository) rebuild(ctx context.Context) (*Index, error) {
	var b *rebuilder
	end := func() (out []*segment, err error) {
		if b != nil {
			out, err = b.end()
		}
		b = nil
		return out, err
	}
	c, err := r.Lock.IndexSince(ctx, 0, func() {
		_, _ = end() // of an attempt that is made again
		b = newRebuilder()
	}, func(l lock.IndexLine) error { return b.add(l) })
	segments, buildErr := end()
	if err == nil {
		err = buildErr
	}
	next := r.newIndex(c.Generation, c.At)
	next.segments = segments
	return next, err
}

// portion is how many records are encoded at once.
const portion = 64

// rebuilder encodes records on all cores while they are read, and puts them
// together as they come.
type rebuilder struct {
	open   []lock.IndexLine
	queue  chan *portioned // in order
	failed atomic.Bool
	done   chan struct{}

	// Of the goroutine that puts segments together.
	chart []edit // the versions of one chart
	to    builder
	err   error
}

type portioned struct {
	edits []edit
	err   error
	done  chan struct{}
}

func newRebuilder() *rebuilder {
	b := &rebuilder{queue: make(chan *portioned, 2*runtime.GOMAXPROCS(0)), done: make(chan struct{})}
	go b.assemble()
	return b
}

func (b *rebuilder) add(l lock.IndexLine) error {
	if b.open = append(b.open, l); len(b.open) == portion {
		b.encode()
	}
	if b.failed.Load() {
		return store.ErrStop // end has the error
	}
	return nil
}

func (b *rebuilder) encode() {
	lines := b.open
	b.open = nil
	p := &portioned{done: make(chan struct{})}
	b.queue <- p // waits where too many are under way
	go func() {
		defer close(p.done)
		p.edits = make([]edit, len(lines))
		for i, l := range lines {
			if p.edits[i], p.err = newEdit(l); p.err != nil {
				return
			}
		}
	}()
}

// end returns the segments of all that was added.
func (b *rebuilder) end() ([]*segment, error) {
	b.encode()
	close(b.queue)
	<-b.done
	return b.to.out, b.err
}

func (b *rebuilder) assemble() {
	defer close(b.done)
	for p := range b.queue {
		<-p.done
		if b.err == nil {
			b.err = b.take(p)
		}
		b.failed.Store(b.err != nil)
	}
	if b.err == nil {
		b.err = b.flush()
	}
	if b.err == nil {
		b.err = b.to.close()
	}
}

func (b *rebuilder) take(p *portioned) error {
	if p.err != nil {
		return p.err
	}
	for _, e := range p.edits {
		if len(b.chart) > 0 && b.chart[0].name != e.name {
			if err := b.flush(); err != nil {
				return err
			}
		}
		if !e.gone {
			b.chart = append(b.chart, e)
		}
	}
	return nil
}

// flush adds the versions of a chart, all of which are there.
func (b *rebuilder) flush() error {
	slices.SortFunc(b.chart, func(x, y edit) int { return x.at.compare(y.at) })
	for _, e := range b.chart {
		if err := b.to.add(e.line); err != nil {
			return err
		}
	}
	clear(b.chart)
	b.chart = b.chart[:0]
	return nil
}
