package lock

import (
	"context"
	"errors"
)

var (
	// ErrNoKey says that the store works and holds no such key.
	ErrNoKey = errors.New("key does not exist")
	// ErrTooLarge says that one Update wrote more than the contract allows.
	// Nothing was written.
	ErrTooLarge = errors.New("transaction is too large")
	// ErrNoSpace says that a commit found no space. Nothing was written;
	// reads go on, and writes work again once there is space.
	ErrNoSpace = errors.New("no space left for the lock database")
	// ErrBroken says that the store can no longer promise durability, or that
	// its pages cannot be read. After a failed sync the process must stop.
	ErrBroken = errors.New("lock database is broken")
	// ErrDamaged says that one value is not what was written. The others can
	// still be read, so the process goes on.
	ErrDamaged = errors.New("damaged value in the lock database")
	// ErrLocked says that another process holds the data directory.
	ErrLocked = errors.New("data directory is in use")
	// ErrPanic says that an Update closure panicked. Nothing was written.
	ErrPanic = errors.New("transaction panicked")
)

// Limits of one Update, so that every store can keep them natively.
const (
	MaxWrites = 128     // keys written or deleted
	MaxBytes  = 1 << 20 // bytes of the keys and values written
)

// Store is a serialisable, ordered key-value store; the rules of this package
// are written once above it. All methods may be called concurrently.
//
// Durability: when Update returns nil, everything that its closure wrote is on
// stable storage. Atomicity: all of it, or none. Isolation: a closure sees the
// state left by all earlier committed updates and its own writes; a View sees
// one committed state.
//
// Closures are pure functions of the transaction (and of what they captured):
// a store may run them more than once, and calls them on another goroutine.
// Slices that a transaction hands out are valid until the closure returns and
// must not be changed.
type Store interface {
	// View runs fn on a snapshot and returns its error.
	View(ctx context.Context, fn func(Tx) error) error

	// Update runs fn and commits what it wrote. If fn returns an error or
	// panics, nothing is written, its neighbours in a group commit are not
	// affected, and that error (or ErrPanic) is returned. A commit that fails
	// fails every update of its group. The store revision grows by exactly
	// one for each committed update that wrote something.
	Update(ctx context.Context, fn func(Txn) error) error

	// Close waits for running transactions and releases the store.
	Close() error
}

// Tx reads one state of the store. A bucket is an ordered name space of keys;
// it needs no creation. Values are checked against their checksum when read:
// a damaged one is ErrDamaged.
type Tx interface {
	// Revision is the store revision of this state: the number of updates
	// committed so far.
	Revision() uint64

	// Get returns the value of a key, or ErrNoKey.
	Get(bucket, key string) ([]byte, error)

	// Scan calls fn for the keys k of a bucket that have the given prefix and
	// are k >= from (k < from with Reverse), in order (descending with
	// Reverse). It ends at the first error from fn and returns it; ErrStop
	// ends it without error.
	Scan(bucket string, o ScanOptions, fn func(key string, value []byte) error) error

	// Count returns the number of keys in a bucket without a scan.
	Count(bucket string) (uint64, error)
}

// Txn is a Tx that writes.
type Txn interface {
	Tx
	Put(bucket, key string, value []byte) error
	Delete(bucket, key string) error
}

// ScanOptions selects the keys of a scan; the zero value is the whole bucket.
type ScanOptions struct {
	Prefix  string
	From    string // first key; with Reverse the first key that is too high; "" means no bound
	Reverse bool
}

// ErrStop, returned by a scan's function, ends the scan without an error.
var ErrStop = errors.New("stop")
