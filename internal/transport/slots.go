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
	wait  time.Duration // for a place
	gauge prometheus.Gauge
}

// NewSlots returns n free places.
func NewSlots(n int, wait time.Duration, m *Metrics) *Slots {
	return &Slots{taken: make(chan struct{}, n), wait: wait, gauge: m.uploads}
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
