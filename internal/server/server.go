// Package server is the HTTP API. It holds no rule of the domain: a handler is
// a function from a typed request to a typed answer that makes one domain call;
// handle.go has what is around it, routes.go the table of routes, errors.go that
// of errors. Its invariants: a request is authorised on what was parsed, never
// on a file name; every error answer has one shape and comes out of one table;
// no answer names a path of this machine.
package server

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/events"
	"chartd.dev/chartd/internal/resolve"
	"chartd.dev/chartd/internal/transport"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/repo"
	"github.com/prometheus/client_golang/prometheus"
)

// Config is what a server is made of.
type Config struct {
	Repo *repo.Repository
	Lock *lock.Lockfile
	Auth *auth.Authenticator
	Log  *slog.Logger
	Now  func() time.Time

	Version       string
	BasePath      string // "" or "/org/charts"
	AnonymousRead bool
	ArtifactHub   []byte        // body of artifacthub-repo.yml; nil: none
	MaxUpload     int64         // bytes of a package
	UploadSlots   int           // uploads at once
	UploadWait    time.Duration // for a slot
	Memory        int64         // bytes that requests hold at once; 0: without bounds
	Limits        Limits

	// Feed tells of events; nil: one of its own.
	Feed *events.Feed
	// WebhookURL refuses a URL that no webhook may have; nil: all that are not
	// at a public address.
	WebhookURL func(*url.URL) error

	// Backup writes a consistent backup while the server goes on.
	Backup func(context.Context, io.Writer) error
	// Ready says why writes could not be kept, beyond what the lock store
	// itself says. nil: nothing to add.
	Ready func(context.Context) error
	// Collectors are metrics of what the server stands on.
	Collectors []prometheus.Collector
	// Broken is told of an error after which the process must stop. It is
	// called once or more, after the answer.
	Broken func(error)
}

// Server is the HTTP side of a repository.
type Server struct {
	Config
	http       *transport.Handler
	metrics    *transport.Metrics
	slots      *transport.Slots // of uploads
	guesses    *transport.Guesses
	limits     limits
	anonymous  auth.Principal
	ready      readiness
	unread     atomic.Int32 // kinds of clients that cannot read the whole index, as logged
	readyGauge prometheus.Gauge
	unusual    *prometheus.CounterVec
	openAPI    []byte
}

// New builds the server and its routes.
func New(c Config) (*Server, error) {
	base, err := transport.CleanBase(c.BasePath)
	if err != nil {
		return nil, err
	}
	c.BasePath = base
	if c.Feed == nil {
		c.Feed = events.NewFeed(c.Lock)
	}
	if c.WebhookURL == nil {
		out, err := resolve.NewOutward("allow-webhook", nil)
		if err != nil {
			return nil, err
		}
		c.WebhookURL = out.Check
	}
	m := transport.NewMetrics()
	s := &Server{
		Config: c, metrics: m, slots: transport.NewSlots(c.UploadSlots, c.UploadWait, m),
		guesses: transport.NewGuesses(c.Limits.FailedAuth, m), limits: newLimits(c.Limits, m), anonymous: auth.Anonymous(c.AnonymousRead),
		readyGauge: prometheus.NewGauge(prometheus.GaugeOpts{Name: "chartd_ready", Help: "1 if the last readiness check found that writes can be kept."}),
	}
	s.unusual = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "chartd_chart_warnings_total", Help: "Warnings about chart versions that were taken."}, []string{"by"})
	for _, by := range []string{"publish", "import"} {
		s.unusual.WithLabelValues(by) // 0 is a figure too
	}
	m.Registry.MustRegister(append(s.Collectors, s.readyGauge, s.unusual)...)
	if s.openAPI, err = describe(s.Version, s.BasePath); err != nil {
		return nil, err
	}
	var table []transport.Route
	var memory *transport.Memory
	if c.Memory > 0 {
		memory = transport.NewMemory(c.Memory, c.UploadWait)
	}
	for _, rt := range routes() {
		table = append(table, transport.Route{Method: rt.method, Path: rt.path, Places: s.places(rt), Serve: s.wrap(rt)})
	}
	s.http = transport.New(transport.Config{
		Routes: table, Problem: problemOf, Failed: s.failed, Metrics: m, Memory: memory, Log: s.Log,
		Methods: func(c *transport.Call) error { return s.admit(reads, &call{Call: c}) },
	})
	return s, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.http.ServeHTTP(w, r) }

// Metrics serves metrics and profiles; it belongs on a listener of its own.
func (s *Server) Metrics() http.Handler { return s.metrics.Handler() }

// places is where a route is served. ChartMuseum's API has a second place
// where there is a base path: its push plugin puts the path after "api" for a
// repository whose context path it was not told.
func (s *Server) places(rt route) []string {
	out := []string{s.BasePath + rt.path}
	if s.BasePath == "" {
		return out
	}
	if rest, ok := strings.CutPrefix(rt.path, "/api/"); ok && !strings.HasPrefix(rest, "v1/") {
		out = append(out, "/api"+s.BasePath+"/"+rest)
	}
	if rt.access.kind == open && rt.path != "/" {
		out = append(out, rt.path)
	}
	if rt.path == "/" {
		out = append(out, s.BasePath)
	}
	return out
}
