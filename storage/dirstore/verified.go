package dirstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/storage"
)

const (
	// settled is how long a file must have been left alone before its stamp
	// says that it was: times of a file system are coarse, so a change right
	// after the one that a stamp was taken of may leave the same stamp.
	settled = 2 * time.Second
	// maxVerified is of how many files it is remembered.
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

// File implements storage.Files.
func (s *Store) File(ctx context.Context, d ref.Digest) (*os.File, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open blob %s: %w", d, err)
	}
	f, _, err := s.open(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("open blob %s: %w", d, err)
	}
	if err := s.verify(ctx, f, d); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("open blob %s: %w", d, err)
	}
	return f, nil
}

// verify reads f through, unless that was done and it has not changed since.
func (s *Store) verify(ctx context.Context, f *os.File, d ref.Digest) error {
	before, err := stampOf(f)
	for range 3 { // a file may be touched, by who links or copies it
		if err != nil {
			return err
		}
		if known, ok := s.verified.Find(d); ok && known == before {
			return nil
		}
		began := time.Now().Add(s.ahead)
		if err := readThrough(ctx, f, d); err != nil {
			return err
		}
		var after stamp
		if after, err = stampOf(f); err == nil && after == before {
			if after.sound && began.Sub(time.Unix(0, after.ctime)) > settled {
				s.verified.Put(d, after)
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
