package dirstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"chartd.dev/chartd/internal/durable"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/storage"
)

// Put implements storage.Store. Its commit point is the rename in place; the
// answer waits for the sync of the directory after it.
func (s *Store) Put(ctx context.Context, d ref.Digest, r io.Reader) error {
	if err := s.ready(ctx); err != nil {
		return fmt.Errorf("put blob %s: %w", d, err)
	}
	f, err := os.CreateTemp(s.tmp, "put-*")
	if err != nil {
		return s.classify("put", d, err)
	}
	err = s.fill(ctx, f, d, r)
	if err == nil {
		err = s.place(ctx, f, d)
	}
	if err != nil {
		// Once renamed there is nothing of that name left.
		_ = os.Remove(f.Name())
	}
	_ = f.Close() // synced, or not wanted
	return s.classify("put", d, err)
}

// fill writes r to f while hashing it.
func (s *Store) fill(ctx context.Context, f *os.File, d ref.Digest, r io.Reader) error {
	if err := f.Chmod(0o600); err != nil {
		return err
	}
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(f, h), reader{ctx, r}); err != nil {
		return err
	}
	if got := ref.FromSum([sha256.Size]byte(h.Sum(nil))); got != d {
		return fmt.Errorf("%w: the bytes have %s", storage.ErrMismatch, got)
	}
	return nil
}

// place syncs the filled file and gives it its name, unless an intact copy is
// there already. A damaged one is replaced.
func (s *Store) place(ctx context.Context, f *os.File, d ref.Digest) error {
	dir := filepath.Dir(s.path(d))
	if err := s.prefix(dir); err != nil {
		return err
	}
	if s.intact(ctx, d) {
		if err := os.Remove(f.Name()); err != nil {
			return err
		}
		// Its bytes were synced before it got this name, but whoever put it
		// may not have synced the name yet.
		return durable.SyncDir(dir)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := durable.Sync(f); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), s.path(d)); err != nil {
		return err
	}
	return durable.SyncDir(dir)
}

// prefix makes a directory for blobs and syncs its parent, once in the life of
// the store: a directory that another put has just made may not be synced yet.
func (s *Store) prefix(dir string) error {
	if err := s.present(); err != nil {
		return err
	}
	name := filepath.Base(dir)
	if _, ok := s.synced.Load(name); ok {
		return nil
	}
	if err := durable.Mkdir(dir); err != nil {
		return err
	}
	s.synced.Store(name, true)
	return nil
}

// intact reads the stored copy of d through.
func (s *Store) intact(ctx context.Context, d ref.Digest) bool {
	f, err := s.Get(ctx, d, 0, -1)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, reader{ctx, f})
	return errors.Join(err, f.Close()) == nil
}

// reader ends a long copy when its context ends.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
