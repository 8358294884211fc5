package repo_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/render"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/repo"
)

// tracer answers each request to trace by its own function.
type tracer struct {
	trace func(context.Context) (render.Trace, error)
	asked int
}

func (f *tracer) Trace(ctx context.Context, _ string, _ []byte, _ [][]byte) (render.Trace, error) {
	f.asked++
	return f.trace(ctx)
}

func (f *tracer) Prove(context.Context, string, render.ProveRequest) (render.Proof, error) {
	return render.Proof{}, errors.New("nothing is proven here")
}

const engine = "an engine"

func traced(context.Context) (render.Trace, error) {
	return render.Trace{
		Version: render.TraceVersion, Engine: engine, Verdict: render.Traced, Attempts: []render.Attempt{{}},
		Images: []render.Image{{Role: "hub", Text: "quay.io/jupyterhub/k8s-hub:1"}},
	}, nil
}

func killed(context.Context) (render.Trace, error) {
	return render.Trace{Version: render.TraceVersion, Verdict: render.NotRendered, Attempts: []render.Attempt{{Failure: &render.Failure{Reason: render.TimeLimit}}}}, nil
}

func partial(ctx context.Context) (render.Trace, error) {
	t, err := traced(ctx)
	t.Partial = "too many scalars"
	return t, err
}

func unstarted(context.Context) (render.Trace, error) {
	return render.Trace{}, errors.New("no more processes")
}

// A trace is made once for each package and engine, and again where it says
// nothing that lasts. None of it keeps a chart from being published.
func TestTraceIsKept(t *testing.T) {
	for name, tt := range map[string]struct {
		trace func(context.Context) (render.Trace, error)
		want  int // traces for a publish and two binds
		kept  bool
	}{
		"whole":   {traced, 1, true},
		"killed":  {killed, 3, false},
		"partial": {partial, 3, false},
		"error":   {unstarted, 3, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := &tracer{trace: tt.trace}
			g := newRig(t, func(c *repo.Config) { c.Renderer, c.Engine = f, engine })
			g.registry.push(t, "quay.io/jupyterhub/k8s-hub:1", "base", "hub")
			v := g.publish(t, hub(t, "1.0.0", "1")).Chart
			for range 2 {
				if _, _, err := g.Bind(ctx, op("bind"), repo.BindRequest{Chart: v.Chart}); err != nil {
					t.Fatal(err)
				}
			}
			if f.asked != tt.want {
				t.Errorf("traced %d times, want %d", f.asked, tt.want)
			}
			kept, err := g.lockfile.Rendering(ctx, v.Package)
			if tt.kept != (err == nil) || tt.kept && (kept.Engine != engine || kept.At.IsZero()) {
				t.Errorf("kept: %+v, %v", kept, err)
			}
		})
	}
}

func TestTraceOfAnotherEngineIsMadeAgain(t *testing.T) {
	f := &tracer{trace: traced}
	g := newRig(t, func(c *repo.Config) { c.Renderer, c.Engine = f, engine })
	g.registry.push(t, "quay.io/jupyterhub/k8s-hub:1", "base", "hub")
	v := g.publish(t, hub(t, "1.0.0", "1")).Chart
	g.Engine = "a newer engine"
	f.trace = func(ctx context.Context) (render.Trace, error) {
		t, err := traced(ctx)
		t.Engine = g.Engine
		return t, err
	}
	for range 2 {
		if _, _, err := g.Bind(ctx, op("bind"), repo.BindRequest{Chart: v.Chart}); err != nil {
			t.Fatal(err)
		}
	}
	if kept, err := g.lockfile.Rendering(ctx, v.Package); err != nil || kept.Engine != g.Engine || f.asked != 2 {
		t.Errorf("traced %d times, kept %+v, %v", f.asked, kept, err)
	}
}

// What a refused bind learnt is used again.
func TestTraceOutlivesARefusal(t *testing.T) {
	f := &tracer{trace: traced}
	g := newRig(t, func(c *repo.Config) { c.Renderer, c.Engine, c.Resolver = f, engine, nil })
	v := g.publish(t, hub(t, "1.0.0", "1")).Chart
	for range 2 {
		if _, _, err := g.Bind(ctx, op("bind"), repo.BindRequest{Chart: v.Chart}); !errors.Is(err, repo.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	if f.asked != 1 {
		t.Errorf("traced %d times", f.asked)
	}
}

func TestTraceGoesWithItsPackage(t *testing.T) {
	f := &tracer{trace: traced}
	g := newRig(t, func(c *repo.Config) { c.Renderer, c.Engine = f, engine })
	g.registry.push(t, "quay.io/jupyterhub/k8s-hub:1", "base", "hub")
	v := g.publish(t, hub(t, "1.0.0", "1")).Chart
	if _, err := g.lockfile.Rendering(ctx, v.Package); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Purge(ctx, op("purge"), v.Chart, "a secret in it"); err != nil {
		t.Fatal(err)
	}
	if _, err := g.lockfile.Rendering(ctx, v.Package); !errors.Is(err, lock.ErrNotFound) {
		t.Errorf("after the purge: %v", err)
	}
}

// A publish does not wait for ever: the chart is published unbound, with the
// reason.
func TestPublishWaitsForATraceOnlySoLong(t *testing.T) {
	f := &tracer{trace: func(ctx context.Context) (render.Trace, error) {
		<-ctx.Done()
		return render.Trace{}, ctx.Err()
	}}
	g := newRig(t, func(c *repo.Config) { c.Renderer, c.Engine, c.RenderTimeout = f, engine, 20*time.Millisecond })
	g.registry.push(t, "quay.io/jupyterhub/k8s-hub:1", "base", "hub")
	if out := g.publish(t, hub(t, "1.0.0", "1")); out.Binding != nil || !strings.Contains(out.Chart.Unbound, "was not rendered within 20ms") || !out.Chart.BindAgain {
		t.Errorf("%+v", out)
	}
	_, err := g.Publish(ctx, op("publish"), repo.Upload{Package: hub(t, "1.0.1", "1"), RequireBinding: true})
	if !errors.Is(err, repo.ErrUnavailable) {
		t.Errorf("required: %v", err)
	}
	if _, err := g.lockfile.ChartVersion(ctx, versionOf(t, "jupyterhub", "1.0.1")); !errors.Is(err, lock.ErrNotFound) {
		t.Errorf("it was published: %v", err)
	}
}

func versionOf(t *testing.T, name, version string) ref.ChartVersion {
	t.Helper()
	v, err := ref.ParseChartVersion(name, version)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
