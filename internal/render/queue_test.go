package render

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Who asks for much waits for himself: keys take turns, and each key's own
// requests are in order.
func TestQueueIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1)
		if err := q.take(t.Context(), "first"); err != nil {
			t.Fatal(err)
		}
		var order []string
		for _, who := range []string{"a1", "a2", "a3", "b1", "c1", "b2"} {
			go func() {
				if err := q.take(t.Context(), who[:1]); err != nil {
					t.Error(err)
				}
				order = append(order, who)
				q.release()
			}()
			synctest.Wait()
		}
		q.release()
		synctest.Wait()
		if want := []string{"a1", "b1", "c1", "a2", "b2", "a3"}; !slices.Equal(order, want) {
			t.Errorf("served %v, want %v", order, want)
		}
		if q.free != 1 || len(q.turn) != 0 || len(q.waiting) != 0 {
			t.Errorf("left behind: %d free, %v, %v", q.free, q.turn, q.waiting)
		}
	})
}

// Who leaves takes no slot with him.
func TestQueueLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1)
		if err := q.take(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for range 3 {
			go func() {
				if err := q.take(ctx, "b"); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
			}()
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		q.release()
		if q.free != 1 || len(q.turn) != 0 || len(q.waiting) != 0 {
			t.Errorf("left behind: %d free, %v, %v", q.free, q.turn, q.waiting)
		}
	})
}
