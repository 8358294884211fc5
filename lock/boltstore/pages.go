package boltstore

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"sync/atomic"
)

// The layout of a bbolt file, version 2, as far as its check needs it. bbolt
// trusts its pages: on a damaged one it panics, recurses for ever or reads
// elsewhere. So the file is read through here before bbolt maps it.
const (
	pageHeader  = 16 // id, flags, count, overflow
	elementSize = 16
	bucketSize  = 16 // root page, sequence
	metaSize    = 64

	flagBranch = 0x01
	flagLeaf   = 0x02
	flagFree   = 0x10

	boltMagic   = 0xED0CDAED
	boltVersion = 2
	noFreelist  = ^uint64(0)

	maxDepth = 64
)

// meta is a meta page: the root of one committed transaction.
type meta struct {
	pageSize             uint64
	root, freelist, high uint64 // high is the first page past the last one
	txid                 uint64
}

func parseMeta(b []byte) (meta, bool) {
	order := binary.NativeEndian
	if len(b) < pageHeader+metaSize {
		return meta{}, false
	}
	b = b[pageHeader:]
	h := fnv.New64a()
	_, _ = h.Write(b[:56])
	if order.Uint32(b) != boltMagic || order.Uint32(b[4:]) != boltVersion || order.Uint64(b[56:]) != h.Sum64() {
		return meta{}, false
	}
	return meta{
		pageSize: uint64(order.Uint32(b[8:])),
		root:     order.Uint64(b[16:]), freelist: order.Uint64(b[32:]),
		high: order.Uint64(b[40:]), txid: order.Uint64(b[48:]),
	}, true
}

// readMeta returns the newest valid meta page, and whether the other one is
// valid too.
func readMeta(r io.ReaderAt, size int64) (newest meta, both bool, err error) {
	var found []meta
	read := func(off int64) error {
		b := make([]byte, pageHeader+metaSize)
		if _, err := r.ReadAt(b, off); err != nil {
			return fmt.Errorf("read meta page: %w", err)
		}
		if m, ok := parseMeta(b); ok {
			found = append(found, m)
		}
		return nil
	}
	if size < 2*1024 {
		return meta{}, false, fmt.Errorf("it has %d bytes, less than two pages", size)
	}
	if err := read(0); err != nil {
		return meta{}, false, err
	}
	if len(found) == 1 {
		if second := int64(found[0].pageSize); second <= size-pageHeader-metaSize {
			err = read(second)
		}
	} else {
		// Without the first one the page size is not known.
		for off := int64(1024); err == nil && off <= 16<<20 && off <= size-pageHeader-metaSize && len(found) == 0; off *= 2 {
			err = read(off)
		}
	}
	if err != nil {
		return meta{}, false, err
	}
	if len(found) == 0 {
		return meta{}, false, fmt.Errorf("neither of its two meta pages is valid")
	}
	newest = found[0]
	if len(found) == 2 && found[1].txid > newest.txid {
		newest = found[1]
	}
	if p := newest.pageSize; p < 1024 || p > 16<<20 || p&(p-1) != 0 {
		return meta{}, false, fmt.Errorf("its page size %d is not possible", p)
	}
	if newest.high > uint64(size)/newest.pageSize {
		return meta{}, false, fmt.Errorf("it has %d bytes and should have %d: it was cut off", size, newest.high*newest.pageSize)
	}
	return newest, len(found) == 2, nil
}

// metaOf returns the meta page of one transaction of an open file. bbolt
// commits odd and even transactions to one page each, but a copy that it wrote
// holds its transaction in the first page, whichever it is.
func metaOf(r io.ReaderAt, txid uint64, pageSize int) (meta, error) {
	for _, page := range []uint64{txid % 2, 1 - txid%2} {
		b := make([]byte, pageHeader+metaSize)
		if _, err := r.ReadAt(b, int64(page)*int64(pageSize)); err != nil {
			return meta{}, fmt.Errorf("read meta page: %w", err)
		}
		m, ok := parseMeta(b)
		switch {
		case !ok:
			return meta{}, fmt.Errorf("meta page %d is damaged", page)
		case m.txid == txid:
			return m, nil
		}
	}
	return meta{}, errOvertaken
}

// walker reads every page of one transaction.
type walker struct {
	r       io.ReaderAt
	meta    meta
	seen    []atomic.Bool // by page
	buckets []string      // by number; the first is the root, ""
	visit   visitor

	todo     []subtree // whose pages are read one by one
	branches []branch  // those above the leaves below
	leaves   []leaf    // whose pages are read in the order of the file
}

// visitor is called for the keys of the buckets that the root names, at the
// same time for different ones, by the bucket's number; and once for each leaf.
type visitor interface {
	bucket(number int, name string)
	key(number int, key, value []byte) error
	leaf(number, keys int)
}

// walk checks the tree and the free list of a transaction.
//
// The branches, which are a hundredth of a large file, say where the leaves
// are, to which bucket each belongs and which keys it may hold. The leaves are
// then read as they lie in the file, many at once: a disk gives them as fast as
// it can, all cores check them, and no more than a window each is in memory.
func walk(r io.ReaderAt, m meta, visit visitor) error {
	w := &walker{r: r, meta: m, seen: make([]atomic.Bool, m.high), buckets: []string{""}, visit: visit}
	if m.high < 4 {
		return fmt.Errorf("it has %d pages, at least 4 are needed", m.high)
	}
	w.seen[0].Store(true)
	w.seen[1].Store(true)
	w.todo = append(w.todo, subtree{id: m.root})
	for len(w.todo) > 0 {
		if err := w.above(); err != nil {
			return err
		}
		if err := w.below(); err != nil {
			return err
		}
	}
	return w.free()
}

// in says where in the file an error was found.
func (w *walker) in(bucket int, id uint64, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("page %d: %w", id, err)
	if bucket > 0 {
		err = fmt.Errorf("bucket %q: %w", w.buckets[bucket], err)
	}
	return err
}

// header checks the head of page id, and returns how many pages belong to it.
func (w *walker) header(id uint64, b []byte) (uint64, error) {
	if got := binary.NativeEndian.Uint64(b); got != id {
		return 0, fmt.Errorf("it says that it is page %d", got)
	}
	more := uint64(binary.NativeEndian.Uint32(b[12:]))
	if more >= w.meta.high-id {
		return 0, fmt.Errorf("it has %d further pages, which is past the end", more)
	}
	return more + 1, nil
}

// take notes that n pages from id are in use, and that nothing else may be
// there.
func (w *walker) take(id, n uint64) error {
	for i := id; i < id+n; i++ {
		if w.seen[i].Swap(true) {
			return fmt.Errorf("page %d is used twice", i)
		}
	}
	return nil
}

// inside refuses the number of a page that cannot be one.
func (w *walker) inside(id uint64) error {
	if id < 2 || id >= w.meta.high {
		return fmt.Errorf("page %d is outside of the file", id)
	}
	return nil
}

// page reads a page that nothing else may refer to.
func (w *walker) page(id uint64) ([]byte, error) {
	if err := w.inside(id); err != nil {
		return nil, err
	}
	b, err := w.read(id, 1)
	if err != nil {
		return nil, err
	}
	n, err := w.header(id, b)
	if err == nil {
		err = w.take(id, n)
	}
	if err == nil && n > 1 {
		b, err = w.read(id, n)
	}
	return b, err
}

// read returns n pages.
func (w *walker) read(id, n uint64) ([]byte, error) {
	b := make([]byte, n*w.meta.pageSize)
	return b, w.readInto(b, id)
}

func (w *walker) readInto(b []byte, id uint64) error {
	if _, err := w.r.ReadAt(b, int64(id*w.meta.pageSize)); err != nil {
		return fmt.Errorf("read page %d: %w", id, err)
	}
	return nil
}

// free checks that each page is in the tree or in the free list, once.
func (w *walker) free() error {
	if w.meta.freelist == noFreelist {
		return nil
	}
	b, err := w.page(w.meta.freelist)
	if err != nil {
		return fmt.Errorf("free list: %w", err)
	}
	p := page{b}
	if p.flags() != flagFree {
		return fmt.Errorf("free list: page %d has flags %#x", w.meta.freelist, p.flags())
	}
	ids := b[pageHeader:]
	n := uint64(p.count())
	if n == 0xFFFF {
		n, ids = binary.NativeEndian.Uint64(ids), ids[8:]
	}
	if n > uint64(len(ids)/8) {
		return fmt.Errorf("free list: it holds %d pages and has room for %d", n, len(ids)/8)
	}
	for i := range n {
		id := binary.NativeEndian.Uint64(ids[i*8:])
		if id >= w.meta.high || w.seen[id].Swap(true) {
			return fmt.Errorf("free list: page %d is in use, listed twice or outside of the file", id)
		}
	}
	for id := range w.seen {
		if !w.seen[id].Load() {
			return fmt.Errorf("page %d is neither used nor free", id)
		}
	}
	return nil
}
