package repo

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/render"
	"chartd.dev/chartd/lock"
)

// Renderer renders packages in processes of their own, as render.Pool does. An
// error says that the context ended or that nothing could be started.
type Renderer interface {
	Trace(ctx context.Context, key string, pkg []byte, values [][]byte) (render.Trace, error)
	Prove(ctx context.Context, key string, q render.ProveRequest) (render.Proof, error)
}

// keptTraces are those of packages that may be asked for again soon: of a
// binding that was refused nothing else is kept.
const keptTraces = 64

// traced is a package to bind and to seal, and what rendering showed of it.
type traced struct {
	version lock.ChartVersion
	pkg     []byte
	trace   render.Trace
	values  [][]byte        // that were given to render with
	fresh   *lock.Rendering // the trace, to be kept; nil: it is, or must not be
}

// traced finds out what the package of a version shows. That it is not
// rendered is no error: the trace says why.
func (r *Repository) traced(ctx context.Context, v lock.ChartVersion, pkg []byte) (m traced, err error) {
	m = traced{version: v, pkg: pkg}
	if r.Renderer == nil {
		m.trace = unrendered(render.Failure{Reason: render.Off})
		return m, nil
	}
	if t, ok := r.traceOf(ctx, v.Package); ok {
		m.trace = t
		return m, nil
	}
	rendering, known := r.traces.Find(v.Package)
	if !known || rendering.Engine != r.Engine {
		m.trace, err = r.Renderer.Trace(ctx, v.Chart.Name(), pkg, nil)
		if err != nil && ctx.Err() == nil {
			m.trace, err = unrendered(render.Failure{Reason: render.Crashed, Message: err.Error()}), nil
		}
		if err != nil || !lasting(m.trace) {
			return m, err
		}
		if rendering, err = renderingOf(v.Package, m.trace); err != nil {
			return m, err
		}
		r.traces.Put(v.Package, rendering)
	}
	m.fresh = &rendering
	return m, json.Unmarshal(rendering.Trace, &m.trace)
}

// traceOf is the trace that was kept of a package, if this engine made it. One
// that cannot be read is made again.
func (r *Repository) traceOf(ctx context.Context, pkg ref.Digest) (t render.Trace, ok bool) {
	kept, err := r.Lock.Rendering(ctx, pkg)
	if err != nil || kept.Engine != r.Engine {
		return t, false
	}
	err = json.Unmarshal(kept.Trace, &t)
	return t, err == nil && t.Version == render.TraceVersion
}

func renderingOf(pkg ref.Digest, t render.Trace) (lock.Rendering, error) {
	raw, err := json.Marshal(t)
	if err != nil {
		return lock.Rendering{}, fmt.Errorf("encode the trace of %s: %w", pkg, err)
	}
	return lock.Rendering{Package: pkg, Engine: t.Engine, Trace: raw}, nil
}

// lasting reports whether a trace is a fact of its package: it is whole, and
// what was not rendered failed by the chart's own fault.
func lasting(t render.Trace) bool {
	for _, a := range t.Attempts {
		if a.Failure != nil && a.Failure.Reason != render.ChartFault {
			return false
		}
	}
	return t.Partial == "" && t.Engine != ""
}

func unrendered(f render.Failure) render.Trace {
	return render.Trace{Version: render.TraceVersion, Verdict: render.NotRendered, Attempts: []render.Attempt{{Failure: &f}}}
}

// notRendered says that a trace took longer than a publish waits for one.
func notRendered(within time.Duration) error {
	return fmt.Errorf("%w: the chart was not rendered within %s", ErrUnavailable, within)
}

// prove renders a package beside its sealed form. That nothing could be
// started is a proof that failed.
func (r *Repository) prove(ctx context.Context, key string, q render.ProveRequest) (render.Proof, error) {
	p, err := r.Renderer.Prove(ctx, key, q)
	if err != nil && ctx.Err() == nil {
		return render.Proof{Version: render.ProofVersion, Failure: &render.Failure{Reason: render.Crashed, Message: err.Error()}}, nil
	}
	return p, err
}
