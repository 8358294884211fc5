package dirstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/storage"
)

const (
	// settled is how long a file must have been left alone before its stamp
	// says that it was: times of a file system are coarse, so a change right
	// after the one that a stamp was taken of may leave the same stamp.
	settled = 2 * time.Second
	// maxVerified bounds what is remembered, twice.
	maxVerified = 32 << 10
)

// stamp is what the file system says of a file. Every change of its bytes
// changes it: whoever sets the modification time back changes ctime by that.
type stamp struct {
	dev, ino     uint64
	size         int64
	mtime, ctime int64 // nanoseconds
	sound        bool  // ctime is what this says
}

// verified remembers which files were read through and had the bytes that
// their digest names: a recent generation and the one before it.
type verified struct {
	mu       sync.Mutex
	now, old map[ref.Digest]stamp
}

func (v *verified) holds(d ref.Digest, s stamp) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if seen, ok := v.now[d]; ok {
		return seen == s
	}
	seen, ok := v.old[d]
	if ok && seen == s {
		v.add(d, s)
	}
	return ok && seen == s
}

func (v *verified) remember(d ref.Digest, s stamp) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.add(d, s)
}

func (v *verified) add(d ref.Digest, s stamp) {
	if len(v.now) >= maxVerified {
		v.now, v.old = nil, v.now
	}
	if v.now == nil {
		v.now = make(map[ref.Digest]stamp)
	}
	v.now[d] = s
}

// File implements storage.Files.
func (s *Store) File(ctx context.Context, d ref.Digest) (*os.File, error) {
	f, _, err := s.open(ctx, d)
	if err == nil {
		if err = s.verify(ctx, f, d); err != nil {
			_ = f.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open blob %s: %w", d, err)
	}
	return f, nil
}

// verify reads f through, unless that was done and it has not changed since.
func (s *Store) verify(ctx context.Context, f *os.File, d ref.Digest) error {
	before, err := stampOf(f)
	for range 3 { // a file may be touched, by who links or copies it
		if err != nil || s.verified.holds(d, before) {
			return err
		}
		began := time.Now().Add(s.ahead)
		if err := readThrough(ctx, f, d); err != nil {
			return err
		}
		var after stamp
		if after, err = stampOf(f); err == nil && after == before {
			if after.sound && began.Sub(time.Unix(0, after.ctime)) > settled {
				s.verified.remember(d, after)
			}
			return nil
		}
		before = after
	}
	return errors.New("the file changes while it is read")
}

// readThrough makes sure that all bytes of f are those of d, and returns to
// its start.
func readThrough(ctx context.Context, f *os.File, d ref.Digest) error {
	h := sha256.New()
	if _, err := io.Copy(h, reader{ctx, f}); err != nil {
		return err
	}
	if got := ref.FromSum([sha256.Size]byte(h.Sum(nil))); got != d {
		return fmt.Errorf("%w: the stored bytes have %s", storage.ErrMismatch, got)
	}
	_, err := f.Seek(0, io.SeekStart)
	return err
}
