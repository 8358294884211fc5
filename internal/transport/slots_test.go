package transport

import (
	"errors"
	"testing"
	"time"
)

// One caller never has all places, and an administrator always gets one.
func TestSlotsAreShared(t *testing.T) {
	s := NewSlots(4, time.Millisecond, NewMetrics())
	take := func(who string, admin, ok bool) func() {
		t.Helper()
		release, err := s.Take(t.Context(), who, admin)
		if (err == nil) != ok || err != nil && !errors.Is(err, ErrBusy) {
			t.Errorf("%s takes a place: %v", who, err)
		}
		return release
	}
	for range 3 {
		defer take("a", false, true)()
	}
	take("a", false, false)
	b := take("b", false, true)
	take("c", false, false)
	admin := take("root", true, true)
	take("root", true, false)
	admin()
	admin()
	take("root", true, true)
	b()
	b()
	take("c", false, true)
	take("b", false, false)
	if n := s.places.Used(); n != 4 {
		t.Errorf("%d places are taken, want 4", n)
	}
}
