package lock

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"chartd.dev/chartd/internal/recent"
)

// maxDecoded is the size of each of the caches below.
const maxDecoded = 1 << 10

// The records that every pin reads. What is kept here is taken only for the
// very bytes that it was decoded from, so it is no state: lock files may share
// it, and a transaction that fails leaves nothing wrong behind.
var (
	decodedEnvironments = newDecoded(func(e Environment) Environment {
		e.Halts, e.Approved = slices.Clone(e.Halts), slices.Clone(e.Approved) // a change edits them in place
		return e
	})
	decodedPins     = newDecoded[Pin](nil)
	decodedBindings = newDecoded(func(b Binding) Binding {
		b.Images, b.Moved = slices.Clip(b.Images), slices.Clip(b.Moved)
		return b
	})
	decodedCharts = newDecoded(func(v ChartVersion) ChartVersion {
		v.Bindings = slices.Clip(v.Bindings)
		return v
	})
)

// decoded keeps records with the bytes that they were decoded from.
type decoded[T any] struct {
	whole func(T) T // what a reader gets, who may append to it; nil: the record as it is

	records recent.Map[string, record[T]]
}

func newDecoded[T any](whole func(T) T) *decoded[T] {
	return &decoded[T]{whole: whole, records: recent.Map[string, record[T]]{Size: maxDecoded}}
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
	r, ok := d.records.Find(key)
	if !ok || !bytes.Equal(r.raw, raw) {
		r = record[T]{raw: slices.Clone(raw)}
		if err := decode(bucket, key, raw, &r.value); err != nil {
			return r.value, err
		}
		d.records.Put(key, r)
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
	d.records.Put(key, record[T]{raw, v})
	return raw, t.Put(bucket, key, raw)
}
