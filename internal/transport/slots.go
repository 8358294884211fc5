package transport

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Slots are the places of the uploads that are worked on at once. They are a
// budget like Memory, of which one caller has three quarters at most; and there
// is one place more that only administrators take, so that nobody locks them out.
type Slots struct {
	places, kept *Memory
	aside        chan struct{} // of uploads that wait for something else
	n            int
	gauge        prometheus.Gauge
}

// asideOf is how many uploads may step aside for each place. Their packages stay
// in memory.
const asideOf = 4

// NewSlots returns n free places. Who finds none waits so long for one.
func NewSlots(n int, wait time.Duration, m *Metrics) *Slots {
	s := &Slots{places: NewMemory(int64(n), wait), kept: NewMemory(1, wait), aside: make(chan struct{}, asideOf*n), n: n, gauge: m.uploads}
	s.places.share = max(1, int64(n-n/4))
	return s
}

// Take waits for a place, which may be given back more than once.
func (s *Slots) Take(ctx context.Context, who string, admin bool) (release func(), err error) {
	from := s.places
	if admin && !s.places.has(1) {
		from = s.kept
	}
	h := from.Hold(who)
	if err := h.Take(ctx, 1); errors.Is(err, ErrBusy) {
		return nil, fmt.Errorf("%w: %d uploads are running, try again in a few seconds", ErrBusy, s.n)
	} else if err != nil {
		return nil, err
	}
	return sync.OnceFunc(h.Free), nil
}

// Begin counts an upload until its end is called, from before its body is read.
func (s *Slots) Begin() (end func()) {
	s.gauge.Inc()
	return s.gauge.Dec
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
