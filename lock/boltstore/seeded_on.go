//go:build chartd_seeded

package boltstore

import (
	"sync"
	"time"
)

// committing is held from an answer to the commit that it came too early for.
var committing sync.RWMutex

// seededFault answers before the commit: the fault that the kill loop has to
// find. Only a build with the tag chartd_seeded has it.
func (g *group) seededFault() (committed func()) {
	committing.Lock()
	for _, r := range g.requests {
		close(r.done)
	}
	g.requests = nil
	time.Sleep(2 * time.Millisecond)
	return committing.Unlock
}

// seededWait waits for such a commit, for a read that failed because what was
// answered is not there yet: only a kill shall show the fault.
func seededWait() bool {
	committing.RLock()
	defer committing.RUnlock()
	return true
}
