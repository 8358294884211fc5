// Package overlay is the transaction that a store gives to the closure of an
// update: what the closure writes lies beside the state it reads, so that an
// error or a panic leaves no trace, and the limits of an update are kept.
package overlay

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"chartd.dev/chartd/lock/store"
)

// Write is one key written, or deleted.
type Write struct {
	Bucket, Key string
	Value       []byte
	Delete      bool
}

// Overlay is the Txn that stores give to a closure: it keeps what the closure
// writes beside the state it reads, so that an error leaves no trace.
type Overlay struct {
	base    store.Tx
	buckets []overlaid // few
	writes  int
	bytes   int
	err     error // the first refused write; the update fails with it
}

// overlaid is the part of an overlay that belongs to one bucket.
type overlaid struct {
	name   string
	writes []Write // in order of key
}

// bucket returns the part that belongs to a bucket, until a write makes a new
// one; nil if there is none.
func (o *Overlay) bucket(name string) *overlaid {
	for i := range o.buckets {
		if o.buckets[i].name == name {
			return &o.buckets[i]
		}
	}
	return nil
}

// find returns where a key is, or belongs.
func (b *overlaid) find(key string) (int, bool) {
	return slices.BinarySearchFunc(b.writes, key, func(w Write, key string) int { return strings.Compare(w.Key, key) })
}

// get returns what was written to a key.
func (b *overlaid) get(key string) (Write, bool) {
	if b == nil {
		return Write{}, false
	}
	i, ok := b.find(key)
	if !ok {
		return Write{}, false
	}
	return b.writes[i], true
}

var _ store.Txn = (*Overlay)(nil)

// New returns an empty overlay of base.
func New(base store.Tx) *Overlay { return &Overlay{base: base, buckets: make([]overlaid, 0, 6)} }

// Run runs the closure of an Update on the overlay. A panic becomes a
// PanicError, and a refused write fails the update even if the closure went
// on without it.
func (o *Overlay) Run(fn func(store.Txn) error) (err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		// A nil value means runtime.Goexit, which goes on; the caller answers.
		if v := recover(); v != nil {
			err = &store.PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	err = fn(o)
	returned = true
	if err == nil {
		err = o.err
	}
	return err
}

// Writes returns what was written, in order of bucket and key.
func (o *Overlay) Writes() []Write {
	out := make([]Write, 0, o.writes)
	slices.SortFunc(o.buckets, func(a, b overlaid) int { return strings.Compare(a.name, b.name) })
	for _, b := range o.buckets {
		out = append(out, b.writes...)
	}
	return out
}

// Size is what was written: keys, and bytes of keys and values.
func (o *Overlay) Size() (writes, bytes int) { return o.writes, o.bytes }

// Put implements Txn.
func (o *Overlay) Put(bucket, key string, value []byte) error {
	return o.write(Write{Bucket: bucket, Key: key, Value: slices.Clone(value)})
}

// Delete implements Txn.
func (o *Overlay) Delete(bucket, key string) error {
	return o.write(Write{Bucket: bucket, Key: key, Delete: true})
}

func (o *Overlay) write(w Write) error {
	err := o.check(w)
	if err != nil {
		err = fmt.Errorf("write %s/%q: %w", w.Bucket, w.Key, err)
		if o.err == nil {
			o.err = err
		}
		return err
	}
	b := o.bucket(w.Bucket)
	if b == nil {
		o.buckets = append(o.buckets, overlaid{name: w.Bucket})
		b = &o.buckets[len(o.buckets)-1]
	}
	i, ok := b.find(w.Key)
	if ok {
		o.bytes += len(w.Value) - len(b.writes[i].Value)
		b.writes[i] = w
		return nil
	}
	o.writes++
	o.bytes += len(w.Key) + len(w.Value)
	b.writes = slices.Insert(b.writes, i, w)
	return nil
}

func (o *Overlay) check(w Write) error {
	if w.Bucket == "" || w.Key == "" {
		return errors.New("a bucket or key has no name")
	}
	if len(w.Key) > store.MaxKey {
		return fmt.Errorf("%w: the key has %d bytes, at most %d are allowed", store.ErrTooLarge, len(w.Key), store.MaxKey)
	}
	writes, bytes := o.writes, o.bytes+len(w.Value)
	if old, ok := o.bucket(w.Bucket).get(w.Key); ok {
		bytes -= len(old.Value)
	} else {
		writes, bytes = writes+1, bytes+len(w.Key)
	}
	if writes > store.MaxWrites {
		return fmt.Errorf("%w: at most %d keys are allowed", store.ErrTooLarge, store.MaxWrites)
	}
	if bytes > store.MaxBytes {
		return fmt.Errorf("%w: it has %d bytes, at most %d are allowed", store.ErrTooLarge, bytes, store.MaxBytes)
	}
	return nil
}

// Revision implements Tx: it is that of the state below, because the
// overlay's own writes are not committed.
func (o *Overlay) Revision() uint64 { return o.base.Revision() }

// Get implements Tx.
func (o *Overlay) Get(bucket, key string) ([]byte, error) {
	if w, ok := o.bucket(bucket).get(key); ok {
		if w.Delete {
			return nil, store.NoKey(bucket, key)
		}
		return w.Value, nil
	}
	return o.base.Get(bucket, key)
}

// Count implements Tx.
func (o *Overlay) Count(bucket string) (uint64, error) {
	n, err := o.base.Count(bucket)
	b := o.bucket(bucket)
	if err != nil || b == nil {
		return n, err
	}
	for _, w := range b.writes {
		_, err := o.base.Get(bucket, w.Key)
		switch {
		case err == nil && w.Delete:
			n--
		case errors.Is(err, store.ErrNoKey) && !w.Delete:
			n++
		case err != nil && !errors.Is(err, store.ErrNoKey):
			return 0, err
		}
	}
	return n, nil
}

// Scan implements Tx: it merges what was written into the scan of the state
// below. It sees the writes made before it began.
func (o *Overlay) Scan(bucket string, opts store.ScanOptions, fn func(key string, value []byte) error) error {
	b := o.bucket(bucket)
	if b == nil {
		return o.base.Scan(bucket, opts, fn)
	}
	var own []Write
	for _, w := range b.writes {
		if opts.Selects(w.Key) {
			own = append(own, w)
		}
	}
	if opts.Reverse {
		slices.Reverse(own)
	}
	next := func() (w Write, ok bool) {
		if len(own) > 0 {
			w, own, ok = own[0], own[1:], true
		}
		return w, ok
	}
	return Merge(opts, next, func(fn func(string, []byte) error) error { return o.base.Scan(bucket, opts, fn) }, fn)
}

// Merge scans a state and writes that lie over it. The writes come from next,
// which returns those that o selects in the order of the scan, and false after
// the last one; base scans the state with o.
func Merge(o store.ScanOptions, next func() (Write, bool), base func(func(key string, value []byte) error) error, fn func(key string, value []byte) error) error {
	stopped := false
	yield := func(key string, value []byte) error {
		err := fn(key, value)
		stopped = err != nil
		return err
	}
	w, more := next()
	err := base(func(key string, value []byte) error {
		for more && w.Key != key && (w.Key < key) != o.Reverse {
			if !w.Delete {
				if err := yield(w.Key, w.Value); err != nil {
					return err
				}
			}
			w, more = next()
		}
		if more && w.Key == key {
			return nil // overwritten or deleted; its turn comes above
		}
		return yield(key, value)
	})
	if err != nil || stopped {
		return err
	}
	for ; more; w, more = next() {
		if !w.Delete {
			if err := fn(w.Key, w.Value); err != nil {
				return store.ScanEnd(err)
			}
		}
	}
	return nil
}
