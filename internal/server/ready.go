package server

import (
	"context"
	"sync"
	"time"
)

const (
	readyFor = time.Second     // how long a verdict is good
	readyIn  = 3 * time.Second // how long a write may take
)

// readiness is the last verdict on whether writes can be kept. Probes share
// it, so that they cost the disk at most one write a second.
type readiness struct {
	mu   sync.Mutex
	at   time.Time
	last error
}

// check makes a small write of its own and asks what else could stop one.
func (r *readiness) check(ctx context.Context, s *Server) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := s.Now(); r.at.IsZero() || now.Sub(r.at) >= readyFor || now.Before(r.at) {
		// The verdict is everybody's: a probe that gives up does not spoil it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyIn)
		defer cancel()
		r.last = s.Lock.Ping(ctx)
		if r.last == nil && s.Ready != nil {
			r.last = s.Ready(ctx)
		}
		r.at = now
	}
	return r.last
}
