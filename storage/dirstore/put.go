package dirstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

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
	f, err := s.temporary()
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

// temporary makes a file in tmp, where nobody else makes any.
func (s *Store) temporary() (*os.File, error) {
	for {
		name := filepath.Join(s.tmp, "put-"+strconv.FormatUint(s.made.Add(1), 10))
		f, err := openRaw(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
}

// openRaw is os.OpenFile without a try to have the file polled, which files
// and directories never are: that costs more calls than all else here.
func openRaw(name string, flags int) (*os.File, error) {
	for {
		fd, err := syscall.Open(name, flags|syscall.O_CLOEXEC, 0o600)
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), name), nil
		case !errors.Is(err, syscall.EINTR):
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
	}
}

// syncDir is durable.SyncDir.
func syncDir(dir string) error {
	d, err := openRaw(dir, os.O_RDONLY)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	defer d.Close()
	return durable.Sync(d)
}

// Most packages fit into one buffer: they are written in one call.
var buffers = sync.Pool{New: func() any { b := make([]byte, 128<<10); return &b }}

// fill writes r to f while hashing it.
func (s *Store) fill(ctx context.Context, f *os.File, d ref.Digest, r io.Reader) error {
	if err := f.Chmod(0o600); err != nil {
		return err
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	h := sha256.New()
	for more := true; more; {
		n := 0
		var err error
		for n < len(*buf) && err == nil {
			var k int
			k, err = reader{ctx, r}.Read((*buf)[n:])
			n += k
		}
		if more = err == nil; err != nil && err != io.EOF {
			return err
		}
		h.Write((*buf)[:n])
		if _, err := f.Write((*buf)[:n]); err != nil {
			return err
		}
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
		return syncDir(dir)
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
	return syncDir(dir)
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
	if _, err := os.Lstat(s.path(d)); err != nil {
		return false
	}
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
