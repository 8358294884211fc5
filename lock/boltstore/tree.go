package boltstore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
)

// page is the bytes of a page, or of a bucket kept inside its parent.
type page struct{ b []byte }

func (p page) flags() uint16 { return binary.NativeEndian.Uint16(p.b[8:]) }
func (p page) count() int    { return int(binary.NativeEndian.Uint16(p.b[10:])) }

// part returns n bytes from off of the element at, or false past the end.
func (p page) part(at int, off, n uint64) ([]byte, bool) {
	start := uint64(at) + off
	if start > uint64(len(p.b)) || n > uint64(len(p.b))-start {
		return nil, false
	}
	return p.b[start : start+n : start+n], true
}

// bounds are the keys that a subtree may hold: low <= key < high; nil is none.
type bounds struct{ low, high []byte }

func (b bounds) hold(key []byte) bool {
	return (b.low == nil || bytes.Compare(key, b.low) >= 0) && (b.high == nil || bytes.Compare(key, b.high) < 0)
}

// tree checks the bucket whose tree begins at page id.
func (w *walker) tree(bucket string, id uint64) error {
	return w.subtree(bucket, id, bounds{}, 0)
}

func (w *walker) subtree(bucket string, id uint64, in bounds, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("page %d lies too deep", id)
	}
	b, err := w.page(id)
	if err != nil {
		return err
	}
	p := page{b}
	if end := pageHeader + p.count()*elementSize; end > len(b) {
		return fmt.Errorf("page %d has %d elements, more than fit", id, p.count())
	}
	switch p.flags() {
	case flagBranch:
		err = w.branch(bucket, p, in, depth)
	case flagLeaf:
		err = w.leaf(bucket, p, in)
	default:
		return fmt.Errorf("page %d has flags %#x", id, p.flags())
	}
	if err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

func (w *walker) branch(bucket string, p page, in bounds, depth int) error {
	if p.count() == 0 {
		return fmt.Errorf("a branch without children")
	}
	keys, ids := make([][]byte, p.count()), make([]uint64, p.count())
	for i := range keys {
		at := pageHeader + i*elementSize
		e := p.b[at:]
		key, ok := p.part(at, uint64(binary.NativeEndian.Uint32(e)), uint64(binary.NativeEndian.Uint32(e[4:])))
		if !ok {
			return fmt.Errorf("key %d is outside of the page", i)
		}
		if !in.hold(key) || i > 0 && bytes.Compare(key, keys[i-1]) <= 0 {
			return fmt.Errorf("key %d, %q, is out of order", i, key)
		}
		keys[i], ids[i] = key, binary.NativeEndian.Uint64(e[8:])
	}
	for i, id := range ids {
		child := bounds{low: keys[i], high: in.high}
		if i+1 < len(keys) {
			child.high = keys[i+1]
		}
		if err := w.subtree(bucket, id, child, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) leaf(bucket string, p page, in bounds) error {
	var last []byte
	for i := range p.count() {
		at := pageHeader + i*elementSize
		e := p.b[at:]
		flags, off := binary.NativeEndian.Uint32(e), uint64(binary.NativeEndian.Uint32(e[4:]))
		keySize, size := uint64(binary.NativeEndian.Uint32(e[8:])), uint64(binary.NativeEndian.Uint32(e[12:]))
		key, ok := p.part(at, off, keySize)
		value, ok2 := p.part(at, off+keySize, size)
		if !ok || !ok2 {
			return fmt.Errorf("key %d is outside of the page", i)
		}
		if !in.hold(key) || i > 0 && bytes.Compare(key, last) <= 0 {
			return fmt.Errorf("key %d, %q, is out of order", i, key)
		}
		last = key
		if (flags == 1) != (bucket == "") || flags > 1 {
			return fmt.Errorf("key %q has flags %#x", key, flags)
		}
		if err := w.element(bucket, key, value); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) element(bucket string, key, value []byte) error {
	if bucket != "" {
		return w.visit(bucket, key, value)
	}
	name := string(key)
	if name != ownBucket && (!strings.HasPrefix(name, userPrefix) || len(name) == len(userPrefix)) {
		return fmt.Errorf("bucket %q is not one of a %s", name, application)
	}
	if len(value) < bucketSize {
		return fmt.Errorf("bucket %q has no root", name)
	}
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		w.todo = append(w.todo, subtree{name, root})
		return nil
	}
	p := page{value[bucketSize:]}
	if len(p.b) < pageHeader || p.flags() != flagLeaf || pageHeader+p.count()*elementSize > len(p.b) {
		return fmt.Errorf("bucket %q: its page within the parent is damaged", name)
	}
	if err := w.leaf(name, p, bounds{}); err != nil {
		return fmt.Errorf("bucket %q: %w", name, err)
	}
	return nil
}
