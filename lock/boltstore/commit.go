package boltstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"chartd.dev/chartd/internal/durable"
	"chartd.dev/chartd/lock"
)

// A group is cut off at these, so that no commit holds up the next for long.
const (
	groupUpdates = 256
	groupBytes   = 8 << 20
)

// request is an Update that waits for its group.
type request struct {
	ctx  context.Context
	fn   func(lock.Txn) error
	at   time.Time
	err  error
	done chan struct{}
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
	r := &request{ctx: ctx, fn: fn, at: time.Now(), done: make(chan struct{})}
	select {
	case s.queue <- r:
	case <-ctx.Done():
		return fmt.Errorf("update: %w", ctx.Err())
	}
	<-r.done
	return r.err
}

// commitLoop serves groups until the queue is closed. Where a closure ends its
// goroutine, which is this one, another one goes on.
func (s *Store) commitLoop() {
	over := false
	defer func() {
		if over {
			close(s.ended)
		} else {
			go s.commitLoop()
		}
	}()
	last := &group{}
	for first := range s.queue {
		g := &group{s: s, after: last.ended, expected: len(last.requests), patience: last.took / 2}
		g.add(first)
		g.run()
		last = g
	}
	over = true
}

// group is a set of updates with one commit.
type group struct {
	s        *Store
	requests []*request
	tx       *tx
	wrote    bool
	bytes    int

	// Who was answered by the group before comes again, but not all at once:
	// this one waits a while for as many, and for those who waited meanwhile.
	after    time.Time // end of the group before
	expected int
	patience time.Duration
	began    time.Time
	took     time.Duration // by the commit
	ended    time.Time
}

func (g *group) add(r *request) {
	g.requests = append(g.requests, r)
	if r.at.Before(g.after) {
		g.expected++
	}
}

// run answers every request of the group, whatever happens.
func (g *group) run() {
	err := fmt.Errorf("%w: a closure ended its goroutine", lock.ErrPanic)
	defer func() {
		if g.tx != nil {
			g.tx.ended = true
			g.s.rollback(g.tx.bolt)
		}
		for _, r := range g.requests {
			if err != nil {
				r.err = err
			}
			close(r.done)
		}
	}()
	err = g.execute()
}

// execute runs the closures and commits; its error is that of all of them.
func (g *group) execute() (err error) {
	if p := g.s.broken.Load(); p != nil {
		return *p
	}
	defer g.s.guardFaults(&err)()
	b, err := g.s.db.Begin(true)
	if err != nil {
		return g.s.fail(fmt.Errorf("%w: write %s: %w", lock.ErrBroken, g.s.path, err))
	}
	if g.tx, err = g.s.newTx(b); err != nil {
		g.s.rollback(b)
		return err
	}
	g.tx.counts = make(map[string]uint64)
	g.began = time.Now()
	for i := 0; i < len(g.requests); i++ {
		r := g.requests[i]
		if r.err = r.ctx.Err(); r.err == nil {
			if r.err, err = g.update(r.fn); err != nil {
				return err
			}
		}
		// Ask for more only now: those who came while this one ran join it.
		if i == len(g.requests)-1 && i+1 < groupUpdates && g.bytes < groupBytes {
			if next := g.next(); next != nil {
				g.add(next)
			}
		}
	}
	if !g.wrote {
		return nil
	}
	defer g.seededFault()()
	return g.commit()
}

// next takes another request, if there is one or one can be expected: a group
// that is closed too early costs all who come a moment later a whole commit.
func (g *group) next() *request {
	select {
	case next := <-g.s.queue:
		return next // nil if the queue is closed
	default:
	}
	rest := g.patience - time.Since(g.began)
	if len(g.requests) >= g.expected || rest <= 0 {
		return nil
	}
	over := time.NewTimer(rest)
	defer over.Stop()
	select {
	case next := <-g.s.queue:
		return next
	case <-over.C:
		return nil
	}
}

// update runs one closure on an overlay of its own and applies what it wrote.
// The first error is the closure's, the second one the group's.
func (g *group) update(fn func(lock.Txn) error) (own, all error) {
	o := lock.NewOverlay(g.tx)
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
	if err := g.apply(writes); err != nil {
		return nil, err
	}
	g.wrote = true
	g.tx.revision++
	return nil, nil
}

func (g *group) apply(writes []lock.Write) (err error) {
	defer g.s.guard(&err)
	for _, w := range writes {
		n, err := g.tx.Count(w.Bucket)
		if err != nil {
			return err
		}
		b := g.tx.bucket(w.Bucket)
		if b == nil {
			if b, err = g.tx.bolt.CreateBucketIfNotExists([]byte(userPrefix + w.Bucket)); err != nil {
				return fmt.Errorf("write %s: %w", g.s.path, err)
			}
			g.tx.buckets[w.Bucket] = b
		}
		key := []byte(w.Key)
		exists := b.Get(key) != nil
		switch {
		case w.Delete && exists:
			n--
			err = b.Delete(key)
		case w.Delete:
		default:
			if !exists {
				n++
			}
			stored := seal(w.Bucket, key, w.Value)
			g.bytes += len(key) + len(stored)
			err = b.Put(key, stored)
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", g.s.path, err)
		}
		g.tx.counts[w.Bucket] = n
	}
	return nil
}

// commit is the commit point of everything in the lock database.
func (g *group) commit() error {
	durableID, id := g.s.commits.begin(), g.tx.bolt.ID()
	began := time.Now()
	err := g.write()
	g.ended = time.Now()
	g.took = g.ended.Sub(began)
	if err == nil {
		durableID = id
		// After the commit can be seen: who takes a new stamp reads what it
		// stands for.
		for bucket := range g.tx.counts {
			g.s.stamp(bucket).Add(1)
		}
	} else if !errors.Is(err, lock.ErrBroken) {
		err = g.s.commitFailed(err, durableID)
	}
	// Last, so that readers who wait for this find the store broken if it is.
	g.s.commits.end(durableID)
	return err
}

func (g *group) write() (err error) {
	defer g.s.guard(&err)
	own := g.tx.bolt.Bucket([]byte(ownBucket))
	if err := own.Put([]byte(revisionKey), sealNumber(revisionKey, g.tx.revision)); err != nil {
		return err
	}
	for name, n := range g.tx.counts {
		key := countPrefix + name
		if err := own.Put([]byte(key), sealNumber(key, n)); err != nil {
			return err
		}
	}
	return g.tx.bolt.Commit()
}

// commitFailed tells a full disk from a broken one. bbolt has rolled back.
func (s *Store) commitFailed(err error, durableID int) error {
	if !isNoSpace(err) {
		return s.fail(fmt.Errorf("%w: commit to %s: %w; it is checked at the next start", lock.ErrBroken, s.path, err))
	}
	// The page that makes a transaction valid may have been written before
	// the error came; then the transaction is neither there nor not there.
	if b, beginErr := s.db.Begin(false); beginErr != nil {
		return s.fail(fmt.Errorf("%w: commit to %s: %w", lock.ErrBroken, s.path, errors.Join(err, beginErr)))
	} else {
		seen := b.ID()
		_ = b.Rollback()
		if seen != durableID {
			return s.fail(fmt.Errorf("%w: commit to %s: half written: %w", lock.ErrBroken, s.path, err))
		}
	}
	return fmt.Errorf("%w: commit to %s: %w", lock.ErrNoSpace, s.path, err)
}

// isNoSpace knows the errors of a bbolt commit that mean a lack of space. A
// write comes as a path error and a failed fdatasync as a bare number, which
// is never taken for a mere lack of space; of a failed growth there is only
// the text.
func isNoSpace(err error) bool {
	if errors.Is(err, berrors.ErrMaxSizeReached) {
		return true
	}
	var path *fs.PathError
	if errors.As(err, &path) && path.Op == "write" {
		return durable.IsNoSpace(path.Err)
	}
	if !strings.HasPrefix(err.Error(), "file resize error:") {
		return false
	}
	for _, e := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if strings.HasSuffix(err.Error(), e.Error()) {
			return true
		}
	}
	return false
}

// rollback ends a transaction that may have ended already.
func (s *Store) rollback(b *bbolt.Tx) {
	var err error
	defer s.guard(&err)
	_ = b.Rollback()
}

// commits says which bbolt transaction is on disk. bbolt shows a commit to
// readers before its last sync; they wait here for the outcome.
type commits struct {
	mu      sync.Mutex
	durable int
	running chan struct{} // nil between commits
}

// begin returns the transaction that is on disk.
func (c *commits) begin() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running = make(chan struct{})
	return c.durable
}

func (c *commits) end(durableID int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.durable = durableID
	close(c.running)
	c.running = nil
}

func (c *commits) wait(ctx context.Context, id int) error {
	c.mu.Lock()
	durable, running := c.durable, c.running
	c.mu.Unlock()
	if id <= durable || running == nil {
		return nil
	}
	select {
	case <-running:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
