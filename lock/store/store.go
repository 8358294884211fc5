// Package store is the contract between the rules of the lock file and what
// keeps it: a serialisable, ordered key-value store, which knows no rules.
// What holds of every store is tested by lock/locktest.
package store

import (
	"context"
	"errors"
	"strings"
)

// Limits of one Update, so that every store can keep them natively.
const (
	MaxWrites = 128     // keys written or deleted
	MaxBytes  = 1 << 20 // bytes of the keys and values written
	MaxKey    = 4096    // bytes of the longest key
)

// Store is a serialisable, ordered key-value store; the rules of the lock
// file are written once above it. All methods may be called concurrently.
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

// Stamps is a Store that can say without a transaction that nothing was
// written to a bucket: its stamp changes with every durable commit that wrote
// there, before any Update of that commit returns. ok is false where the store
// cannot tell.
type Stamps interface {
	Stamp(bucket string) (n uint64, ok bool)
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

// ScanEnd is the error of a scan that ended with err: none for ErrStop.
func ScanEnd(err error) error {
	if errors.Is(err, ErrStop) {
		return nil
	}
	return err
}

// Selects reports whether a scan with these options comes to key.
func (o ScanOptions) Selects(key string) bool {
	if !strings.HasPrefix(key, o.Prefix) || o.From == "" {
		return strings.HasPrefix(key, o.Prefix)
	}
	return (key < o.From) == o.Reverse
}
