package boltstore

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"chartd.dev/chartd/lock"
)

// request is an Update that waits for its turn, and then for its group.
type request struct {
	ctx   context.Context
	fn    func(lock.Txn) error
	taken atomic.Bool // its turn came, or its caller left
	err   error
	done  chan struct{}
}

// Update implements lock.Store. The context ends the wait for a turn; once the
// closure has run, Update waits for the commit, because its outcome would be
// unknown otherwise.
func (s *Store) Update(ctx context.Context, fn func(lock.Txn) error) error {
	leave, err := s.enter(ctx, "update")
	if err != nil {
		return err
	}
	defer leave()
	if s.readOnly {
		return fmt.Errorf("update: %s is open for reading only", s.path)
	}
	r := &request{ctx: ctx, fn: fn, done: make(chan struct{})}
	select {
	case s.queue <- r:
	case <-ctx.Done():
		return fmt.Errorf("update: %w", ctx.Err())
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		if r.taken.CompareAndSwap(false, true) {
			return fmt.Errorf("update: %w", ctx.Err())
		}
		<-r.done
	}
	return r.err
}

// writer runs the closures, one after the other, each on the state that those
// before it made. While a group is written to the log, the next one forms.
type writer struct {
	s        *Store
	tip      *state // with what is being written
	group    *group // nil if none is forming
	failures uint64 // of the log, when tip was taken
	due      *time.Timer
	over     bool
}

// group is a set of updates with one frame and one sync.
type group struct {
	s        *Store
	requests []*request
	parent   *state // on which next rests
	next     *draft
	view     *view
	frame    frameWriter
	seals    *sealed // instead: what the log file that ends here holds, for the flusher
	sealed   chan struct{}
}

// run serves until the queue is closed. Where a closure ends its goroutine,
// which is this one, another one goes on.
func (w *writer) run() {
	defer func() {
		if !w.over {
			w.drop(fmt.Errorf("%w: a closure ended its goroutine", lock.ErrPanic))
			go w.run()
		}
	}()
	for !w.over {
		w.step()
	}
	w.handOver()
	w.finish()
}

// step takes one thing to do: a request, if there is one, before the group is
// handed over.
func (w *writer) step() {
	var groups chan<- *group
	queue := w.s.queue
	if g := w.group; g != nil {
		if len(g.requests) >= w.s.tuning.groupUpdates || len(g.frame.b) >= w.s.tuning.groupBytes {
			w.handOver()
			return
		}
		groups = w.s.groups
		select {
		case r, ok := <-queue:
			w.take(r, ok)
			return
		default:
		}
		g.measure()
	}
	select {
	case r, ok := <-queue:
		w.take(r, ok)
	case groups <- w.group:
		w.handed()
	case reply := <-w.s.control:
		w.handOver()
		f, err := w.sealAll()
		reply <- sealReply{f, w.s.log.epoch != 0, err}
	case <-w.due.C:
		w.handOver()
		w.rotate()
	}
}

func (w *writer) take(r *request, ok bool) {
	if !ok {
		w.over = true
		return
	}
	if !r.taken.CompareAndSwap(false, true) {
		return // its caller has left
	}
	if w.group == nil {
		if err := w.begin(); err != nil {
			r.answer(err)
			w.refuse(err)
			return
		}
	}
	w.group.requests = append(w.group.requests, r)
	if r.err = r.ctx.Err(); r.err == nil {
		var all error
		if r.err, all = w.group.update(r.fn); all != nil {
			w.drop(all)
		}
	}
}

func (r *request) answer(err error) {
	r.err = err
	close(r.done)
}

// refuse answers all who wait now: what failed would fail for them too.
func (w *writer) refuse(err error) {
	for {
		select {
		case r, ok := <-w.s.queue:
			if !ok {
				w.over = true
				return
			}
			if r.taken.CompareAndSwap(false, true) {
				r.answer(err)
			}
		default:
			return
		}
	}
}

// drop ends the group that is forming.
func (w *writer) drop(err error) {
	g := w.group
	if g == nil {
		return
	}
	w.group = nil
	g.view.end()
	for _, r := range g.requests {
		r.answer(err)
	}
}

// begin begins a group.
func (w *writer) begin() error {
	if p := w.s.broken.Load(); p != nil {
		return *p
	}
	if err := w.s.prepare(); err != nil {
		return err
	}
	if err := w.makeRoom(); err != nil {
		return err
	}
	w.current()
	g := &group{s: w.s, parent: w.tip, next: w.tip.draft()}
	select {
	case g.frame.b = <-w.s.buffers:
	default:
	}
	var err error
	if g.view, err = w.s.view(func() *state { return &g.next.state }); err != nil {
		return err
	}
	g.view.looked = make([]looked, 0, 16)
	w.group = g
	return nil
}

// current forgets what rests on a frame that was not written.
func (w *writer) current() {
	if n := w.s.failures.Load(); n != w.failures || w.tip == nil {
		w.failures, w.tip = n, w.s.state.Load()
	}
}

// measure says where the log ends after the group, as it is now.
func (g *group) measure() {
	g.next.end = g.parent.end + pages(int64(len(g.frame.b)))
}

// handOver waits until the group that is forming can be written.
func (w *writer) handOver() {
	if w.group != nil {
		w.group.measure()
		w.s.groups <- w.group
		w.handed()
	}
}

// handed goes on after a group was handed over; from now on it is only read.
func (w *writer) handed() {
	g := w.group
	w.group = nil
	g.view.end()
	if g.frame.count == 0 {
		return
	}
	w.tip = &g.next.state
	if g.parent.active.bytes == 0 {
		w.due.Reset(w.s.tuning.flushAfter)
	}
	if w.tip.active.bytes >= w.s.tuning.flushBytes {
		w.rotate()
	}
}

// rotate seals the active layer for the flusher and goes on in the other file
// of the log, unless that is still needed.
func (w *writer) rotate() {
	w.current()
	st := w.tip
	if st.active.bytes == 0 {
		return
	}
	if f := st.frozen; f != nil && !f.flushed() {
		w.due.Reset(w.s.tuning.flushAfter)
		return
	}
	next := st.rotated()
	g := &group{s: w.s, parent: st, next: &draft{state: *next}, seals: next.frozen, sealed: make(chan struct{})}
	w.s.groups <- g
	<-g.sealed
	w.current()
	if w.s.state.Load() == &g.next.state {
		w.tip = &g.next.state
	}
}

// makeRoom waits for the flusher where the log is full.
func (w *writer) makeRoom() error {
	if w.current(); w.tip.end < w.s.tuning.logFull {
		return nil
	}
	if err := w.s.await(w.tip.frozen); err != nil {
		return err
	}
	w.rotate()
	return nil
}

// sealAll makes sure that bbolt gets all that was committed so far. It returns
// what to wait for; nil if there is nothing.
func (w *writer) sealAll() (*sealed, error) {
	if w.s.log.epoch == 0 {
		return nil, w.s.settle()
	}
	w.current()
	if err := w.s.await(w.tip.frozen); err != nil {
		return nil, err
	}
	w.rotate()
	return w.tip.frozen, nil
}

// finish ends the writer of a store that is being closed.
func (w *writer) finish() {
	if w.s.log.epoch != 0 && w.s.broken.Load() == nil {
		_, _ = w.sealAll() // what remains in the log is read at the next start
	}
	close(w.s.groups)
}

// update runs one closure on an overlay of its own and applies what it wrote.
// The first error is the closure's, the second one the group's.
func (g *group) update(fn func(lock.Txn) error) (own, all error) {
	defer g.s.guardFaults(&all)()
	g.view.looked = g.view.looked[:0]
	o := lock.NewOverlay(g.view)
	if err := o.Run(fn); err != nil {
		var p *lock.PanicError
		if errors.As(err, &p) && isFault(p.Value) {
			return nil, g.s.fail(g.s.damaged(p.Value))
		}
		return err, nil
	}
	writes := o.Writes()
	if len(writes) == 0 {
		return nil, nil
	}
	if err := g.next.apply(writes, g.view.exists); err != nil {
		return nil, err
	}
	g.frame.add(writes)
	return nil, nil
}

// syncLoop writes groups to the log.
func (s *Store) syncLoop() {
	for g := range s.groups {
		g.commit()
	}
	close(s.flushes)
}

// commit is the commit point of everything in the lock database. Only then its
// requests are answered, those too that wrote nothing: what they saw may have
// been written by their neighbours, or by the group before.
func (g *group) commit() {
	if g.frame.count > 0 {
		defer g.seededFault()()
	}
	err := g.write()
	if g.seals != nil {
		if err == nil {
			g.s.flushes <- g.seals
		}
		close(g.sealed)
	}
	for _, r := range g.requests {
		if err != nil {
			r.err = err
		}
		close(r.done)
	}
	if cap(g.frame.b) <= maxBuffer {
		select {
		case g.s.buffers <- g.frame.b[:0]:
		default:
		}
	}
}

// maxBuffer is the size of the largest buffer that is kept.
const maxBuffer = 1 << 20

func (g *group) write() error {
	s := g.s
	if p := s.broken.Load(); p != nil {
		return *p
	}
	if g.parent != s.state.Load() {
		return s.unwritten // it rests on a group that was not written
	}
	if g.frame.count > 0 {
		b := g.frame.finish(s.log.epoch, g.parent.revision+1)
		if err := s.log.append(g.parent.file, g.parent.end, b); err != nil {
			return g.failed(err)
		}
	} else if g.seals == nil {
		return nil
	}
	s.state.Store(&g.next.state)
	// After the state can be seen: who takes a new stamp reads what it stands
	// for.
	for bucket := range g.next.owned {
		s.stamp(bucket).Add(1)
	}
	return nil
}

func (g *group) failed(err error) error {
	if errors.Is(err, lock.ErrBroken) {
		return g.s.fail(err)
	}
	g.s.unwritten = err
	g.s.failures.Add(1)
	return err
}
