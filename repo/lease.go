package repo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/store"
	"chartd.dev/chartd/storage"
)

// leases keeps a sweep away from blobs that are stored, but whose transaction
// has not ended.
type leases struct {
	mu   sync.Mutex
	held map[ref.Digest]int
}

func (l *leases) take(d ref.Digest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = map[ref.Digest]int{}
	}
	l.held[d]++
}

func (l *leases) release(d ref.Digest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[d]--; l.held[d] == 0 {
		delete(l.held, d)
	}
}

// unless runs fn if the blob is not leased; nobody can lease it meanwhile.
func (l *leases) unless(d ref.Digest, fn func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[d] > 0 {
		return nil
	}
	return fn()
}

// put stores a blob under a lease. The caller calls the returned function with
// the outcome of the transaction that names the blob. Where the outcome is
// known, a blob that nothing names then is removed; where it is not, the blob
// stays, for the next start to judge.
func (r *Repository) put(ctx context.Context, data []byte) (ref.Digest, func(error), error) {
	return r.putAs(ctx, ref.DigestOf(data), data)
}

// putAs is put for bytes of a known digest; the store checks it.
func (r *Repository) putAs(ctx context.Context, d ref.Digest, data []byte) (ref.Digest, func(error), error) {
	return r.putInto(ctx, r.Blobs.Put, d, data)
}

// putFunc is storage.Store.Put, or what begins it.
type putFunc func(ctx context.Context, d ref.Digest, r io.Reader) error

func (r *Repository) putInto(ctx context.Context, put putFunc, d ref.Digest, data []byte) (ref.Digest, func(error), error) {
	r.leases.take(d)
	end := func(err error) {
		r.leases.release(d)
		if err == nil || wroteNothing(err) {
			// The request may be gone by now; the clean-up is not its business.
			_, _ = r.discard(context.WithoutCancel(ctx), d)
		}
	}
	if err := put(ctx, d, bytes.NewReader(data)); err != nil {
		r.leases.release(d)
		return d, func(error) {}, err
	}
	return d, end, nil
}

func wroteNothing(err error) bool {
	for _, known := range []error{
		lock.ErrGate, lock.ErrExists, lock.ErrRefused, lock.ErrInvalid, lock.ErrNotFound, store.ErrNoSpace,
		storage.ErrNoSpace, ErrUnavailable, errAbandoned,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// discard removes a blob that nothing names and nobody leases. While a backup
// runs nothing is removed: a later sweep does it.
func (r *Repository) discard(ctx context.Context, d ref.Digest) (removed bool, err error) {
	if !r.backing.TryRLock() {
		return false, nil
	}
	defer r.backing.RUnlock()
	err = r.leases.unless(d, func() error {
		used, err := r.Lock.BlobUsed(ctx, d)
		if err != nil || used {
			return err
		}
		removed = true
		return r.Blobs.Delete(ctx, d)
	})
	return removed, err
}

// keyedMutex serialises work on one name.
type keyedMutex struct {
	mu   sync.Mutex
	held map[string]*waiters
}

type waiters struct {
	sync.Mutex
	n int
}

func (k *keyedMutex) lock(name string) (unlock func()) {
	k.mu.Lock()
	if k.held == nil {
		k.held = map[string]*waiters{}
	}
	w := k.held[name]
	if w == nil {
		w = &waiters{}
		k.held[name] = w
	}
	w.n++
	k.mu.Unlock()
	w.Lock()
	return func() {
		w.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if w.n--; w.n == 0 {
			delete(k.held, name)
		}
	}
}
