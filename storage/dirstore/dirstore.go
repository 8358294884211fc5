// Package dirstore keeps blobs in a directory: DIR/sha256/ab/<hex>, where ab
// are the first two digits. A file under that name is whole and synced: it
// got its name after its bytes were on disk. DIR/tmp holds files in the
// making, which the next Open removes.
package dirstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"chartd.dev/chartd/internal/durable"
	"chartd.dev/chartd/internal/recent"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/storage"
)

// Store is a storage.Store in a directory of its own.
type Store struct {
	blobs, tmp string
	root       fs.FileInfo // of blobs, to tell a missing blob from a missing disk
	broken     atomic.Pointer[error]
	synced     sync.Map      // names of the directories in blobs that are on disk
	made       atomic.Uint64 // files in tmp
	// verified are the files that were read through and had the bytes that
	// their digest names, as they were then.
	verified recent.Map[ref.Digest, stamp]
	ahead    time.Duration // of the clock; set by tests
}

var _ storage.Files = (*Store)(nil)

// Open opens the store in dir, which it creates, and removes what unfinished
// puts left. The caller keeps other processes away from dir.
func Open(dir string) (*Store, error) {
	s := &Store{blobs: filepath.Join(dir, "sha256"), tmp: filepath.Join(dir, "tmp"),
		verified: recent.Map[ref.Digest, stamp]{Size: maxVerified}}
	if err := durable.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	for _, d := range []string{s.blobs, s.tmp} {
		if err := durable.Mkdir(d); err != nil {
			return nil, fmt.Errorf("open blob store: %w", err)
		}
	}
	left, err := os.ReadDir(s.tmp)
	if err != nil {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	for _, e := range left {
		if err := os.RemoveAll(filepath.Join(s.tmp, e.Name())); err != nil {
			return nil, fmt.Errorf("open blob store: remove unfinished file: %w", err)
		}
	}
	if s.root, err = os.Stat(s.blobs); err != nil {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	return s, nil
}

// Get implements storage.Store.
func (s *Store) Get(ctx context.Context, d ref.Digest, off, length int64) (io.ReadCloser, error) {
	if off < 0 {
		return nil, fmt.Errorf("get blob %s: offset %d is negative", d, off)
	}
	f, size, err := s.open(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("get blob %s: %w", d, err)
	}
	if off == 0 && (length < 0 || length >= size) {
		return storage.Verify(f, d), nil
	}
	if length < 0 {
		length = size
	}
	return section{io.NewSectionReader(f, min(off, size), length), f}, nil
}

type section struct {
	*io.SectionReader
	io.Closer
}

func (s *Store) open(ctx context.Context, d ref.Digest) (*os.File, int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	if d.IsZero() {
		return nil, 0, storage.ErrNotExist
	}
	f, err := os.OpenFile(s.path(d), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, s.missing(err)
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", f.Name())
	}
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, fi.Size(), nil
}

// Stat implements storage.Store.
func (s *Store) Stat(ctx context.Context, d ref.Digest) (storage.Info, error) {
	f, size, err := s.open(ctx, d)
	if err != nil {
		return storage.Info{}, fmt.Errorf("stat blob %s: %w", d, err)
	}
	_ = f.Close()
	return storage.Info{Digest: d, Size: size}, nil
}

// List implements storage.Store. It passes over files that are no blobs.
func (s *Store) List(ctx context.Context, fn func(storage.Info) error) error {
	if err := s.present(); err != nil {
		return fmt.Errorf("list blobs: %w", err)
	}
	prefixes, err := os.ReadDir(s.blobs)
	if err != nil {
		return fmt.Errorf("list blobs: %w", err)
	}
	for _, p := range prefixes {
		if !p.IsDir() {
			continue
		}
		files, err := os.ReadDir(filepath.Join(s.blobs, p.Name()))
		if err != nil {
			return fmt.Errorf("list blobs: %w", err)
		}
		for _, e := range files {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("list blobs: %w", err)
			}
			d, err := ref.ParseHex(e.Name())
			if err != nil || p.Name() != d.Hex()[:2] {
				continue
			}
			fi, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // deleted meanwhile
			}
			if err != nil {
				return fmt.Errorf("list blobs: %w", err)
			}
			if err := fn(storage.Info{Digest: d, Size: fi.Size()}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Delete implements storage.Store.
func (s *Store) Delete(ctx context.Context, d ref.Digest) error {
	if err := s.ready(ctx); err != nil {
		return fmt.Errorf("delete blob %s: %w", d, err)
	}
	if d.IsZero() {
		return nil
	}
	err := os.Remove(s.path(d))
	if err != nil {
		if err = s.missing(err); !errors.Is(err, storage.ErrNotExist) {
			return fmt.Errorf("delete blob %s: %w", d, err)
		}
	}
	// Sync even where nothing was removed: another Delete may have removed it
	// and not come to its sync yet.
	err = durable.SyncDir(filepath.Dir(s.path(d)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return s.classify("delete", d, err)
}

func (s *Store) path(d ref.Digest) string {
	return filepath.Join(s.blobs, d.Hex()[:2], d.Hex())
}

// missing turns the error of opening a blob into ErrNotExist, if the store
// itself is still in its place.
func (s *Store) missing(err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.present(); err != nil {
		return err
	}
	return storage.ErrNotExist
}

func (s *Store) present() error {
	fi, err := os.Stat(s.blobs)
	if err != nil {
		// Not %w: this must never look like a missing blob.
		return fmt.Errorf("blob directory is gone: %v", err)
	}
	if !os.SameFile(fi, s.root) {
		return fmt.Errorf("blob directory %s is not the one that was opened; was a file system mounted or unmounted", s.blobs)
	}
	return nil
}

func (s *Store) ready(ctx context.Context) error {
	if p := s.broken.Load(); p != nil {
		return *p
	}
	return ctx.Err()
}

// classify wraps err in the sentinel it deserves. A failed sync breaks the
// store for good.
func (s *Store) classify(verb string, d ref.Digest, err error) error {
	if err == nil {
		return nil
	}
	return s.classifyAs(fmt.Sprintf("%s blob %s", verb, d), err)
}

func (s *Store) classifyAs(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, durable.ErrSync):
		err = fmt.Errorf("%s: %w: %w", what, storage.ErrBroken, err)
		s.broken.CompareAndSwap(nil, &err)
		return err
	case durable.IsNoSpace(err):
		return fmt.Errorf("%s: %w: %w", what, storage.ErrNoSpace, err)
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}
