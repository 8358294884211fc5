package render

import (
	"context"
	"sync"
)

// queue hands out slots: first come, first served for each key, and one key
// after the other.
type queue struct {
	mu      sync.Mutex
	free    int
	waiting map[string][]chan struct{}
	turn    []string // keys that wait, the next one first
}

func newQueue(slots int) *queue {
	return &queue{free: slots, waiting: map[string][]chan struct{}{}}
}

// take waits for a slot. The caller gives it back with release.
func (q *queue) take(ctx context.Context, key string) error {
	q.mu.Lock()
	if q.free > 0 {
		q.free--
		q.mu.Unlock()
		return nil
	}
	mine := make(chan struct{})
	if len(q.waiting[key]) == 0 {
		q.turn = append(q.turn, key)
	}
	q.waiting[key] = append(q.waiting[key], mine)
	q.mu.Unlock()
	select {
	case <-mine:
		return nil
	case <-ctx.Done():
	}
	if !q.leave(key, mine) {
		q.release() // the slot came at the same moment
	}
	return context.Cause(ctx)
}

// leave takes a waiting caller out, if it still waits.
func (q *queue) leave(key string, mine chan struct{}) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, c := range q.waiting[key] {
		if c == mine {
			q.drop(key, i)
			return true
		}
	}
	return false
}

// drop removes the i-th caller of a key, and a key without callers.
func (q *queue) drop(key string, i int) {
	left := q.waiting[key]
	left = append(left[:i], left[i+1:]...)
	q.waiting[key] = left
	if len(left) > 0 {
		return
	}
	delete(q.waiting, key)
	for i, k := range q.turn {
		if k == key {
			q.turn = append(q.turn[:i], q.turn[i+1:]...)
			return
		}
	}
}

func (q *queue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.turn) == 0 {
		q.free++
		return
	}
	key := q.turn[0]
	next := q.waiting[key][0]
	q.turn = append(q.turn[1:], key) // behind the others, if it has more
	q.drop(key, 0)
	close(next)
}
