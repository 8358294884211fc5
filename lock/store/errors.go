package store

import (
	"errors"
	"fmt"
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

// PanicError is the error of an Update whose closure panicked.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("%v: %v", ErrPanic, e.Value) }

// Unwrap makes it an ErrPanic.
func (e *PanicError) Unwrap() error { return ErrPanic }

// NoKey returns ErrNoKey with the name of the key.
func NoKey(bucket, key string) error { return noKey{bucket, key} }

// noKey is an answer more often than a message.
type noKey struct{ bucket, key string }

func (e noKey) Error() string { return fmt.Sprintf("%v: %s/%q", ErrNoKey, e.bucket, e.key) }
func (e noKey) Unwrap() error { return ErrNoKey }
