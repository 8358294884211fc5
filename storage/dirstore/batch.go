package dirstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"chartd.dev/chartd/internal/durable"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/storage"
)

// batch stores many blobs with few syncs: all bytes are on disk before the
// first of them gets its name, and all names before Commit returns. Where the
// file system as a whole can be synced, that are two syncs for each Commit;
// elsewhere each file is synced when it was written, and each directory once.
type batch struct {
	s *Store
	// whole is the blob directory, where syncing the file system through it
	// can be relied on: it was opened before anything was written, so that no
	// error of writing is missed. nil elsewhere.
	whole *os.File

	mu    sync.Mutex
	added []staged
}

// staged is a file in tmp that has the bytes of d.
type staged struct {
	name string
	d    ref.Digest
}

// Batch implements storage.Store.
func (s *Store) Batch() (storage.Batch, error) {
	b := &batch{s: s}
	if syncsWhole(s.blobs) {
		dir, err := openRaw(s.blobs, os.O_RDONLY)
		if err != nil {
			return nil, fmt.Errorf("begin batch of blobs: %w", err)
		}
		b.whole = dir
	}
	return b, nil
}

// Add implements storage.Batch.
func (b *batch) Add(ctx context.Context, d ref.Digest, r io.Reader) error {
	s := b.s
	if err := s.ready(ctx); err != nil {
		return fmt.Errorf("put blob %s: %w", d, err)
	}
	f, err := s.temporary()
	if err != nil {
		return s.classify("put", d, err)
	}
	err = s.fill(ctx, f, d, r)
	if err == nil && b.whole == nil {
		err = durable.Sync(f)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(f.Name())
		return s.classify("put", d, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.added = append(b.added, staged{f.Name(), d})
	return nil
}

// Commit implements storage.Batch.
func (b *batch) Commit(ctx context.Context) error {
	b.mu.Lock()
	list := b.added
	b.added = nil
	b.mu.Unlock()
	if len(list) == 0 {
		return nil
	}
	err := b.s.ready(ctx)
	if err == nil {
		err = b.s.classifyAs("put blobs", b.store(ctx, list))
	}
	if err != nil {
		drop(list)
	}
	return err
}

func (b *batch) store(ctx context.Context, list []staged) error {
	s := b.s
	if err := s.present(); err != nil {
		return err
	}
	if err := b.syncWhole(); err != nil {
		return err
	}
	dirs, made := map[string]bool{}, false
	for _, a := range list {
		dir := filepath.Dir(s.path(a.d))
		if _, synced := s.synced.Load(filepath.Base(dir)); !synced && !dirs[dir] {
			if err := durable.MkdirUnsynced(dir); err != nil {
				return err
			}
			made = true
		}
		dirs[dir] = true
		if s.intact(ctx, a.d) {
			drop([]staged{a}) // its directory is synced all the same, as Put does
		} else if err := os.Rename(a.name, s.path(a.d)); err != nil {
			return err
		}
	}
	if err := b.syncNames(dirs, made); err != nil {
		return err
	}
	for dir := range dirs {
		s.synced.Store(filepath.Base(dir), true)
	}
	return nil
}

// syncNames syncs the directories of blobs, and where some were made the one
// that holds them.
func (b *batch) syncNames(dirs map[string]bool, made bool) error {
	if b.whole != nil {
		return b.syncWhole()
	}
	for dir := range dirs {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	if !made {
		return nil
	}
	return syncDir(b.s.blobs)
}

// syncWhole syncs the file system, where that can be relied on. The sync of the
// one directory after it is for file systems without a journal, where only
// fsync empties the cache of the disk.
func (b *batch) syncWhole() error {
	if b.whole == nil {
		return nil
	}
	if err := syncfs(b.whole); err != nil {
		return fmt.Errorf("%w: syncfs: %w", durable.ErrSync, err)
	}
	return durable.Sync(b.whole)
}

// Close implements storage.Batch.
func (b *batch) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	drop(b.added)
	b.added = nil
	if b.whole == nil {
		return nil
	}
	return b.whole.Close()
}

// drop removes files that were not renamed; the next Open would.
func drop(list []staged) {
	for _, a := range list {
		_ = os.Remove(a.name)
	}
}
