package storage

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"chartd.dev/chartd/internal/ref"
)

// Memory is a Store that keeps its blobs in memory, for tests.
type Memory struct {
	mu    sync.RWMutex
	blobs map[ref.Digest][]byte
	fault func(step string) error
}

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{blobs: make(map[ref.Digest][]byte)} }

// SetFault makes the store call fn before each step; an error of fn ends the
// operation there. The steps are "put" (nothing read), "put-commit" (all
// read, nothing stored), "put-done" (stored, not yet answered), "batch-commit"
// (nothing stored), "get", "stat", "list", "delete" and "delete-done"; a blob
// that is added to a batch takes those of a put. It is nil for none.
func (m *Memory) SetFault(fn func(step string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = fn
}

// Damage replaces the stored bytes of d by others, as a bad disk does.
func (m *Memory) Damage(d ref.Digest, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.blobs[d] = bytes.Clone(data)
}

func (m *Memory) step(ctx context.Context, step string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s blob: %w", step, err)
	}
	m.mu.RLock()
	fault := m.fault
	m.mu.RUnlock()
	if fault == nil {
		return nil
	}
	return fault(step)
}

// Put implements Store.
func (m *Memory) Put(ctx context.Context, d ref.Digest, r io.Reader) error {
	return m.put(ctx, d, r, m.blobs)
}

// put reads a blob into m.blobs, or what shall go there later.
func (m *Memory) put(ctx context.Context, d ref.Digest, r io.Reader, blobs map[ref.Digest][]byte) error {
	if err := m.step(ctx, "put"); err != nil {
		return err
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("put blob %s: %w", d, err)
	}
	if got := ref.DigestOf(data); got != d {
		return fmt.Errorf("put blob %s: %w: the bytes have %s", d, ErrMismatch, got)
	}
	if err := m.step(ctx, "put-commit"); err != nil {
		return err
	}
	m.mu.Lock()
	blobs[d] = data
	m.mu.Unlock()
	return m.step(context.WithoutCancel(ctx), "put-done")
}

// Batch implements Store.
func (m *Memory) Batch() (Batch, error) {
	return &memoryBatch{m: m, added: make(map[ref.Digest][]byte)}, nil
}

type memoryBatch struct {
	m     *Memory
	added map[ref.Digest][]byte
}

func (b *memoryBatch) Add(ctx context.Context, d ref.Digest, r io.Reader) error {
	return b.m.put(ctx, d, r, b.added)
}

func (b *memoryBatch) Commit(ctx context.Context) error {
	if err := b.m.step(ctx, "batch-commit"); err != nil {
		return err
	}
	b.m.mu.Lock()
	defer b.m.mu.Unlock()
	maps.Copy(b.m.blobs, b.added)
	clear(b.added)
	return nil
}

func (b *memoryBatch) Close() error { return nil }

// Get implements Store.
func (m *Memory) Get(ctx context.Context, d ref.Digest, off, length int64) (io.ReadCloser, error) {
	if err := m.step(ctx, "get"); err != nil {
		return nil, err
	}
	if off < 0 {
		return nil, fmt.Errorf("get blob %s: offset %d is negative", d, off)
	}
	data, err := m.data(d)
	if err != nil {
		return nil, err
	}
	size := int64(len(data))
	if off == 0 && (length < 0 || length >= size) {
		return Verify(io.NopCloser(bytes.NewReader(data)), d), nil
	}
	data = data[min(off, size):]
	if length >= 0 {
		data = data[:min(length, int64(len(data)))]
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

// Stat implements Store.
func (m *Memory) Stat(ctx context.Context, d ref.Digest) (Info, error) {
	if err := m.step(ctx, "stat"); err != nil {
		return Info{}, err
	}
	data, err := m.data(d)
	if err != nil {
		return Info{}, err
	}
	return Info{Digest: d, Size: int64(len(data))}, nil
}

// List implements Store.
func (m *Memory) List(ctx context.Context, fn func(Info) error) error {
	if err := m.step(ctx, "list"); err != nil {
		return err
	}
	m.mu.RLock()
	all := make([]Info, 0, len(m.blobs))
	for d, data := range m.blobs {
		all = append(all, Info{Digest: d, Size: int64(len(data))})
	}
	m.mu.RUnlock()
	slices.SortFunc(all, func(a, b Info) int { return strings.Compare(a.Digest.Hex(), b.Digest.Hex()) })
	for _, info := range all {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("list blobs: %w", err)
		}
		if err := fn(info); err != nil {
			return err
		}
	}
	return nil
}

// Delete implements Store.
func (m *Memory) Delete(ctx context.Context, d ref.Digest) error {
	if err := m.step(ctx, "delete"); err != nil {
		return err
	}
	m.mu.Lock()
	delete(m.blobs, d)
	m.mu.Unlock()
	return m.step(context.WithoutCancel(ctx), "delete-done")
}

func (m *Memory) data(d ref.Digest) ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	data, ok := m.blobs[d]
	if !ok {
		return nil, fmt.Errorf("blob %s: %w", d, ErrNotExist)
	}
	return data, nil
}
