package boltstore

import (
	"maps"
	"sync/atomic"

	"github.com/tidwall/btree"

	"chartd.dev/chartd/lock/overlay"
	"chartd.dev/chartd/lock/store"
)

// degree of the trees: small nodes, because each commit copies those it changes.
const degree = 16

// layer is what one log file holds: the newest write to each key, deletions
// too, by bucket. One that a state holds is never changed.
type layer struct {
	buckets map[string]*btree.Map[string, *overlay.Write]
	since   uint64 // the revision below it
	bytes   int64
}

func (l *layer) get(bucket, key string) (*overlay.Write, bool) {
	if l == nil {
		return nil, false
	}
	m := l.buckets[bucket]
	if m == nil {
		return nil, false
	}
	return m.Get(key)
}

// scan returns the writes that a scan comes to, one after the other, and
// false after the last.
func (l *layer) scan(bucket string, o store.ScanOptions) func() (overlay.Write, bool) {
	it := l.buckets[bucket].Iter()
	step, begun := it.Next, false
	if o.Reverse {
		step = it.Prev
	}
	return func() (overlay.Write, bool) {
		ok := false
		if begun {
			ok = step()
		} else {
			begun, ok = true, seek(&it, o)
		}
		if !ok || !o.Selects(it.Key()) {
			return overlay.Write{}, false
		}
		return *it.Value(), true
	}
}

// seek brings an iterator to the first key of a scan, or past its last.
func seek(it *btree.MapIter[string, *overlay.Write], o store.ScanOptions) bool {
	if !o.Reverse {
		if start := max(o.Prefix, o.From); start != "" {
			return it.Seek(start)
		}
		return it.First()
	}
	if bound := upper(o); bound != "" && it.Seek(bound) {
		return it.Prev()
	}
	return it.Last()
}

// sealed is a layer that gets no more writes and waits for bbolt.
type sealed struct {
	layer    atomic.Pointer[layer] // nil once bbolt has it
	since    uint64
	revision uint64
	counts   map[string]uint64
	file     int // of the log
	end      int64
	logged   int64         // bytes of its frames
	done     chan struct{} // closed once bbolt has it and the log file is free
}

func (f *sealed) flushed() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// state is one state of the store, together with a bbolt transaction whose
// revision is at most its own. It is never changed, only replaced.
type state struct {
	revision uint64
	counts   map[string]uint64 // keys of each bucket
	active   *layer
	frozen   *sealed // nil if there never was one
	file     int     // of the log that active is in
	end      int64   // where its next frame goes
}

// rotated returns the same state with its active layer sealed.
func (st *state) rotated() *state {
	f := &sealed{since: st.active.since, revision: st.revision, counts: st.counts, file: st.file, end: st.end, logged: st.end - logPage, done: make(chan struct{})}
	f.layer.Store(st.active)
	next := *st
	next.frozen, next.file, next.end = f, 1-st.file, logPage
	next.active = &layer{since: st.revision}
	return &next
}

// draft is the state that a group is making.
type draft struct {
	state
	owned map[string]bool // buckets that were copied and may be changed
}

func (st *state) draft() *draft {
	d := &draft{state: *st, owned: make(map[string]bool)}
	d.counts = maps.Clone(st.counts)
	d.active = &layer{buckets: maps.Clone(st.active.buckets), since: st.active.since, bytes: st.active.bytes}
	if d.active.buckets == nil {
		d.active.buckets = make(map[string]*btree.Map[string, *overlay.Write])
	}
	return d
}

// overhead of a write in a layer, about.
const overhead = 100

// apply adds one update. Exists says whether a key was there before it.
func (d *draft) apply(writes []overlay.Write, exists func(bucket, key string) (bool, error)) error {
	for i := range writes {
		w := &writes[i]
		was, err := exists(w.Bucket, w.Key)
		if err != nil {
			return err
		}
		m := d.active.buckets[w.Bucket]
		switch {
		case m == nil:
			m = btree.NewMap[string, *overlay.Write](degree)
		case !d.owned[w.Bucket]:
			m = m.Copy()
		}
		d.active.buckets[w.Bucket], d.owned[w.Bucket] = m, true
		m.Set(w.Key, w)
		d.active.bytes += int64(len(w.Key)+len(w.Value)) + overhead
		if was && w.Delete {
			d.counts[w.Bucket]--
		} else if !was && !w.Delete {
			d.counts[w.Bucket]++
		}
	}
	d.revision++
	return nil
}
