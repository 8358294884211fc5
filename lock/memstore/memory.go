// Package memstore is the store in memory: serialisable and ordered like the
// others, with faults where a test wants them, and gone with the process.
package memstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"

	"chartd.dev/chartd/lock/overlay"
	"chartd.dev/chartd/lock/store"
)

var errClosed = errors.New("lock database is closed")

// Store is one store in memory.
type Store struct {
	writer sync.Mutex // held by the one Update that runs
	mu     sync.RWMutex
	state  *state // never changed, only replaced
	closed bool
	fault  func(step string) error
	active sync.WaitGroup
}

var _ store.Store = (*Store)(nil)

// New returns an empty store.
func New() *Store { return &Store{state: &state{}} }

// SetFault makes the store call fn before each step; an error of fn ends the
// operation there. The steps are "view", "update" (the closure has not run),
// "commit" (it has, nothing is written) and "committed" (all is written, the
// answer is lost: an outcome that the caller cannot know). It is nil for none.
func (m *Store) SetFault(fn func(step string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = fn
}

// begin takes the current state and keeps Close waiting until done.
func (m *Store) begin(ctx context.Context, step string) (*state, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", step, err)
	}
	m.mu.RLock()
	state, closed := m.state, m.closed
	if !closed {
		m.active.Add(1)
	}
	m.mu.RUnlock()
	if closed {
		return nil, fmt.Errorf("%s: %w", step, errClosed)
	}
	if err := m.step(step); err != nil {
		m.active.Done()
		return nil, err
	}
	return state, nil
}

func (m *Store) step(step string) error {
	m.mu.RLock()
	fault := m.fault
	m.mu.RUnlock()
	if fault == nil {
		return nil
	}
	return fault(step)
}

// View implements Store.
func (m *Store) View(ctx context.Context, fn func(store.Tx) error) error {
	state, err := m.begin(ctx, "view")
	if err != nil {
		return err
	}
	defer m.active.Done()
	return fn(state)
}

// Update implements Store.
func (m *Store) Update(ctx context.Context, fn func(store.Txn) error) error {
	m.writer.Lock()
	defer m.writer.Unlock()
	state, err := m.begin(ctx, "update")
	if err != nil {
		return err
	}
	defer m.active.Done()
	o := overlay.New(state)
	if err := o.Run(fn); err != nil {
		return err
	}
	writes := o.Writes()
	if len(writes) == 0 {
		return nil
	}
	if err := m.step("commit"); err != nil {
		return err
	}
	m.mu.Lock()
	m.state = state.with(writes)
	m.mu.Unlock()
	return m.step("committed")
}

// Close implements Store.
func (m *Store) Close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.active.Wait()
	return nil
}

// state is one state of the store.
type state struct {
	revision uint64
	buckets  map[string][]item // each in order of key
}

type item struct {
	key   string
	value []byte
}

// with returns the state after the writes, which are in order of bucket.
func (s *state) with(writes []overlay.Write) *state {
	next := &state{revision: s.revision + 1, buckets: make(map[string][]item, len(s.buckets)+1)}
	for name, items := range s.buckets {
		next.buckets[name] = items
	}
	last := ""
	for _, w := range writes {
		items := next.buckets[w.Bucket]
		if w.Bucket != last {
			items = append(make([]item, 0, len(items)+8), items...)
			last = w.Bucket
		}
		i, found := searchItems(items, w.Key)
		switch {
		case w.Delete && found:
			items = slices.Delete(items, i, i+1)
		case w.Delete:
		case found:
			items[i].value = w.Value
		default:
			items = slices.Insert(items, i, item{w.Key, w.Value})
		}
		next.buckets[w.Bucket] = items
	}
	return next
}

func searchItems(items []item, key string) (int, bool) {
	return sort.Find(len(items), func(i int) int { return strings.Compare(key, items[i].key) })
}

// Revision implements Tx.
func (s *state) Revision() uint64 { return s.revision }

// Get implements Tx.
func (s *state) Get(bucket, key string) ([]byte, error) {
	items := s.buckets[bucket]
	i, found := searchItems(items, key)
	if !found {
		return nil, store.NoKey(bucket, key)
	}
	return items[i].value, nil
}

// Count implements Tx.
func (s *state) Count(bucket string) (uint64, error) {
	return uint64(len(s.buckets[bucket])), nil
}

// Scan implements Tx.
func (s *state) Scan(bucket string, o store.ScanOptions, fn func(key string, value []byte) error) error {
	items := s.buckets[bucket]
	low, _ := searchItems(items, o.Prefix)
	high := low + sort.Search(len(items)-low, func(i int) bool {
		return !strings.HasPrefix(items[low+i].key, o.Prefix)
	})
	items = items[low:high]
	if o.From != "" {
		i, _ := searchItems(items, o.From)
		if o.Reverse {
			items = items[:i]
		} else {
			items = items[i:]
		}
	}
	for i := range items {
		item := items[i]
		if o.Reverse {
			item = items[len(items)-1-i]
		}
		if err := fn(item.key, item.value); err != nil {
			return store.ScanEnd(err)
		}
	}
	return nil
}
