package boltstore

import (
	"fmt"
	"time"

	"chartd.dev/chartd/lock/store"
)

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

// run serves until the queue is closed. Where a closure ends its goroutine,
// which is this one, another one goes on.
func (w *writer) run() {
	defer func() {
		if !w.over {
			w.drop(fmt.Errorf("%w: a closure ended its goroutine", store.ErrPanic))
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
