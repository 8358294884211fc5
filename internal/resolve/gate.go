package resolve

import (
	"context"
	"sync"
)

// gate bounds how many images are read at once, in all and of one registry:
// a slow registry must not keep the others waiting.
type gate struct {
	all  chan struct{}
	most int

	mu   sync.Mutex
	each map[string]*queue // only registries with someone inside or waiting
}

type queue struct {
	slots chan struct{}
	users int
}

func newGate(n int) *gate {
	return &gate{all: make(chan struct{}, n), most: (n + 1) / 2, each: map[string]*queue{}}
}

// enter waits for a place; leave gives it back.
func (g *gate) enter(ctx context.Context, host string) (leave func(), err error) {
	g.mu.Lock()
	q := g.each[host]
	if q == nil {
		q = &queue{slots: make(chan struct{}, g.most)}
		g.each[host] = q
	}
	q.users++
	g.mu.Unlock()
	drop := func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if q.users--; q.users == 0 {
			delete(g.each, host)
		}
	}
	select {
	case q.slots <- struct{}{}:
	case <-ctx.Done():
		drop()
		return nil, ctx.Err()
	}
	select {
	case g.all <- struct{}{}:
	case <-ctx.Done():
		<-q.slots
		drop()
		return nil, ctx.Err()
	}
	return func() { <-g.all; <-q.slots; drop() }, nil
}
