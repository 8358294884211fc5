// Package kept keeps what was made from a store for as long as that holds:
// answers by what they read, records by the bytes that they were decoded from.
// It is no state: without it everything is read and made again.
package kept

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"chartd.dev/chartd/lock/store"
)

// maxBasis bounds what a Basis keeps, in bytes.
const maxBasis = 64 << 10

// Basis is what an answer was made from. As long as it holds, the same answer
// would be made again.
type Basis struct {
	store   store.Store
	reads   []read
	buckets []string // that were read
	size    int
	unsound bool // something was read that is not kept
	stamps  atomic.Pointer[[]uint64]
}

// read is one thing that was read; same reads it again.
type read struct {
	bucket string
	same   func(store.Tx) (bool, error)
}

// Watch makes an answer from a store that notes what is read through it, one
// read after the other. It is for answers that rest on few records.
func Watch(s store.Store, answer func(store.Store) error) (*Basis, error) {
	b := &Basis{store: s}
	if err := answer(watchedStore{s, b}); err != nil {
		return nil, err
	}
	for _, r := range b.reads {
		if !slices.Contains(b.buckets, r.bucket) {
			b.buckets = append(b.buckets, r.bucket)
		}
	}
	return b, nil
}

// Holds reports whether everything that was read is still the same. Where no
// bucket was written to since it last was, it takes no transaction.
func (b *Basis) Holds(ctx context.Context) bool {
	if b.untouched() {
		return true
	}
	if b.unsound {
		return false
	}
	now := b.stampsNow()
	same := true
	err := b.store.View(ctx, func(t store.Tx) (err error) {
		same = true
		for _, r := range b.reads {
			if same, err = r.same(t); err != nil || !same {
				return err
			}
		}
		return nil
	})
	if err == nil && same && now != nil {
		b.stamps.Store(&now)
	}
	return err == nil && same
}

// untouched reports whether no bucket was written to since everything was
// found to be the same.
func (b *Basis) untouched() bool {
	before := b.stamps.Load()
	s, ok := b.store.(store.Stamps)
	if before == nil || !ok {
		return false
	}
	for i, bucket := range b.buckets {
		if n, ok := s.Stamp(bucket); !ok || n != (*before)[i] {
			return false
		}
	}
	return true
}

// stampsNow returns the stamps of the buckets; nil where the store has none.
func (b *Basis) stampsNow() []uint64 {
	s, ok := b.store.(store.Stamps)
	if !ok {
		return nil
	}
	out := make([]uint64, len(b.buckets))
	for i, bucket := range b.buckets {
		if out[i], ok = s.Stamp(bucket); !ok {
			return nil
		}
	}
	return out
}

// add keeps one read, unless that is too much by now.
func (b *Basis) add(r read, size int) {
	if b.size += size; b.size > maxBasis || b.unsound {
		b.unsound, b.reads = true, nil
		return
	}
	b.reads = append(b.reads, r)
}

// watchedStore notes what its views read.
type watchedStore struct {
	store.Store
	basis *Basis
}

func (s watchedStore) View(ctx context.Context, fn func(store.Tx) error) error {
	return s.Store.View(ctx, func(t store.Tx) error { return fn(watchedTx{t, s.basis}) })
}

// Update has no place in what only reads.
func (s watchedStore) Update(context.Context, func(store.Txn) error) error {
	return errors.New("an answer that is kept cannot be one that writes")
}

type watchedTx struct {
	store.Tx
	basis *Basis
}

func (t watchedTx) Revision() uint64 {
	t.basis.add(read{}, maxBasis+1)
	return t.Tx.Revision()
}

func (t watchedTx) Count(bucket string) (uint64, error) {
	n, err := t.Tx.Count(bucket)
	t.basis.add(read{bucket, func(t store.Tx) (bool, error) {
		m, err := t.Count(bucket)
		return m == n, err
	}}, 8)
	return n, err
}

func (t watchedTx) Get(bucket, key string) ([]byte, error) {
	raw, err := t.Tx.Get(bucket, key)
	missing := errors.Is(err, store.ErrNoKey)
	if err != nil && !missing {
		return raw, err
	}
	kept := slices.Clone(raw)
	t.basis.add(read{bucket, func(t store.Tx) (bool, error) {
		now, err := t.Get(bucket, key)
		if errors.Is(err, store.ErrNoKey) {
			return missing, nil
		}
		return !missing && bytes.Equal(now, kept), err
	}}, len(kept))
	return raw, err
}

// pair is a key and its value as a scan gave them.
type pair struct {
	key   string
	value []byte
}

func (t watchedTx) Scan(bucket string, o store.ScanOptions, fn func(key string, value []byte) error) error {
	var pairs []pair
	cut, size := false, 0
	err := t.Tx.Scan(bucket, o, func(k string, v []byte) error {
		if size += len(k) + len(v); size <= maxBasis {
			pairs = append(pairs, pair{k, slices.Clone(v)})
		}
		err := fn(k, v)
		cut = err != nil
		return err
	})
	t.basis.add(read{bucket, func(t store.Tx) (bool, error) { return sameScan(t, bucket, o, pairs, cut) }}, size)
	return err
}

// sameScan reports whether a scan gives the pairs again; one that was cut
// short was so by its last pair.
func sameScan(t store.Tx, bucket string, o store.ScanOptions, pairs []pair, cut bool) (bool, error) {
	n, same := 0, true
	err := t.Scan(bucket, o, func(k string, v []byte) error {
		same = n < len(pairs) && pairs[n].key == k && bytes.Equal(pairs[n].value, v)
		n++
		if !same || cut && n == len(pairs) {
			return store.ErrStop
		}
		return nil
	})
	return same && n == len(pairs), err
}
