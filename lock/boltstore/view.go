package boltstore

import (
	"errors"
	"fmt"

	"chartd.dev/chartd/lock/overlay"
	"chartd.dev/chartd/lock/store"
)

// view is a store.Tx on a state: its layers over a bbolt transaction.
type view struct {
	st     *state
	frozen *layer // nil if bbolt has it
	bolt   *tx
	looked []looked // for in bbolt, by the closure that runs; nil where none writes
}

// looked is what became of a search: what a closure writes it mostly read.
type looked struct {
	bucket, key string
	there       bool
}

var _ store.Tx = (*view)(nil)

// view begins a transaction on what load returns. Where bbolt is already past
// that state, it loads again.
func (s *Store) view(load func() *state) (*view, error) {
	for {
		st := load()
		b, err := s.db.Begin(false)
		if err != nil {
			return nil, s.broke(fmt.Errorf("%w: read %s: %w", store.ErrBroken, s.path, err))
		}
		t, err := s.newTx(b)
		if err != nil {
			s.rollback(b)
			return nil, err
		}
		v := &view{st: st, bolt: t}
		if t.revision > st.revision {
			v.end()
			continue
		}
		if f := st.frozen; f != nil && t.revision < f.revision {
			if v.frozen = f.layer.Load(); v.frozen == nil {
				v.end()
				continue
			}
		}
		return v, nil
	}
}

func (v *view) end() {
	v.bolt.ended = true
	v.bolt.s.rollback(v.bolt.bolt)
}

// Revision implements store.Tx.
func (v *view) Revision() uint64 { return v.st.revision }

// written returns what the layers hold of a key.
func (v *view) written(bucket, key string) (*overlay.Write, bool) {
	if w, ok := v.st.active.get(bucket, key); ok {
		return w, true
	}
	return v.frozen.get(bucket, key)
}

// Get implements store.Tx.
func (v *view) Get(bucket, key string) ([]byte, error) {
	if v.bolt.ended {
		return nil, errEnded
	}
	if w, ok := v.written(bucket, key); ok {
		if w.Delete {
			return nil, store.NoKey(bucket, key)
		}
		return w.Value, nil
	}
	value, err := v.bolt.Get(bucket, key)
	if v.looked != nil && (err == nil || errors.Is(err, store.ErrNoKey)) {
		v.looked = append(v.looked, looked{bucket, key, err == nil})
	}
	return value, err
}

// exists reports whether a key is there, without a look at its value.
func (v *view) exists(bucket, key string) (bool, error) {
	if w, ok := v.written(bucket, key); ok {
		return !w.Delete, nil
	}
	for _, l := range v.looked {
		if l.key == key && l.bucket == bucket {
			return l.there, nil
		}
	}
	return v.bolt.exists(bucket, key)
}

// Count implements store.Tx.
func (v *view) Count(bucket string) (uint64, error) {
	if v.bolt.ended {
		return 0, errEnded
	}
	return v.st.counts[bucket], nil
}

// Scan implements store.Tx.
func (v *view) Scan(bucket string, o store.ScanOptions, fn func(key string, value []byte) error) error {
	if v.bolt.ended {
		return errEnded
	}
	scan := func(fn func(string, []byte) error) error { return v.bolt.Scan(bucket, o, fn) }
	for _, l := range []*layer{v.frozen, v.st.active} {
		if l == nil || l.buckets[bucket] == nil {
			continue
		}
		below := scan
		scan = func(fn func(string, []byte) error) error { return overlay.Merge(o, l.scan(bucket, o), below, fn) }
	}
	var n uint64
	stopped := false
	err := scan(func(key string, value []byte) error {
		n++
		err := fn(key, value)
		stopped = err != nil
		return err
	})
	if want := v.st.counts[bucket]; err == nil && !stopped && o.Prefix == "" && o.From == "" && n != want {
		err = fmt.Errorf("%w: %s: the bucket %q has %d keys and should have %d", store.ErrBroken, v.bolt.s.path, bucket, n, want)
	}
	return err
}
