package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"chartd.dev/chartd/internal/render"
	"github.com/prometheus/client_golang/prometheus"
)

// rendering is the server's pool of renderers, and counts what it does. Where
// it is off, or no pool could be made, charts are not rendered, and all the
// rest goes on.
type rendering struct {
	pool    *render.Pool
	dir     string
	results *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

// renderResults are what becomes of requests: each is there to be read from
// the start.
var renderResults = map[render.Op][]string{
	render.OpTrace: {string(render.Traced), string(render.NoImages), string(render.NotUnderstood), string(render.NotRendered), failed},
	render.OpProve: {proven, refused, string(render.NotRendered), failed},
}

const (
	proven  = "proven"
	refused = "refused"
	failed  = "error" // nothing could be started, or nobody waits any more
)

func newRendering(c Config, d *data, log *slog.Logger) *rendering {
	r := &rendering{
		results: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "chartd_render_requests_total", Help: "Requests to render, by what for and by result."}, []string{"op", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "chartd_render_seconds", Help: "Time to answer a request to render, waiting included.", Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30}}, []string{"op"}),
	}
	for op, results := range renderResults {
		r.seconds.WithLabelValues(string(op))
		for _, result := range results {
			r.results.WithLabelValues(string(op), result)
		}
	}
	if c.Render == "off" {
		return r
	}
	dir, err := os.MkdirTemp(d.temp(), "render-")
	if err == nil {
		r.dir = dir
		r.pool, err = render.New(render.Config{Dir: dir, Log: log, Limits: render.Limits{
			CPU: c.RenderCPU, Memory: int64(c.RenderMemory), Output: int64(c.RenderOutput),
		}})
	}
	if err != nil {
		log.Warn("charts are not rendered until the server is started again", "error", err.Error())
	}
	return r
}

func (r *rendering) on() bool { return r.pool != nil }

// Close ends the pool. Requests have to be over.
func (r *rendering) Close() error {
	var err error
	if r.pool != nil {
		err = r.pool.Close()
	}
	if r.dir != "" {
		err = errors.Join(err, os.RemoveAll(r.dir))
	}
	return err
}

// Trace implements repo.Renderer.
func (r *rendering) Trace(ctx context.Context, key string, pkg []byte, values [][]byte) (render.Trace, error) {
	began := time.Now()
	t, err := r.pool.Trace(ctx, key, pkg, values)
	r.count(render.OpTrace, began, string(t.Verdict), err)
	return t, err
}

// Prove implements repo.Renderer.
func (r *rendering) Prove(ctx context.Context, key string, q render.ProveRequest) (render.Proof, error) {
	began := time.Now()
	p, err := r.pool.Prove(ctx, key, q)
	result := refused
	switch {
	case p.OK:
		result = proven
	case p.Failure != nil:
		result = string(render.NotRendered)
	}
	r.count(render.OpProve, began, result, err)
	return p, err
}

func (r *rendering) count(op render.Op, began time.Time, result string, err error) {
	if err != nil {
		result = failed
	}
	r.results.WithLabelValues(string(op), result).Inc()
	r.seconds.WithLabelValues(string(op)).Observe(time.Since(began).Seconds())
}

func (r *rendering) metrics() []prometheus.Collector {
	return []prometheus.Collector{r.results, r.seconds}
}
