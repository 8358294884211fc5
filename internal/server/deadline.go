package server

import (
	"errors"
	"os"
	"sync"
	"time"
)

// deadline is when calls in one direction of a connection have to end. net/http
// sets eight for a request, nearly all of them later than the one before, and
// each costs the runtime's timers. Here a later one is only noted: the earlier
// one comes first, and then what was noted is looked at.
type deadline struct {
	arm func(time.Time) error // has the connection end its calls

	mu    sync.Mutex
	want  time.Time // zero: none
	armed time.Time // not after want, where that is not zero
	calls bool      // a call is under way
}

// longAgo is before every deadline but those that are to end a call at once.
var longAgo = time.Unix(1<<20, 0)

func (d *deadline) set(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.want = t
	comesBefore := !d.armed.IsZero() && !d.armed.After(t)
	nobodyWaits := t.Before(longAgo) && !d.calls // the next call sees it
	if t.IsZero() || comesBefore || nobodyWaits {
		return nil
	}
	d.armed = t
	return d.arm(t)
}

// begin is called before a call.
func (d *deadline) begin() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.want.IsZero() && d.want.Before(longAgo) {
		return os.ErrDeadlineExceeded
	}
	d.calls = true
	return nil
}

// end is called after a call, and says whether it is to be made again: a
// deadline ended it that is none any more.
func (d *deadline) end(err error) (again bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = false
	if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	if !d.want.IsZero() && !d.want.After(time.Now()) {
		return false
	}
	d.armed = d.want
	return d.arm(d.want) == nil
}
