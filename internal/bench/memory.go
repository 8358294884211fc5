package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// resident is what a process holds, in MB.
type resident struct {
	own  float64 // anonymous memory, at most
	peak float64 // all of it at most, the mapped database file included
}

func (r resident) String() string {
	return fmt.Sprintf("with the mapped database file %.0f MB at most", r.peak)
}

// watch samples a process until stop. The kernel keeps the peak of the whole
// only, and pages of the mapped file are the page cache's rather than the
// server's.
func watch(pid int) (stop func() resident) {
	var r resident
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			own, peak := memory(pid)
			r.own, r.peak = max(r.own, own), max(r.peak, peak)
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	})
	return func() resident { close(done); wg.Wait(); return r }
}

func memory(pid int) (own, peak float64) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(raw)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kb, _ := strconv.ParseFloat(f[1], 64)
		switch f[0] {
		case "RssAnon:":
			own = kb / 1024
		case "VmHWM:":
			peak = kb / 1024
		}
	}
	return own, peak
}
