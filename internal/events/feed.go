// Package events tells what the journal says, to those who ask and to those
// who want to be told. Invariants: an event is made from its journal line, so
// that none is lost and none is made up; order is that of the journal; nobody
// who listens, or does not, holds up a change; who changed something from
// where, and with which token, stays in the journal.
package events

import (
	"context"
	"sync"
	"time"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/lock"
)

// recheck is how often a listener looks at the journal without being told to:
// what this process does is told, and with a shared store others write, too.
const recheck = 5 * time.Second

// Feed reads events from the journal. It may be used concurrently.
type Feed struct {
	lock *lock.Lockfile

	mu   sync.Mutex
	news chan struct{}
	end  chan struct{}
	once sync.Once
}

// NewFeed returns the feed of a lock file.
func NewFeed(l *lock.Lockfile) *Feed {
	return &Feed{lock: l, news: make(chan struct{}), end: make(chan struct{})}
}

// Close ends all waiting, now and later; a server that stops must not wait for
// those who wait.
func (f *Feed) Close() { f.once.Do(func() { close(f.end) }) }

func (f *Feed) closed() bool {
	select {
	case <-f.end:
		return true
	default:
		return false
	}
}

// Changed wakes those who wait for events. It never blocks.
func (f *Feed) Changed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.news)
	f.news = make(chan struct{})
}

// next is closed by the next call of Changed.
func (f *Feed) next() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.news
}

// End is where the journal ends now: the value of after for what follows.
func (f *Feed) End(ctx context.Context) (uint64, error) { return f.lock.JournalEnd(ctx) }

// After returns the events of up to limit lines after a sequence number, and
// the last line that was read.
func (f *Feed) After(ctx context.Context, after uint64, limit int) ([]api.Event, uint64, error) {
	out := []api.Event{}
	lines, _, err := f.lock.Journal(ctx, after, limit)
	if err != nil {
		return nil, after, err
	}
	for _, line := range lines {
		list, err := f.of(ctx, line)
		if err != nil {
			return nil, after, err
		}
		out, after = append(out, list...), line.Seq
	}
	return out, after, nil
}

// Wait is After, but where there is no event yet it waits for one: until the
// time is over or ctx ends, which is no error and leaves the list empty.
func (f *Feed) Wait(ctx context.Context, after uint64, limit int, wait time.Duration) ([]api.Event, uint64, error) {
	over := time.NewTimer(wait)
	defer over.Stop()
	look := time.NewTicker(recheck)
	defer look.Stop()
	for {
		news := f.next() // before the look, so that nothing falls between
		list, last, err := f.After(ctx, after, limit)
		if err != nil || len(list) > 0 {
			return list, last, err
		}
		if last > after {
			after = last
			continue
		}
		select {
		case <-news:
		case <-look.C:
		case <-over.C:
			return list, after, nil
		case <-f.end:
			return list, after, nil
		case <-ctx.Done():
			return list, after, nil
		}
	}
}
