package transport

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// smallBody is what a request may hold without asking: most bodies and answers
// are no larger.
const smallBody = 4 << 10

// Memory is the budget of bytes that requests hold at once, beyond the little
// that each may have: bodies while they are read, answers while they are made
// and sent. One caller has half of it at most, unless a single want of his is
// larger, so that no token takes it from the others. A nil one has no bounds.
type Memory struct {
	most  int64
	share int64 // of one caller
	wait  time.Duration

	mu    sync.Mutex
	used  int64
	by    map[string]int64
	freed chan struct{} // closed when something is given back; nil: nobody waits
}

// NewMemory returns a budget of so many bytes. Who finds it used up waits so
// long for it.
func NewMemory(most int64, wait time.Duration) *Memory {
	return &Memory{most: most, share: most / 2, wait: wait, by: map[string]int64{}}
}

// has reports whether n bytes are there now.
func (m *Memory) has(n int64) bool { return m.Used()+n <= m.most }

// Used is how many bytes are held now.
func (m *Memory) Used() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used
}

// Hold is what one holder has of the budget. It is for one goroutine at a time.
type Hold struct {
	memory *Memory
	who    string
	n      int64
}

// Hold begins with nothing. Free has to be called.
func (m *Memory) Hold(who string) *Hold { return &Hold{memory: m, who: who} }

// Take takes so many bytes more, and waits for them. ErrBusy says that they
// were not to be had.
func (h *Hold) Take(ctx context.Context, n int64) error {
	m := h.memory
	if m == nil || n <= 0 {
		return nil
	}
	n = min(n, m.most)
	freed, ok := m.take(h.who, n)
	if ok {
		h.n += n
		return nil
	}
	timer := time.NewTimer(m.wait)
	defer timer.Stop()
	for {
		select {
		case <-freed:
		case <-timer.C:
			return fmt.Errorf("%w: what is being read and answered takes all of the %d bytes that it may, try again in a few seconds", ErrBusy, m.most)
		case <-ctx.Done():
			return ctx.Err()
		}
		if freed, ok = m.take(h.who, n); ok {
			h.n += n
			return nil
		}
	}
}

// take takes n bytes, or returns what is closed when there may be more.
func (m *Memory) take(who string, n int64) (freed chan struct{}, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if has := m.by[who]; m.used+n <= m.most && (has == 0 || has+n <= m.share) {
		m.used += n
		m.by[who] = has + n
		return nil, true
	}
	if m.freed == nil {
		m.freed = make(chan struct{})
	}
	return m.freed, false
}

// Has is how many bytes are held.
func (h *Hold) Has() int64 { return h.n }

// Free gives everything back. It may be called again.
func (h *Hold) Free() { h.Give(h.n) }

// Give gives so many bytes back.
func (h *Hold) Give(n int64) {
	m := h.memory
	if n = min(n, h.n); m == nil || n <= 0 {
		return
	}
	h.n -= n
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used -= n
	if m.by[h.who] -= n; m.by[h.who] == 0 {
		delete(m.by, h.who)
	}
	if m.freed != nil {
		close(m.freed)
		m.freed = nil
	}
}

// Holding is what the request holds of the budget; it is given back when the
// request ends.
func (c *Call) Holding() *Hold {
	if c.hold == nil {
		c.hold = c.NewHold()
	}
	return c.hold
}

// NewHold is one for what outlives the step that read it; its caller frees it.
func (c *Call) NewHold() *Hold {
	who := c.Holder
	if who == "" {
		who = RemoteHost(c.R)
	}
	return c.handler.Memory.Hold(who)
}

// Hold takes so many bytes more until the request ends.
func (c *Call) Hold(n int64) error { return c.Holding().Take(c.Context(), n) }
