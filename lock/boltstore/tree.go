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

// subtree is a page, what stands below it and where it belongs.
type subtree struct {
	id     uint64
	bucket int
	depth  int
	in     bounds
}

// branch is a page above leaves.
type branch struct {
	page
	bucket, depth int
	in            bounds
}

// leaf is a page that a branch names at a place.
type leaf struct {
	id     uint64
	branch int32
	at     int32
}

// above checks the branches that are to do, and lists the leaves below them.
func (w *walker) above() error {
	w.branches, w.leaves = w.branches[:0], w.leaves[:0]
	for len(w.todo) > 0 {
		t := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		if err := w.in(t.bucket, t.id, w.subtree(t)); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) subtree(t subtree) error {
	if t.depth > maxDepth {
		return fmt.Errorf("it lies too deep")
	}
	b, err := w.page(t.id)
	if err != nil {
		return err
	}
	p := page{b}
	if err := p.fits(); err != nil {
		return err
	}
	switch p.flags() {
	case flagBranch:
		return w.branch(branch{p, t.bucket, t.depth, t.in})
	case flagLeaf:
		return w.leaf(t.bucket, p, t.in)
	}
	return p.unknown()
}

func (p page) unknown() error { return fmt.Errorf("it has flags %#x", p.flags()) }

// fits makes sure that the elements of a page are within it.
func (p page) fits() error {
	if end := pageHeader + p.count()*elementSize; end > len(p.b) {
		return fmt.Errorf("it has %d elements, more than fit", p.count())
	}
	return nil
}

// child returns the key and the page of an element of a branch.
func (p page) child(i int) (key []byte, id uint64, ok bool) {
	at := pageHeader + i*elementSize
	e := p.b[at:]
	key, ok = p.part(at, uint64(binary.NativeEndian.Uint32(e)), uint64(binary.NativeEndian.Uint32(e[4:])))
	return key, binary.NativeEndian.Uint64(e[8:]), ok
}

// below is what the child of a branch may hold; its keys were checked.
func (b branch) below(i int) bounds {
	low, _, _ := b.child(i)
	in := bounds{low: low, high: b.in.high}
	if i+1 < b.count() {
		in.high, _, _ = b.child(i + 1)
	}
	return in
}

func (w *walker) branch(b branch) error {
	if b.count() == 0 {
		return fmt.Errorf("a branch without children")
	}
	var last []byte
	for i := range b.count() {
		key, id, ok := b.child(i)
		if !ok {
			return fmt.Errorf("key %d is outside of the page", i)
		}
		if !b.in.hold(key) || i > 0 && bytes.Compare(key, last) <= 0 {
			return fmt.Errorf("key %d, %q, is out of order", i, key)
		}
		if err := w.inside(id); err != nil {
			return err
		}
		last = key
	}
	_, first, _ := b.child(0)
	// The leaves of the root name buckets, which is more to do: one by one.
	if leaves, err := w.isLeaf(first); err != nil || !leaves || b.bucket == 0 {
		for i := range b.count() {
			_, id, _ := b.child(i)
			w.todo = append(w.todo, subtree{id, b.bucket, b.depth + 1, b.below(i)})
		}
		return err
	}
	w.branches = append(w.branches, b)
	for i := range b.count() {
		_, id, _ := b.child(i)
		w.leaves = append(w.leaves, leaf{id, int32(len(w.branches) - 1), int32(i)})
	}
	return nil
}

// isLeaf looks at the head of a page. All children of a branch are of a kind;
// where one is not, whoever reads it will see.
func (w *walker) isLeaf(id uint64) (bool, error) {
	var b [pageHeader]byte
	err := w.readInto(b[:], id)
	return page{b[:]}.flags() == flagLeaf, err
}

func (w *walker) leaf(bucket int, p page, in bounds) error {
	var last []byte
	n := p.count()
	for i := range n {
		at := pageHeader + i*elementSize
		e := p.b[at : at+elementSize]
		flags, off := binary.NativeEndian.Uint32(e), uint64(binary.NativeEndian.Uint32(e[4:]))
		keySize, size := uint64(binary.NativeEndian.Uint32(e[8:])), uint64(binary.NativeEndian.Uint32(e[12:]))
		key, ok := p.part(at, off, keySize)
		value, ok2 := p.part(at, off+keySize, size)
		if !ok || !ok2 {
			return fmt.Errorf("key %d is outside of the page", i)
		}
		// The bounds hold for those in between too.
		if i > 0 && bytes.Compare(key, last) <= 0 || (i == 0 || i == n-1) && !in.hold(key) {
			return fmt.Errorf("key %d, %q, is out of order", i, key)
		}
		last = key
		if (flags == 1) != (bucket == 0) || flags > 1 {
			return fmt.Errorf("key %q has flags %#x", key, flags)
		}
		if err := w.element(bucket, key, value); err != nil {
			return err
		}
	}
	if bucket > 0 {
		w.visit.leaf(bucket, n)
	}
	return nil
}

func (w *walker) element(bucket int, key, value []byte) error {
	if bucket > 0 {
		return w.visit.key(bucket, key, value)
	}
	name := string(key)
	if name != ownBucket && (!strings.HasPrefix(name, userPrefix) || len(name) == len(userPrefix)) {
		return fmt.Errorf("bucket %q is not one of a %s", name, application)
	}
	if len(value) < bucketSize {
		return fmt.Errorf("bucket %q has no root", name)
	}
	w.buckets = append(w.buckets, name)
	number := len(w.buckets) - 1
	w.visit.bucket(number, name)
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		// The root's own pages are no longer in memory then.
		w.todo = append(w.todo, subtree{id: root, bucket: number})
		return nil
	}
	p := page{value[bucketSize:]}
	if len(p.b) < pageHeader || p.flags() != flagLeaf || p.fits() != nil {
		return fmt.Errorf("bucket %q: its page within the parent is damaged", name)
	}
	if err := w.leaf(number, p, bounds{}); err != nil {
		return fmt.Errorf("bucket %q: %w", name, err)
	}
	return nil
}
