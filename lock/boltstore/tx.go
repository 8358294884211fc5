package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"go.etcd.io/bbolt"

	"chartd.dev/chartd/lock/store"
)

// tx reads one bbolt transaction as a store.Tx does.
type tx struct {
	s        *Store
	bolt     *bbolt.Tx
	revision uint64
	buckets  map[string]*bbolt.Bucket
	ended    bool
}

// errEnded answers a closure that kept its transaction; bbolt would panic as
// it does on a damaged file.
var errEnded = errors.New("transaction has ended")

func (s *Store) newTx(b *bbolt.Tx) (t *tx, err error) {
	defer s.guard(&err)
	t = &tx{s: s, bolt: b, buckets: make(map[string]*bbolt.Bucket)}
	t.revision, err = t.number(revisionKey)
	return t, err
}

// number reads a number of the store's own bucket; a missing one is 0.
func (t *tx) number(key string) (uint64, error) {
	own := t.bolt.Bucket([]byte(ownBucket))
	if own == nil {
		return 0, fmt.Errorf("%w: %s: the bucket %q is missing", store.ErrBroken, t.s.path, ownBucket)
	}
	v := own.Get([]byte(key))
	if v == nil {
		return 0, nil
	}
	v, err := t.open("", []byte(key), v)
	if err != nil {
		return 0, err
	}
	if len(v) != 8 {
		return 0, fmt.Errorf("%w: %s: %q is no number", store.ErrBroken, t.s.path, key)
	}
	return binary.BigEndian.Uint64(v), nil
}

// open checks a stored value and returns the caller's part of it.
func (t *tx) open(bucket string, key, stored []byte) ([]byte, error) {
	v, ok := open(bucket, key, stored)
	if !ok {
		return nil, fmt.Errorf("%w: %s: the value of %s/%q does not match its checksum", store.ErrDamaged, t.s.path, bucket, key)
	}
	return v, nil
}

// bucket returns nil for one that was never written.
func (t *tx) bucket(name string) *bbolt.Bucket {
	b, ok := t.buckets[name]
	if !ok {
		b = t.bolt.Bucket([]byte(userPrefix + name))
		t.buckets[name] = b
	}
	return b
}

// Count returns the number of keys in a bucket.
func (t *tx) Count(bucket string) (n uint64, err error) {
	if t.ended {
		return 0, errEnded
	}
	defer t.s.guard(&err)
	return t.number(countPrefix + bucket)
}

// exists reports whether a key is there, without a look at its value.
func (t *tx) exists(bucket, key string) (is bool, err error) {
	if t.ended {
		return false, errEnded
	}
	defer t.s.guard(&err)
	b := t.bucket(bucket)
	return b != nil && b.Get([]byte(key)) != nil, nil
}

// Get returns the value of a key.
func (t *tx) Get(bucket, key string) (value []byte, err error) {
	if t.ended {
		return nil, errEnded
	}
	defer t.s.guard(&err)
	b := t.bucket(bucket)
	if b == nil {
		return nil, t.missing(bucket, key)
	}
	c := b.Cursor()
	want := []byte(key)
	k, v := c.Seek(want)
	if bytes.Equal(k, want) && k != nil {
		return t.open(bucket, k, v)
	}
	return nil, t.absent(c, neighbours{bucket, key, k, v})
}

// missing is the answer for a bucket that does not exist.
func (t *tx) missing(bucket, key string) error {
	if n, err := t.Count(bucket); err != nil || n == 0 {
		if err != nil {
			return err
		}
		return store.NoKey(bucket, key)
	}
	return fmt.Errorf("%w: %s: the bucket %q is missing", store.ErrBroken, t.s.path, bucket)
}

type neighbours struct {
	bucket, key string
	k, v        []byte // what a search for key found
}

// absent makes sure that a key which was not found is not there. No checksum
// covers a key that damage has renamed, or a branch that leads astray; but
// then the keys on either side are damaged or do not enclose the missing one.
func (t *tx) absent(c *bbolt.Cursor, n neighbours) error {
	var before, value []byte
	if n.k == nil {
		before, value = c.Last()
	} else {
		if _, err := t.open(n.bucket, n.k, n.v); err != nil {
			return err
		}
		// A place that is wrong can hold a key of another page, whole.
		if beyond, _ := c.Next(); beyond != nil {
			if bytes.Compare(beyond, n.k) <= 0 {
				return t.disorder(n.bucket, n.key)
			}
			c.Prev()
		}
		before, value = c.Prev()
	}
	if before != nil {
		if _, err := t.open(n.bucket, before, value); err != nil {
			return err
		}
	}
	if n.k != nil && string(n.k) <= n.key || before != nil && string(before) >= n.key {
		return t.disorder(n.bucket, n.key)
	}
	return store.NoKey(n.bucket, n.key)
}

func (t *tx) disorder(bucket, key string) error {
	return fmt.Errorf("%w: %s: the keys around %s/%q are out of order", store.ErrBroken, t.s.path, bucket, key)
}

// Scan calls fn for the keys of a scan.
func (t *tx) Scan(bucket string, o store.ScanOptions, fn func(key string, value []byte) error) error {
	c, k, v, err := t.seek(bucket, o)
	if err != nil || c == nil {
		return err
	}
	var n uint64
	last := ""
	for k != nil {
		key := string(k)
		if !o.Selects(key) {
			break
		}
		value, err := t.openGuarded(bucket, k, v)
		if err != nil {
			return err
		}
		if n > 0 && (key > last) == o.Reverse {
			return t.disorder(bucket, key)
		}
		if err := fn(key, value); err != nil {
			return store.ScanEnd(err)
		}
		last = key
		n++
		if k, v, err = t.step(c, o.Reverse); err != nil {
			return err
		}
	}
	if o.Prefix != "" || o.From != "" {
		return nil
	}
	want, err := t.Count(bucket)
	if err == nil && want != n {
		err = fmt.Errorf("%w: %s: the bucket %q has %d keys and should have %d", store.ErrBroken, t.s.path, bucket, n, want)
	}
	return err
}

func (t *tx) openGuarded(bucket string, k, v []byte) (value []byte, err error) {
	defer t.s.guard(&err)
	return t.open(bucket, k, v)
}

// seek brings a cursor to the first key of a scan; it is nil where there is
// no bucket.
func (t *tx) seek(bucket string, o store.ScanOptions) (c *bbolt.Cursor, k, v []byte, err error) {
	if t.ended {
		return nil, nil, nil, errEnded
	}
	defer t.s.guard(&err)
	b := t.bucket(bucket)
	if b == nil {
		if n, err := t.Count(bucket); err != nil || n > 0 {
			return nil, nil, nil, t.missing(bucket, o.Prefix)
		}
		return nil, nil, nil, nil
	}
	c = b.Cursor()
	if !o.Reverse {
		k, v = c.First()
		if start := max(o.Prefix, o.From); start != "" {
			k, v = c.Seek([]byte(start))
		}
		return c, k, v, nil
	}
	if bound := upper(o); bound == "" {
		k, v = c.Last()
	} else if k, _ = c.Seek([]byte(bound)); k == nil {
		k, v = c.Last()
	} else {
		k, v = c.Prev()
	}
	return c, k, v, nil
}

func (t *tx) step(c *bbolt.Cursor, reverse bool) (k, v []byte, err error) {
	defer t.s.guard(&err)
	if reverse {
		k, v = c.Prev()
	} else {
		k, v = c.Next()
	}
	return k, v, nil
}

// upper returns the first key beyond a scan in reverse, or "".
func upper(o store.ScanOptions) string {
	bound := after(o.Prefix)
	if o.From != "" && (bound == "" || o.From < bound) {
		bound = o.From
	}
	return bound
}

// after returns the first string beyond all that begin with prefix, or "".
func after(prefix string) string {
	b := []byte(prefix)
	for len(b) > 0 {
		if b[len(b)-1] < math.MaxUint8 {
			b[len(b)-1]++
			return string(b)
		}
		b = b[:len(b)-1]
	}
	return ""
}
