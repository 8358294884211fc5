package lock

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
)

// maxDecoded bounds each of the caches below, twice.
const maxDecoded = 1 << 10

// The records that every pin reads. What is kept here is taken only for the
// very bytes that it was decoded from, so it is no state: lock files may share
// it, and a transaction that fails leaves nothing wrong behind.
var (
	decodedEnvironments = decoded[Environment]{whole: func(e Environment) Environment {
		e.Halts, e.Approved = slices.Clone(e.Halts), slices.Clone(e.Approved) // a change edits them in place
		return e
	}}
	decodedPins     = decoded[Pin]{}
	decodedBindings = decoded[Binding]{whole: func(b Binding) Binding {
		b.Images, b.Moved = slices.Clip(b.Images), slices.Clip(b.Moved)
		return b
	}}
	decodedCharts = decoded[ChartVersion]{whole: func(v ChartVersion) ChartVersion {
		v.Bindings = slices.Clip(v.Bindings)
		return v
	}}
)

// decoded keeps records with the bytes that they were decoded from: at least
// the maxDecoded that were asked for last.
type decoded[T any] struct {
	whole func(T) T // what a reader gets, who may append to it; nil: the record as it is

	mu       sync.Mutex
	now, old map[string]record[T]
}

type record[T any] struct {
	raw   []byte
	value T
}

// get reads and decodes a record, unless that was done with the same bytes.
func (d *decoded[T]) get(t Tx, bucket, key string) (T, error) {
	raw, err := t.Get(bucket, key)
	if err != nil {
		var none T
		return none, err
	}
	r, ok := d.find(key)
	if !ok || !bytes.Equal(r.raw, raw) {
		r = record[T]{raw: slices.Clone(raw)}
		if err := decode(bucket, key, raw, &r.value); err != nil {
			return r.value, err
		}
		d.keep(key, r)
	}
	if d.whole != nil {
		return d.whole(r.value), nil
	}
	return r.value, nil
}

// put writes a record that the next transaction will read, and returns it as
// it is written.
func (d *decoded[T]) put(t Txn, bucket, key string, v T) (json.RawMessage, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %s %q: %w", bucket, key, err)
	}
	if d.whole != nil {
		v = d.whole(v)
	}
	d.keep(key, record[T]{raw, v})
	return raw, t.Put(bucket, key, raw)
}

func (d *decoded[T]) find(key string) (record[T], bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, ok := d.now[key]
	if !ok {
		if r, ok = d.old[key]; ok {
			d.add(key, r)
		}
	}
	return r, ok
}

func (d *decoded[T]) keep(key string, r record[T]) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.add(key, r)
}

func (d *decoded[T]) add(key string, r record[T]) {
	if _, ok := d.now[key]; !ok && len(d.now) >= maxDecoded {
		d.now, d.old = nil, d.now
	}
	if d.now == nil {
		d.now = make(map[string]record[T])
	}
	d.now[key] = r
}
