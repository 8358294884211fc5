package kept

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	jsonv1 "github.com/go-json-experiment/json/v1"

	"chartd.dev/chartd/internal/recent"
	"chartd.dev/chartd/lock/store"
)

// Records keeps decoded records with the bytes that they were decoded from,
// and gives one only for those very bytes. So lock files may share it, and a
// transaction that fails leaves nothing wrong behind.
type Records[T any] struct {
	whole func(T) T // what a reader gets, who may append to it; nil: the record as it is

	kept recent.Map[string, record[T]]
}

// NewRecords keeps size records. Whole makes what a reader gets, who may append
// to it; nil is for records that nobody appends to.
func NewRecords[T any](size int, whole func(T) T) *Records[T] {
	return &Records[T]{whole: whole, kept: recent.Map[string, record[T]]{Size: size}}
}

type record[T any] struct {
	raw   []byte
	value T
}

// Get reads and decodes a record, unless that was done with the same bytes.
func (d *Records[T]) Get(t store.Tx, bucket, key string) (T, error) {
	raw, err := t.Get(bucket, key)
	if err != nil {
		var none T
		return none, err
	}
	r, ok := d.kept.Find(key)
	if !ok || !bytes.Equal(r.raw, raw) {
		r = record[T]{raw: slices.Clone(raw)}
		if err := Decode(bucket, key, raw, &r.value); err != nil {
			return r.value, err
		}
		d.kept.Put(key, r)
	}
	if d.whole != nil {
		return d.whole(r.value), nil
	}
	return r.value, nil
}

// Put writes a record that the next transaction will read, and returns it as
// it is written.
func (d *Records[T]) Put(t store.Txn, bucket, key string, v T) (json.RawMessage, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %s %q: %w", bucket, key, err)
	}
	if d.whole != nil {
		v = d.whole(v)
	}
	d.kept.Put(key, record[T]{raw, v})
	return raw, t.Put(bucket, key, raw)
}

// Wrap writes a record as JSON that holds what is encoded already, such as a
// journal line with its pin: the same bytes as encoding/json's, but what it holds
// is gone through at a third of the cost.
func Wrap(v any) (json.RawMessage, error) { return jsonv1.Marshal(v) }

// Decode reads a record that is stored as JSON.
func Decode(bucket, key string, raw []byte, v any) error {
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("%w: decode %s %q: %v", store.ErrDamaged, bucket, key, err)
	}
	return nil
}
