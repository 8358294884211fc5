// Package storage keeps blobs by digest. A store is dumb: it knows no charts,
// only bytes and their SHA-256.
package storage

import (
	"context"
	"errors"
	"io"
	"os"

	"chartd.dev/chartd/internal/ref"
)

var (
	// ErrNotExist says that the store works and holds no such blob. A broken
	// store never answers it.
	ErrNotExist = errors.New("blob does not exist")
	// ErrMismatch says that the bytes given to Put, or read back, are not
	// those that the digest names.
	ErrMismatch = errors.New("blob does not match its digest")
	// ErrNoSpace says that a write found no space. Nothing was stored; reads
	// go on, and writes work again once there is space.
	ErrNoSpace = errors.New("no space left for blobs")
	// ErrBroken says that the store can no longer promise durability (a
	// failed fsync). The process must stop; the next start verifies again.
	ErrBroken = errors.New("blob store is broken")
)

// Info describes a stored blob.
type Info struct {
	Digest ref.Digest
	Size   int64
}

// Store keeps blobs by digest. All methods may be called concurrently. Errors
// wrap the sentinels above; any other error is a failure of the store or the
// context's.
type Store interface {
	// Put stores the bytes of r under d. When it returns nil they are
	// durable, directory entry included. It reads r to its end and fails with
	// ErrMismatch, storing nothing, if the bytes are not d's. Storing the
	// same bytes again is fine, and mends a stored copy that was damaged.
	Put(ctx context.Context, d ref.Digest, r io.Reader) error

	// Batch begins a batch of puts. The caller closes it.
	Batch() (Batch, error)

	// Get opens length bytes from off; length < 0 means to the end. A range
	// past the end is cut short, not refused. Reading a whole blob verifies
	// it: the last Read returns ErrMismatch in place of io.EOF where the
	// stored bytes are damaged. A part of one is not verified.
	Get(ctx context.Context, d ref.Digest, off, length int64) (io.ReadCloser, error)

	// Stat returns the size of a blob without reading it.
	Stat(ctx context.Context, d ref.Digest) (Info, error)

	// List calls fn for each blob, in order of digest, until fn returns an
	// error, which List returns. Blobs put or deleted meanwhile may or may
	// not be seen.
	List(ctx context.Context, fn func(Info) error) error

	// Delete removes a blob, durably. Deleting a missing one is fine.
	Delete(ctx context.Context, d ref.Digest) error
}

// Files is a Store whose blobs are files, which can be sent without a copy.
type Files interface {
	Store

	// File opens a blob at its start, and has verified all of it: then, or
	// earlier where the file has provably not changed since. A damaged one is
	// ErrMismatch. The caller closes it.
	File(ctx context.Context, d ref.Digest) (*os.File, error)
}

// Batch takes blobs in and stores them later, together, which costs less than
// one by one. Add may be called concurrently, also beside Commit.
type Batch interface {
	// Add reads r as Put does, with its errors, and stores nothing yet.
	Add(ctx context.Context, d ref.Digest, r io.Reader) error

	// Commit stores what was added before it. When it returns nil, all of that
	// is as if Put had returned nil for each. After an error each of them may
	// be stored or not.
	Commit(ctx context.Context) error

	// Close drops what was added and not stored.
	Close() error
}
