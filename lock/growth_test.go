package lock_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// A publish reads and writes as many keys among 100,000 versions as among
// 1,000, in one transaction.
func TestWorkOfAPublishDoesNotGrow(t *testing.T) {
	many := int64(grown(t, 100_000))
	s := &counting{Store: bolt(t)}
	r := open(t, s)
	var made atomic.Int64
	publish := func() error {
		n := made.Add(1)
		_, err := r.Publish(r.ctx, alice, version(hub(fmt.Sprintf("%d.%d.%d", n/10_000, n/100%100, n%100)), ""))
		return err
	}
	work := map[int64]string{}
	for _, size := range []int64{1_000, many} {
		var writers sync.WaitGroup
		for range 64 {
			writers.Go(func() {
				for made.Load() < size-64 {
					if err := publish(); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		writers.Wait()
		if err := publish(); err != nil { // alone, so that the count is its own
			t.Fatal(err)
		}
		work[size] = fmt.Sprintf("%d keys read, %d written", s.reads.Load(), s.writes.Load())
	}
	if work[1_000] != work[many] {
		t.Errorf("a publish among 1,000 versions: %s; among %d: %s", work[1_000], many, work[many])
	}
	t.Log(work[many])
}
