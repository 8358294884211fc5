package transport

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Slots are the places of the uploads that run at once.
type Slots struct {
	taken chan struct{}
	aside chan struct{} // of uploads that wait for something else
	wait  time.Duration // for a place
	gauge prometheus.Gauge
}

// asideOf is how many uploads may step aside for each place. Their packages stay
// in memory.
const asideOf = 4

// NewSlots returns n free places.
func NewSlots(n int, wait time.Duration, m *Metrics) *Slots {
	return &Slots{taken: make(chan struct{}, n), aside: make(chan struct{}, asideOf*n), wait: wait, gauge: m.uploads}
}

// Take waits for a place.
func (s *Slots) Take(ctx context.Context) (release func(), err error) {
	wait := time.NewTimer(s.wait)
	defer wait.Stop()
	select {
	case s.taken <- struct{}{}:
		s.gauge.Inc()
		return func() { s.gauge.Dec(); <-s.taken }, nil
	case <-wait.C:
		return nil, fmt.Errorf("%w: %d uploads are running, try again in a few seconds", ErrBusy, cap(s.taken))
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Aside gives the place of an upload to the next one while it waits for what is
// no work of the server's disk, and returns what to call at its end in place of
// release. Where too many wait so already it keeps its place.
func (s *Slots) Aside(release func()) func() {
	select {
	case s.aside <- struct{}{}:
		release()
		return func() { <-s.aside }
	default:
		return release
	}
}

// More takes up to so many places that nobody else wants now, beside the one
// that the caller has, and returns how many that makes.
func (s *Slots) More(want int) (have int, release func()) {
	for have = 1; have < want; have++ {
		select {
		case s.taken <- struct{}{}:
			continue
		default:
		}
		break
	}
	return have, func() {
		for range have - 1 {
			<-s.taken
		}
	}
}
