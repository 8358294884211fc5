// Package boltstore keeps the lock database in one bbolt file and a log.
//
// An update is durable once the log has it: updates that come at the same time
// share one frame of it and one sync. What the log has is kept in memory too,
// as a layer over bbolt, until a transaction of bbolt takes all of a log file.
//
// bbolt has no checksum on its data pages, so each value carries one over its
// bucket, key and bytes, counts are kept for each bucket, and Open reads the
// whole file before bbolt maps it: pages, order of keys, free list, values.
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

	"chartd.dev/chartd/lock/store"
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
	// fail with store.ErrBroken from then on.
	OnBroken func(error)
	// OnWarning is called by Open with what the operator should know of the
	// file although it opens.
	OnWarning func(string)
	// OnNotice is called with what is worth a line in a log, with pairs of a key
	// and a value as in log/slog, also while the store is used.
	OnNotice func(msg string, args ...any)
	// DiscardLog opens a database whose log is damaged or lost with the updates
	// up to the damage, and moves the log out of the way. A log that is whole is
	// the error ErrLogWhole.
	DiscardLog bool

	tuning tuning // the zero value is replaced
}

// tuning is what tests make small.
type tuning struct {
	flushBytes   int64         // a layer so large is flushed
	flushAfter   time.Duration // so is one so old
	logFull      int64         // updates wait for the flush of a log file so large
	logGrowth    int64         // by which a log file grows
	groupUpdates int           // a group is cut off at these, so that no
	groupBytes   int           // frame holds up the next for long
}

var defaultTuning = tuning{
	flushBytes: 8 << 20, flushAfter: time.Second, logFull: 16 << 20, logGrowth: 1 << 20,
	groupUpdates: 256, groupBytes: 2 << 20,
}

// Store is a store.Store in a bbolt file.
type Store struct {
	path     string
	readOnly bool
	onBroken func(error)
	onNotice func(string, ...any)
	file     *os.File
	id       inode // of file
	db       *bbolt.DB

	broken      atomic.Pointer[error]
	abandoned   chan struct{} // closed by abandon
	abandonOnce sync.Once

	mu     sync.RWMutex
	closed bool
	active sync.WaitGroup // running operations

	state  atomic.Pointer[state] // the newest that is durable
	stamps sync.Map              // bucket to *atomic.Uint64: commits that wrote to it
	tuning tuning

	// From the queue on, everything goes through three goroutines: the writer
	// forms groups, the next one writes them to the log, the third flushes.
	queue   chan *request
	control chan chan sealReply // asks the writer to seal all
	groups  chan *group
	flushes chan *sealed
	ended   chan struct{} // closed by the last one

	buffers   chan []byte   // of frames, for the next one
	failures  atomic.Uint64 // groups that found no space
	unwritten error         // of the last one
	unmarked  int           // frames since the last mark; of the sync loop
	log       wal
	clean     bool // the file is whole without the log; the writer's
	upgrading bool // the file is of an older format; the writer's

	recycled                   atomic.Uint64 // the revision up to which the log may be overwritten
	hurry                      chan struct{} // asks for a flush again
	stuck                      chan error    // says why it failed
	closing                    chan struct{}
	givenUp                    chan struct{} // closed where a flush failed while closing
	flushesDone, flushesFailed atomic.Uint64

	copying sync.Mutex // held from a mark to the transaction of a copy
}

type sealReply struct {
	sealed *sealed // to wait for; nil if there is nothing
	logged bool    // the file needs its log
	err    error
}

var (
	_ store.Store  = (*Store)(nil)
	_ store.Stamps = (*Store)(nil)
)

var errClosed = errors.New("lock database is closed")

// View implements store.Store.
func (s *Store) View(ctx context.Context, fn func(store.Tx) error) error {
	return s.read(ctx, "view", func(v *view) error { return fn(v) })
}

// Snapshot writes a consistent copy of the database file to w, which holds all
// that was committed before and needs no log. Writes go on, but the file grows
// by what they replace while the copy is made.
func (s *Store) Snapshot(ctx context.Context, w io.Writer) error {
	leave, err := s.enter(ctx, "snapshot")
	if err != nil {
		return err
	}
	defer leave()
	if err := s.copyTo(&copier{ctx: ctx, w: w}); err != nil {
		return fmt.Errorf("copy lock database: %w", err)
	}
	return nil
}

func (s *Store) copyTo(to *copier) (err error) {
	defer s.guardFaults(&err)()
	b, err := s.whole()
	if err != nil {
		return err
	}
	defer s.rollback(b)
	if _, err = b.WriteTo(to); to.err != nil {
		err = to.err
	}
	return err
}

// whole begins a transaction of the database file, and in it the file is whole
// without the log.
func (s *Store) whole() (*bbolt.Tx, error) {
	reply := make(chan sealReply)
	s.control <- reply
	r := <-reply
	if r.err == nil {
		r.err = s.await(r.sealed)
	}
	if r.err != nil {
		return nil, r.err
	}
	if !r.logged {
		return s.db.Begin(false)
	}
	s.copying.Lock()
	defer s.copying.Unlock()
	if err := s.mark(1); err != nil {
		return nil, err
	}
	b, err := s.db.Begin(false)
	// Where it cannot be marked again, a log that is lost would not be missed;
	// one that is there is read all the same.
	if markErr := s.mark(0); err == nil && markErr != nil && !errors.Is(markErr, store.ErrNoSpace) {
		s.rollback(b)
		return nil, markErr
	}
	return b, err
}

// copier ends a long copy when its context ends, and keeps the error that
// bbolt gives on as mere text.
type copier struct {
	ctx context.Context
	w   io.Writer
	err error
}

func (w *copier) Write(p []byte) (n int, err error) {
	if err = w.ctx.Err(); err == nil {
		n, err = w.w.Write(p)
	}
	w.err = err
	return n, err
}

// Stamp implements store.Stamps.
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

// read runs fn on the newest state.
func (s *Store) read(ctx context.Context, verb string, fn func(*view) error) error {
	leave, err := s.enter(ctx, verb)
	if err != nil {
		return err
	}
	defer leave()
	err = s.readOnce(fn)
	if p := s.broken.Load(); p != nil {
		return *p
	}
	return err
}

func (s *Store) readOnce(fn func(*view) error) (err error) {
	defer s.guardFaults(&err)()
	v, err := s.view(s.state.Load)
	if err != nil {
		return err
	}
	defer v.end()
	return fn(v)
}

func (s *Store) notice(msg string, args ...any) {
	if s.onNotice != nil {
		s.onNotice(msg, args...)
	}
}

// broke breaks the store for good and returns the first error that did.
func (s *Store) broke(err error) error {
	if s.broken.CompareAndSwap(nil, &err) && s.onBroken != nil {
		go s.onBroken(err)
	}
	return *s.broken.Load()
}

// Close implements store.Store.
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
	close(s.closing)
	close(s.queue)
	<-s.ended
	select {
	case <-s.abandoned:
		return errors.Join(s.log.close(), s.letGo())
	default:
	}
	st := s.state.Load()
	if s.log.epoch != 0 && s.broken.Load() == nil && st.active.bytes == 0 && (st.frozen == nil || st.frozen.flushed()) {
		if err := s.mark(1); err != nil && !errors.Is(err, store.ErrNoSpace) {
			return errors.Join(err, s.log.close(), s.db.Close())
		}
	}
	err := errors.Join(s.log.close(), s.db.Close())
	if p := s.broken.Load(); p != nil {
		err = errors.Join(*p, err)
	}
	return err
}

// letGo closes the file of an abandoned store. Its map stays, and would keep
// the lock of the file with it.
func (s *Store) letGo() error {
	return errors.Join(syscall.Flock(int(s.file.Fd()), syscall.LOCK_UN), s.file.Close())
}
