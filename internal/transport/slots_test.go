package transport

import (
	"testing"
	"time"
)

// An import takes the places of other uploads only while they are free.
func TestMoreTakesFreeSlotsOnly(t *testing.T) {
	s := NewSlots(4, time.Second, NewMetrics())
	take := func() func() {
		release, err := s.Take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return release
	}
	take() // the request's own
	for _, c := range []struct{ taken, want int }{{0, 4}, {2, 2}, {3, 1}} {
		var releases []func()
		for range c.taken {
			releases = append(releases, take())
		}
		have, release := s.More(10)
		if have != c.want || len(s.taken) != cap(s.taken) {
			t.Errorf("%d taken: %d workers, %d of %d slots", c.taken, have, len(s.taken), cap(s.taken))
		}
		release()
		for _, release := range releases {
			release()
		}
		if len(s.taken) != 1 {
			t.Fatalf("%d slots are taken at the end", len(s.taken))
		}
	}
}
