// Package boltstore keeps the lock database in one bbolt file.
//
// bbolt has no checksum on its data pages, so each value carries one over its
// bucket, key and bytes, counts are kept for each bucket, and Open reads the
// whole file before bbolt maps it: pages, order of keys, free list, values.
// Updates that wait at the same time share one commit and its fsync.
package boltstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"

	"chartd.dev/chartd/lock"
)

// Options of a store. The zero value is fine.
type Options struct {
	// Timeout is how long Open waits for another process to let the file go;
	// 0 means 3 seconds.
	Timeout time.Duration
	// ReadOnly opens the file for reading, beside other readers.
	ReadOnly bool
	// OnBroken is called once, on a goroutine of its own, when the store can
	// no longer promise anything: the process must stop. Reads and writes
	// fail with lock.ErrBroken from then on.
	OnBroken func(error)
	// OnWarning is called by Open with what the operator should know of the
	// file although it opens.
	OnWarning func(string)
}

// Store is a lock.Store in a bbolt file.
type Store struct {
	path     string
	readOnly bool
	onBroken func(error)
	file     *os.File
	db       *bbolt.DB

	broken      atomic.Pointer[error]
	abandoned   chan struct{} // closed by abandon
	abandonOnce sync.Once

	mu     sync.RWMutex
	closed bool
	active sync.WaitGroup // running operations

	queue chan *request
	ended chan struct{}

	commits commits
	stamps  sync.Map // bucket to *atomic.Uint64: commits that wrote to it
}

var (
	_ lock.Store  = (*Store)(nil)
	_ lock.Stamps = (*Store)(nil)
)

var errClosed = errors.New("lock database is closed")

// View implements lock.Store. What a closure saw may have been written but
// not synced yet; then View returns when it is.
func (s *Store) View(ctx context.Context, fn func(lock.Tx) error) error {
	return s.read(ctx, "view", func(t *tx) error { return fn(t) })
}

// Snapshot writes a consistent copy of the database file to w. Writes go on,
// but the file grows by what they replace while the copy is made.
func (s *Store) Snapshot(ctx context.Context, w io.Writer) error {
	return s.read(ctx, "snapshot", func(t *tx) error {
		to := &writer{ctx: ctx, w: w}
		if _, err := t.bolt.WriteTo(to); err != nil {
			if to.err != nil {
				err = to.err
			}
			return fmt.Errorf("copy lock database: %w", err)
		}
		return nil
	})
}

// writer ends a long copy when its context ends, and keeps the error that
// bbolt gives on as mere text.
type writer struct {
	ctx context.Context
	w   io.Writer
	err error
}

func (w *writer) Write(p []byte) (n int, err error) {
	if err = w.ctx.Err(); err == nil {
		n, err = w.w.Write(p)
	}
	w.err = err
	return n, err
}

// Stamp implements lock.Stamps.
func (s *Store) Stamp(bucket string) (uint64, bool) {
	return s.stamp(bucket).Load(), s.broken.Load() == nil
}

func (s *Store) stamp(bucket string) *atomic.Uint64 {
	if n, ok := s.stamps.Load(bucket); ok {
		return n.(*atomic.Uint64)
	}
	n, _ := s.stamps.LoadOrStore(bucket, new(atomic.Uint64))
	return n.(*atomic.Uint64)
}

// enter keeps Close waiting until leave, which the caller calls if there was
// no error.
func (s *Store) enter(ctx context.Context, verb string) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", verb, err)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, fmt.Errorf("%s: %w", verb, errClosed)
	}
	if p := s.broken.Load(); p != nil {
		return nil, *p
	}
	s.active.Add(1)
	return s.active.Done, nil
}

// read runs fn on a read transaction.
func (s *Store) read(ctx context.Context, verb string, fn func(*tx) error) error {
	leave, err := s.enter(ctx, verb)
	if err != nil {
		return err
	}
	defer leave()
	id, err := s.readOnce(fn)
	if err != nil && seededWait() {
		id, err = s.readOnce(fn)
	}
	if waitErr := s.commits.wait(ctx, id); waitErr != nil {
		return fmt.Errorf("%s: %w", verb, waitErr)
	}
	if p := s.broken.Load(); p != nil {
		return *p
	}
	return err
}

// readOnce also returns the number of the bbolt transaction that fn saw.
func (s *Store) readOnce(fn func(*tx) error) (id int, err error) {
	defer s.guardFaults(&err)()
	b, err := s.db.Begin(false)
	if err != nil {
		return 0, s.fail(fmt.Errorf("%w: read %s: %w", lock.ErrBroken, s.path, err))
	}
	defer func() { _ = b.Rollback() }()
	t, err := s.newTx(b)
	if err != nil {
		return b.ID(), err
	}
	defer func() { t.ended = true }()
	return b.ID(), fn(t)
}

// fail breaks the store for good and returns the first error that did.
func (s *Store) fail(err error) error {
	if s.broken.CompareAndSwap(nil, &err) && s.onBroken != nil {
		go s.onBroken(err)
	}
	return *s.broken.Load()
}

// Close implements lock.Store.
func (s *Store) Close() error {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	idle := make(chan struct{})
	go func() {
		s.active.Wait()
		close(idle)
	}()
	var err error
	select {
	case <-s.abandoned:
		err = s.letGo()
	case <-idle:
		err = s.stop()
	}
	if err != nil {
		return fmt.Errorf("close lock database: %w", err)
	}
	return nil
}

// stop ends an idle store.
func (s *Store) stop() error {
	close(s.queue)
	<-s.ended
	select {
	case <-s.abandoned:
		return s.letGo()
	default:
		return s.db.Close()
	}
}

// letGo closes the file of an abandoned store. Its map stays, and would keep
// the lock of the file with it.
func (s *Store) letGo() error {
	return errors.Join(syscall.Flock(int(s.file.Fd()), syscall.LOCK_UN), s.file.Close())
}
