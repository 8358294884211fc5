package boltstore

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"runtime"
	"sync"
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

// walker reads every page of one transaction, buckets beside each other.
type walker struct {
	r    io.ReaderAt
	meta meta
	seen []atomic.Bool // by page
	todo []subtree     // buckets that the root names
	// visit is called for each key of each bucket, in order within a bucket;
	// for different ones at the same time. The bucket is "" for the root, whose
	// values are buckets and not visited.
	visit func(bucket string, key, value []byte) error
}

// subtree is a bucket with pages of its own.
type subtree struct {
	bucket string
	root   uint64
}

// walk checks the tree and the free list of a transaction.
func walk(r io.ReaderAt, m meta, visit func(bucket string, key, value []byte) error) error {
	w := &walker{r: r, meta: m, seen: make([]atomic.Bool, m.high), visit: visit}
	if m.high < 4 {
		return fmt.Errorf("it has %d pages, at least 4 are needed", m.high)
	}
	w.seen[0].Store(true)
	w.seen[1].Store(true)
	if err := w.tree("", m.root); err != nil {
		return err
	}
	if err := w.buckets(); err != nil {
		return err
	}
	return w.free()
}

// buckets walks what the root names, on as many cores as there are. Of several
// errors the one of the first bucket is returned, whoever was faster.
func (w *walker) buckets() error {
	errs := make([]error, len(w.todo))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(w.todo)) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(w.todo)); i = next.Add(1) - 1 {
				errs[i] = faultless(func() error { return w.tree(w.todo[i].bucket, w.todo[i].root) })
			}
		})
	}
	workers.Wait()
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("bucket %q: %w", w.todo[i].bucket, err)
		}
	}
	return nil
}

// page reads a page that nothing else may refer to.
func (w *walker) page(id uint64) ([]byte, error) {
	if id < 2 || id >= w.meta.high {
		return nil, fmt.Errorf("page %d is outside of the file", id)
	}
	b, err := w.read(id, 1)
	if err != nil {
		return nil, err
	}
	if got := binary.NativeEndian.Uint64(b); got != id {
		return nil, fmt.Errorf("page %d says that it is page %d", id, got)
	}
	more := uint64(binary.NativeEndian.Uint32(b[12:]))
	if more >= w.meta.high-id {
		return nil, fmt.Errorf("page %d has %d further pages, which is past the end", id, more)
	}
	for i := id; i <= id+more; i++ {
		if w.seen[i].Swap(true) {
			return nil, fmt.Errorf("page %d is used twice", i)
		}
	}
	if more > 0 {
		return w.read(id, more+1)
	}
	return b, nil
}

// read returns n pages: of a mapped file as they lie there.
func (w *walker) read(id, n uint64) ([]byte, error) {
	from, size := id*w.meta.pageSize, n*w.meta.pageSize
	if m, ok := w.r.(mapping); ok {
		return m[from : from+size : from+size], nil // high was compared with the file's size
	}
	b := make([]byte, size)
	if _, err := w.r.ReadAt(b, int64(from)); err != nil {
		return nil, fmt.Errorf("read page %d: %w", id, err)
	}
	return b, nil
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
