package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The collector lets the heap grow to twice what is in use before it looks
// again. Of an index that stays in use for good, that is as much again for
// nothing: the larger the heap, the less of it is let grow. A collection costs
// little of it, since an index is few objects with nothing in them to follow.
// A small heap would be collected all the time: it is let grow by more.
const (
	headroom     = 64 << 20 // what may be garbage at any size
	leastPercent = 25       // of what is in use
	mostPercent  = 1600     // of less than 4 MB
	worthSetting = 10       // percent of a percentage: a change stops the process for a moment
)

// collectPercent is how much the heap may grow beyond what is in use.
func collectPercent(live uint64) int {
	return int(min(mostPercent, max(leastPercent, 100*headroom/max(live, 1))))
}

// boundGarbage keeps the collector at collectPercent, by looking after each
// collection what is in use. Who sets GOGC or GOMEMLIMIT knows better.
func boundGarbage() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetGCPercent(mostPercent) // nothing is in use yet
	afterCollection(mostPercent)
}

func afterCollection(percent int) {
	// Nothing refers to it: the next collection finds it.
	runtime.AddCleanup(&struct{ b [64]byte }{}, func(int) {
		if p := collectPercent(liveHeap()); max(p-percent, percent-p)*100 > percent*worthSetting {
			debug.SetGCPercent(p)
			percent = p
		}
		afterCollection(percent)
	}, 0)
}

const (
	idleLook = 10 * time.Second // between two looks at what was allocated
	idleLeft = 32 << 20         // bytes allocated since, that are not worth a collection
)

// returnMemory gives the system back what a burst has left behind. A process
// that goes on allocating does so by itself; one that is left alone does not
// collect, and would keep what it had at its peak.
func returnMemory(ctx context.Context) {
	tick := time.NewTicker(idleLook)
	defer tick.Stop()
	var returned, cycles uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if uint64(m.NumGC) == cycles && m.TotalAlloc-returned > idleLeft {
			debug.FreeOSMemory()
			returned = m.TotalAlloc
			runtime.ReadMemStats(&m)
		}
		cycles = uint64(m.NumGC)
	}
}

// addProcessor gives Go one processor more than there are cores. A sync of the
// disk holds its processor until the scheduler takes it away, which it does
// later than most syncs end: with two cores, half of the machine waited with
// it. Who sets GOMAXPROCS knows better.
func addProcessor() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
}

// liveHeap is what the last collection found in use.
func liveHeap() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return s[0].Value.Uint64()
}
