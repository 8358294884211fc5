package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"chartd.dev/chartd/internal/durable"
	"chartd.dev/chartd/lock/overlay"
	"chartd.dev/chartd/lock/store"
)

// flushLoop writes sealed layers to bbolt.
func (s *Store) flushLoop() {
	for f := range s.flushes {
		s.flushUntilDone(f)
	}
	close(s.ended)
}

// Between attempts to flush to a full disk.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// flushUntilDone tries again for as long as there is no space: all is safe in
// the log meanwhile.
func (s *Store) flushUntilDone(f *sealed) {
	for pause := firstRetry; ; pause = min(2*pause, lastRetry) {
		err := s.flush(f)
		if err == nil {
			return
		}
		s.flushesFailed.Add(1)
		retry := time.NewTimer(pause)
		select {
		case <-retry.C:
		case <-s.hurry:
		case s.stuck <- err:
		case <-s.closing:
			close(s.givenUp)
			return
		}
		retry.Stop()
	}
}

// await waits until bbolt has a layer, or an attempt to write it has failed.
func (s *Store) await(f *sealed) error {
	if f == nil || f.flushed() {
		return nil
	}
	select {
	case <-f.done:
		return nil
	case s.hurry <- struct{}{}: // one has failed, and is made again
	case <-s.givenUp:
		return errClosed
	}
	select {
	case <-f.done:
		return nil
	case err := <-s.stuck:
		return err
	case <-s.givenUp:
		return errClosed
	}
}

// flush writes a layer to bbolt and frees its file of the log.
func (s *Store) flush(f *sealed) error {
	if p := s.broken.Load(); p != nil {
		return *p
	}
	l := f.layer.Load()
	if err := s.write(func(b *bbolt.Tx) error { return putLayer(b, l, f) }); err != nil {
		return err
	}
	if err := s.inPlace(f.file); err != nil {
		return s.broke(err) // with what it has still in the log
	}
	return s.flushed(f)
}

// flushed lets a layer go that bbolt has.
func (s *Store) flushed(f *sealed) error {
	s.recycled.Store(f.revision)
	if f.file != none {
		// A frame that stays because there is no space is known by its revision.
		if err := s.log.free(f.file); err != nil && !durable.IsNoSpace(err) {
			return s.broke(fmt.Errorf("%w: write %s: %w; it is checked at the next start", store.ErrBroken, LogPath(s.path, f.file), err))
		}
	}
	f.layer.Store(nil)
	s.flushesDone.Add(1)
	close(f.done)
	return nil
}

func putLayer(b *bbolt.Tx, l *layer, f *sealed) error {
	own := b.Bucket([]byte(ownBucket))
	for name, m := range l.buckets {
		bucket, err := b.CreateBucketIfNotExists([]byte(userPrefix + name))
		if err != nil {
			return err
		}
		bucket.FillPercent = fillPercent(name)
		m.Scan(func(key string, w *overlay.Write) bool {
			if w.Delete {
				err = bucket.Delete([]byte(key))
			} else {
				err = bucket.Put([]byte(key), seal(name, []byte(key), w.Value))
			}
			return err == nil
		})
		if err == nil {
			err = own.Put([]byte(countPrefix+name), sealNumber(countPrefix+name, f.counts[name]))
		}
		if err != nil {
			return err
		}
	}
	return own.Put([]byte(revisionKey), sealNumber(revisionKey, f.revision))
}

// putNumber writes a number of the own bucket.
func putNumber(b *bbolt.Tx, key string, n uint64) error {
	return b.Bucket([]byte(ownBucket)).Put([]byte(key), sealNumber(key, n))
}

func putFormat(b *bbolt.Tx) error {
	return b.Bucket([]byte(ownBucket)).Put([]byte(formatKey), seal("", []byte(formatKey), []byte(strconv.Itoa(format))))
}

// settle makes the database file whole without its log. The writer calls it
// before the log is ready.
func (s *Store) settle() error {
	f := s.state.Load().frozen
	if f != nil && f.flushed() {
		f = nil
	}
	if f == nil && s.clean {
		return nil
	}
	if s.readOnly {
		return fmt.Errorf("%s has updates in its log, and is open for reading only", s.path)
	}
	err := s.write(func(b *bbolt.Tx) error {
		if f != nil {
			if err := putLayer(b, f.layer.Load(), f); err != nil {
				return err
			}
		}
		return errors.Join(putFormat(b), putNumber(b, cleanKey, 1))
	})
	if err != nil {
		s.flushesFailed.Add(1)
		return err
	}
	s.clean = true
	s.upgraded()
	if f != nil {
		return s.flushed(f)
	}
	return nil
}

// prepare makes the log ready before the first update: the file is whole
// without it, then the log is made empty, then the file says that it needs it.
func (s *Store) prepare() error {
	if s.log.epoch != 0 {
		return nil
	}
	if err := s.settle(); err != nil {
		return err
	}
	epoch := newEpoch()
	if err := s.log.begin(epoch); err != nil {
		if durable.IsNoSpace(err) {
			return fmt.Errorf("%w: %w", store.ErrNoSpace, err)
		}
		return s.broke(fmt.Errorf("%w: %w", store.ErrBroken, err))
	}
	err := s.write(func(b *bbolt.Tx) error {
		return errors.Join(putFormat(b), putNumber(b, epochKey, epoch), putNumber(b, cleanKey, 0))
	})
	if err != nil {
		return err
	}
	s.clean, s.log.epoch = false, epoch
	s.upgraded()
	return nil
}

// upgraded says once that older programs can no longer read the file.
func (s *Store) upgraded() {
	if s.upgrading {
		s.upgrading = false
		s.notice(fmt.Sprintf("the lock database has format %d now, which an older chartd refuses", format), "database", s.path)
	}
}

// mark says whether the file is whole without its log.
func (s *Store) mark(clean uint64) error {
	return s.write(func(b *bbolt.Tx) error { return putNumber(b, cleanKey, clean) })
}

// write runs one transaction of bbolt.
func (s *Store) write(fn func(*bbolt.Tx) error) (err error) {
	defer s.guard(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	b, err := s.db.Begin(true)
	if err != nil {
		return s.broke(fmt.Errorf("%w: write %s: %w", store.ErrBroken, s.path, err))
	}
	before := b.ID() - 1
	if err := fn(b); err != nil {
		s.rollback(b)
		return s.broke(fmt.Errorf("%w: write %s: %w", store.ErrBroken, s.path, err))
	}
	if err := b.Commit(); err != nil {
		return s.commitFailed(err, before)
	}
	return nil
}

// commitFailed tells a full disk from a broken one. bbolt has rolled back.
func (s *Store) commitFailed(err error, before int) error {
	if !isNoSpace(err) {
		return s.broke(fmt.Errorf("%w: commit to %s: %w; it is checked at the next start", store.ErrBroken, s.path, err))
	}
	// The page that makes a transaction valid may have been written before
	// the error came; then the transaction is neither there nor not there.
	b, beginErr := s.db.Begin(false)
	if beginErr != nil {
		return s.broke(fmt.Errorf("%w: commit to %s: %w", store.ErrBroken, s.path, errors.Join(err, beginErr)))
	}
	seen := b.ID()
	_ = b.Rollback()
	if seen != before {
		return s.broke(fmt.Errorf("%w: commit to %s: half written: %w", store.ErrBroken, s.path, err))
	}
	return fmt.Errorf("%w: commit to %s: %w", store.ErrNoSpace, s.path, err)
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
