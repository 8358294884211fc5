package lock_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A pin reads and writes as many keys among 100,000 versions as among 1,000,
// and allocates no more than the deeper trees of the store do.
func TestWorkOfAPinDoesNotGrow(t *testing.T) {
	many := int64(grown(t, 100_000))
	s := &counting{Store: bolt(t)}
	r := open(t, s)
	pinned := r.publish("0.0.1")
	r.create("data8/prod")
	r.bump("data8/prod", pinned)
	var made atomic.Int64
	work, allocations := map[int64]string{}, map[int64]float64{}
	for _, size := range []int64{1_000, many} {
		var writers sync.WaitGroup
		for range 64 {
			writers.Go(func() {
				for n := made.Add(1); n < size; n = made.Add(1) {
					if _, err := r.Publish(r.ctx, alice, version(hub(fmt.Sprintf("%d.%d.%d", 1+n/10_000, n/100%100, n%100)), "")); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		writers.Wait()
		np := r.move("data8/prod", pinned)
		// What the store flushes beside the pins is counted, too: the pins' own
		// is what stays when that has ended.
		for try := 0; try < 100; try++ {
			n := testing.AllocsPerRun(20, func() {
				must(r.MakePin(r.ctx, keyed(fmt.Sprint(size, "-", np.Base), "pin data8/prod", ""), np))
				np.Base++
			})
			if try == 0 || n < allocations[size] {
				allocations[size] = n
			}
			if try > 2 && allocations[size] <= 1.5*allocations[1_000] {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		work[size] = fmt.Sprintf("%d keys read, %d written", s.reads.Load(), s.writes.Load())
	}
	if work[1_000] != work[many] {
		t.Errorf("a pin among 1,000 versions: %s; among %d: %s", work[1_000], many, work[many])
	}
	if n := s.reads.Load(); n > 8 {
		t.Errorf("a pin reads %d keys", n)
	}
	if allocations[many] > 1.5*allocations[1_000] || allocations[many] > 600 {
		t.Errorf("a pin makes %.0f allocations among 1,000 versions, %.0f among %d", allocations[1_000], allocations[many], many)
	}
	t.Logf("%s, %.0f allocations", work[many], allocations[many])
}
