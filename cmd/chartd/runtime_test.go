package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestCollectPercent(t *testing.T) {
	for live, want := range map[uint64]int{0: 1600, 1 << 20: 1600, 10 << 20: 640, 20 << 20: 320, 64 << 20: 100, 128 << 20: 50, 1 << 30: 25, 8 << 30: 25} {
		if got := collectPercent(live); got != want {
			t.Errorf("with %d MB in use: %d percent, want %d", live>>20, got, want)
		}
	}
}

// The percentage follows what is in use, down and up again.
func TestGarbageIsBounded(t *testing.T) {
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	boundGarbage()
	percent := func() int {
		p := debug.SetGCPercent(100)
		debug.SetGCPercent(p)
		return p
	}
	until := func(what string, ok func(int) bool) {
		t.Helper()
		for range 3000 {
			runtime.GC()
			if ok(percent()) {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("%s: still %d percent", what, percent())
	}
	held := make([]byte, 400<<20)
	until("400 MB in use", func(p int) bool { return p < 40 })
	runtime.KeepAlive(held)
	held = nil
	until("nothing in use", func(p int) bool { return p > 200 })
}

func TestProcessorIsAdded(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	t.Setenv("GOMAXPROCS", "7")
	if addProcessor(); runtime.GOMAXPROCS(0) != before {
		t.Errorf("GOMAXPROCS=7 in the environment was passed over: %d processors became %d", before, runtime.GOMAXPROCS(0))
	}
	t.Setenv("GOMAXPROCS", "")
	if addProcessor(); runtime.GOMAXPROCS(0) != before+1 {
		t.Errorf("%d processors became %d", before, runtime.GOMAXPROCS(0))
	}
}
