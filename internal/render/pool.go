package render

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Pool runs requests in processes of their own. It is safe for concurrent use.
type Pool struct {
	c     Config
	queue *queue
	made  string // directory that the pool made

	shared   atomic.Bool // the system gives no name spaces
	confined sync.Once
}

// New prepares a pool. It starts nothing.
func New(c Config) (*Pool, error) {
	p := &Pool{c: c.orDefault()}
	p.queue = newQueue(p.c.Concurrency)
	if p.c.Dir == "" {
		dir, err := os.MkdirTemp("", "chartd-render-")
		if err != nil {
			return nil, fmt.Errorf("make a directory to render in: %w", err)
		}
		p.c.Dir, p.made = dir, dir
	}
	return p, nil
}

// Close removes what New made. Requests have to be over.
func (p *Pool) Close() error {
	if p.made == "" {
		return nil
	}
	return os.Remove(p.made)
}

// Manifests is a rendered package, or why there is none.
type Manifests struct {
	Failure   *Failure   `json:"failure,omitempty"`
	Manifests []Manifest `json:"manifests,omitempty"`
}

// Manifest is one rendered document as helm template prints it, and in its
// order: hooks last.
type Manifest struct {
	Template string `json:"template"` // as helm template says after "# Source:"
	Hook     bool   `json:"hook,omitempty"`
	Text     string `json:"text"`
}

// Render renders a package with values files over its own, as helm template
// does. Requests of one key wait for each other; pass whom it is for.
func (p *Pool) Render(ctx context.Context, key string, pkg []byte, values [][]byte) (Manifests, error) {
	a, f, err := p.do(ctx, key, Request{Op: OpRender, Packages: [][]byte{pkg}, Values: values})
	return Manifests{Failure: f, Manifests: a.Manifests}, err
}

// Trace finds the images that a package shows and what feeds them. Values are
// files to try, each alone, where the package does not render without.
func (p *Pool) Trace(ctx context.Context, key string, pkg []byte, values [][]byte) (Trace, error) {
	a, f, err := p.do(ctx, key, Request{Op: OpTrace, Packages: [][]byte{pkg}, Values: values})
	if err != nil {
		return Trace{}, err
	}
	if a.Trace == nil {
		return Trace{Version: TraceVersion, Verdict: NotRendered, Attempts: []Attempt{{Failure: orCrashed(f)}}}, nil
	}
	return *a.Trace, nil
}

// Prove compares a package with its sealed form, as both render.
func (p *Pool) Prove(ctx context.Context, key string, q ProveRequest) (Proof, error) {
	a, f, err := p.do(ctx, key, Request{Op: OpProve, Packages: [][]byte{q.Original, q.Sealed}, Values: q.Values, Bound: q.Bound})
	if err != nil {
		return Proof{}, err
	}
	if a.Proof == nil {
		return Proof{Version: ProofVersion, Failure: orCrashed(f)}, nil
	}
	return *a.Proof, nil
}

func orCrashed(f *Failure) *Failure {
	if f == nil {
		return &Failure{Crashed, "its answer holds no result"}
	}
	return f
}

// do runs a request, a second time where its process was killed.
func (p *Pool) do(ctx context.Context, key string, q Request) (Answer, *Failure, error) {
	if err := p.queue.take(ctx, key); err != nil {
		return Answer{}, nil, err
	}
	defer p.queue.release()
	a, f, err := p.once(ctx, q)
	if err == nil && f != nil && f.Reason != ChartFault {
		p.c.Log.Warn("rendering was ended, and is tried once more", "key", key, "reason", string(f.Reason), "message", f.Message)
		a, f, err = p.once(ctx, q)
	}
	return a, f, err
}

// once runs a request in one process.
func (p *Pool) once(ctx context.Context, q Request) (Answer, *Failure, error) {
	began := time.Now()
	isolated := !p.shared.Load()
	proc := p.c.process(isolated)
	a, f, err := proc.run(ctx, q)
	if err != nil && isolated && ctx.Err() == nil && refusedIsolation(err) {
		p.shared.Store(true)
		isolated, proc = false, p.c.process(false)
		a, f, err = proc.run(ctx, q)
	}
	if err != nil {
		if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
			err = errors.Join(ctx.Err(), err)
		}
		return a, f, err
	}
	if isolated {
		a.Confined = append(a.Confined, "a network of its own")
	}
	if f == nil || f.Reason == ChartFault {
		p.confined.Do(func() { p.c.Log.Info("rendering is confined", "by", a.Confined) })
	}
	p.c.Log.Debug("rendered", "cpu", (proc.cmd.ProcessState.UserTime() + proc.cmd.ProcessState.SystemTime()).String(), "op", string(q.Op), "wall", time.Since(began).String(), "memory", peakMemory(proc.cmd.ProcessState))
	return a, f, nil
}
