package server

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"chartd.dev/chartd/internal/render"
)

// stuck renders nothing until it is told to.
type stuck struct {
	began chan struct{}
	end   chan struct{}
}

func (r stuck) Trace(ctx context.Context, _ string, _ []byte, _ [][]byte) (render.Trace, error) {
	r.began <- struct{}{}
	select {
	case <-r.end:
		return render.Trace{Version: render.TraceVersion, Verdict: render.NoImages, Attempts: []render.Attempt{{}}}, nil
	case <-ctx.Done():
		return render.Trace{}, ctx.Err()
	}
}

func (stuck) Prove(context.Context, string, render.ProveRequest) (render.Proof, error) {
	return render.Proof{}, nil
}

// Uploads whose charts are being rendered hold no place of others, but not
// without end: each has its package in memory.
func TestUploadsThatWaitHoldNoPlace(t *testing.T) {
	g := newRig(t, func(c *Config) { c.UploadSlots, c.UploadWait = 1, 50*time.Millisecond })
	r := stuck{began: make(chan struct{}), end: make(chan struct{})}
	g.repo.Renderer = r
	token := g.token("publisher", "publish:*") // an administrator has a place of his own
	var all sync.WaitGroup
	for n := range 5 { // four stand aside, one has the place
		all.Go(func() {
			g.want(201, request{method: "POST", path: "/api/charts", token: token, body: pack(t, fmt.Sprint("a", n), "1.0.0", "")})
		})
		<-r.began
	}
	g.want(503, request{method: "POST", path: "/api/charts", token: token, body: pack(t, "late", "1.0.0", "")})
	close(r.end)
	all.Wait()
	go func() { <-r.began }()
	g.want(201, request{method: "POST", path: "/api/charts", token: token, body: pack(t, "late", "1.0.0", "")})
}
