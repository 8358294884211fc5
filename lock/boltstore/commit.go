package boltstore

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"chartd.dev/chartd/lock/overlay"
	"chartd.dev/chartd/lock/store"
)

// request is an Update that waits for its turn, and then for its group.
type request struct {
	ctx   context.Context
	fn    func(store.Txn) error
	taken atomic.Bool // its turn came, or its caller left
	err   error
	done  chan struct{}
}

// Update implements store.Store. The context ends the wait for a turn; once the
// closure has run, Update waits for the commit, because its outcome would be
// unknown otherwise.
func (s *Store) Update(ctx context.Context, fn func(store.Txn) error) error {
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

func (r *request) answer(err error) {
	r.err = err
	close(r.done)
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

// measure says where the log ends after the group, as it is now.
func (g *group) measure() {
	g.next.end = g.parent.end + pages(int64(len(g.frame.b)))
}

// update runs one closure on an overlay of its own and applies what it wrote.
// The first error is the closure's, the second one the group's.
func (g *group) update(fn func(store.Txn) error) (own, all error) {
	defer g.s.guardFaults(&all)()
	g.view.looked = g.view.looked[:0]
	o := overlay.New(g.view)
	if err := o.Run(fn); err != nil {
		var p *store.PanicError
		if errors.As(err, &p) && isFault(p.Value) {
			return nil, g.s.broke(g.s.damaged(p.Value))
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
	if err == nil && g.frame.count > 0 {
		g.s.confirm(g.parent.file, g.next.revision)
	}
	if cap(g.frame.b) <= maxBuffer {
		select {
		case g.s.buffers <- g.frame.b[:0]:
		default:
		}
	}
}

// confirm marks what was just answered, unless the next group waits for it.
func (s *Store) confirm(file int, revision uint64) {
	if s.unmarked++; len(s.groups) > 0 && s.unmarked < markEvery {
		return
	}
	s.unmarked = 0
	if err := s.log.mark(file, revision); err != nil {
		_ = s.broke(err) // the next one is told
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
		if err := s.inPlace(0, 1); err != nil {
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
	if errors.Is(err, store.ErrBroken) {
		return g.s.broke(err)
	}
	g.s.unwritten = err
	g.s.failures.Add(1)
	return err
}
