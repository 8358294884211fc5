package boltstore

import (
	"cmp"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	// window is what is read at once: little enough to lie in a core's cache
	// while it is checked.
	window = 256 << 10
	// gap is how many pages of something else are read along between leaves.
	gap = 8
)

// below checks the leaves found above, on as many cores as there are. Of
// several errors the one of the first page is returned, whoever was faster.
func (w *walker) below() error {
	slices.SortFunc(w.leaves, func(a, b leaf) int { return cmp.Compare(a.id, b.id) })
	runs := w.runs()
	errs := make([]error, len(runs))
	late := make([][]subtree, len(runs))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(runs)) {
		workers.Go(func() {
			buf := make([]byte, max(window, w.meta.pageSize))
			for i := next.Add(1) - 1; i < int64(len(runs)); i = next.Add(1) - 1 {
				late[i], errs[i] = w.run(runs[i], buf)
			}
		})
	}
	workers.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	w.todo = slices.Concat(late...)
	return nil
}

// runs cuts the leaves, in the order of the file, into what one read gets.
func (w *walker) runs() [][]leaf {
	size := max(1, window/w.meta.pageSize)
	var out [][]leaf
	start := 0
	for i := range w.leaves {
		if id := w.leaves[i].id; i > start && (id-w.leaves[start].id >= size || id-w.leaves[i-1].id > gap) {
			out, start = append(out, w.leaves[start:i]), i
		}
	}
	if start < len(w.leaves) {
		out = append(out, w.leaves[start:])
	}
	return out
}

// run checks leaves that lie close together. Those that turn out to be
// branches are left to do.
func (w *walker) run(leaves []leaf, buf []byte) (late []subtree, err error) {
	first := leaves[0].id
	buf = buf[:(leaves[len(leaves)-1].id-first+1)*w.meta.pageSize]
	if err := w.readInto(buf, first); err != nil {
		return nil, err
	}
	for _, l := range leaves {
		above := &w.branches[l.branch]
		in := above.below(int(l.at))
		p := page{buf[(l.id-first)*w.meta.pageSize:]}
		if p.flags() == flagBranch {
			late = append(late, subtree{l.id, above.bucket, above.depth + 1, in})
			continue
		}
		if err := w.in(above.bucket, l.id, w.one(l.id, above.bucket, p, in)); err != nil {
			return nil, err
		}
	}
	return late, nil
}

// one checks a leaf whose first page, at least, is at hand.
func (w *walker) one(id uint64, bucket int, p page, in bounds) error {
	n, err := w.header(id, p.b)
	if err != nil {
		return err
	}
	if err := w.take(id, n); err != nil {
		return err
	}
	if size := n * w.meta.pageSize; size <= uint64(len(p.b)) {
		p.b = p.b[:size:size]
	} else if p.b, err = w.read(id, n); err != nil {
		return err
	}
	if p.flags() != flagLeaf {
		return p.unknown()
	}
	if err := p.fits(); err != nil {
		return err
	}
	return w.leaf(bucket, p, in)
}
