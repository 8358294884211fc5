//go:build chartd_seeded

package main

import (
	"context"
	"sync"
	"time"

	"chartd.dev/chartd/lock/boltstore"
	"chartd.dev/chartd/lock/store"
)

// seeded is the store with the fault that the kill loop has to find.
func seeded(s *boltstore.Store) store.Store { return &early{Store: s} }

// early answers an update before its commit. Only a build with the tag
// chartd_seeded has it.
type early struct {
	*boltstore.Store
	committing sync.RWMutex // held for reading by each update under way
}

func (s *early) Update(ctx context.Context, fn func(store.Txn) error) error {
	answer := make(chan error, 1)
	tell := func(err error) {
		select {
		case answer <- err:
		default: // told before
		}
	}
	s.committing.RLock()
	go func() {
		defer s.committing.RUnlock()
		tell(s.Store.Update(context.WithoutCancel(ctx), func(t store.Txn) error {
			err := fn(t)
			if err == nil {
				tell(nil)
				time.Sleep(2 * time.Millisecond)
			}
			return err
		}))
	}()
	return <-answer
}

// View waits for the commits under way where it failed because what was
// answered is not there yet: only a kill shall show the fault.
func (s *early) View(ctx context.Context, fn func(store.Tx) error) error {
	err := s.Store.View(ctx, fn)
	if err == nil {
		return nil
	}
	s.settle()
	return s.Store.View(ctx, fn)
}

func (s *early) settle() {
	s.committing.Lock()
	defer s.committing.Unlock()
}
