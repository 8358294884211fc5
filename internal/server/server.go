// Package server answers HTTP. It holds no rule of the domain: a handler
// decodes, makes one domain call, and encodes. Its invariants: a request is
// authorised on what was parsed, never on a file name; every error answer has
// one shape and comes out of one table; no answer names a path of this
// machine.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
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

// Limits are what one caller may ask for: a token, or an address where there
// is no valid one.
type Limits struct {
	FailedAuth transport.Rate // credentials that are no valid token, of an address
	Publish    transport.Rate // uploads: packages, provenance files, imports
	Pin        transport.Rate
	Read       transport.Rate
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
	readyGauge prometheus.Gauge
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
	m.Registry.MustRegister(append(s.Collectors, s.readyGauge)...)
	if s.openAPI, err = describe(s.Version, s.BasePath); err != nil {
		return nil, err
	}
	var table []transport.Route
	for _, rt := range routes() {
		table = append(table, transport.Route{Method: rt.method, Path: rt.path, Places: s.places(rt), Serve: s.wrap(rt)})
	}
	s.http = transport.New(transport.Config{
		Routes: table, Problem: problemOf, Failed: s.failed, Metrics: m, Log: s.Log,
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

// call is one request on its way through a handler.
type call struct {
	*transport.Call
	who auth.Principal
}

// answer sends a JSON value that is not an error.
func (c *call) answer(status int, v any) error {
	c.JSON(status, v)
	return nil
}

// wrap puts around a handler what every route has.
func (s *Server) wrap(rt route) func(*transport.Call) error {
	limit := s.limits.of(rt.access)
	return func(tc *transport.Call) error {
		c := &call{Call: tc}
		if err := s.admit(rt.access, c); err != nil {
			return err
		}
		if err := limit.Admit(c.R, transport.Caller{Token: c.who.TokenID, Name: c.who.Name}, s.Now); err != nil {
			return err
		}
		if rt.upload {
			release, err := s.slots.Take(c.Context())
			if err != nil {
				return err
			}
			defer release()
		}
		if rt.method != get {
			defer s.Feed.Changed() // a refusal is an event, too
		}
		return rt.do(s, c)
	}
}

// admit checks the credential and the route's rule, before the body is read.
func (s *Server) admit(rule access, c *call) error {
	if rule.kind == open {
		return nil
	}
	if err := s.authenticate(c); err != nil {
		return err
	}
	c.Who = c.who.Name
	if enc := c.R.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return fmt.Errorf("%w: Content-Encoding %q, send the body as it is", transport.ErrMediaType, transport.Clip(enc))
	}
	return rule.check(c)
}

// authenticate finds the caller of a request, within the limit on guesses.
func (s *Server) authenticate(c *call) error {
	if err := s.guesses.Known(c.R, s.Now); err != nil {
		return err
	}
	p, ok, err := s.Auth.Authenticate(c.Context(), c.R.Header["Authorization"])
	if errors.Is(err, auth.ErrUnauthorized) {
		err = s.guesses.Failed(c.R, s.Now, err)
	}
	if c.who = p; !ok {
		c.who = s.anonymous
	}
	return err
}

// limits are those of all routes.
type limits struct{ publish, pin, read *transport.Limit }

func newLimits(c Limits, m *transport.Metrics) limits {
	return limits{
		publish: transport.NewLimit("publish", c.Publish, m),
		pin:     transport.NewLimit("pin", c.Pin, m),
		read:    transport.NewLimit("read", c.Read, m),
	}
}

// of is the limit of a route; nil: none. Probes have none, and neither has
// what few people do seldom.
func (l limits) of(a access) *transport.Limit {
	switch {
	case a.kind == open:
	case a.kind == anyone || a.action == auth.Read:
		return l.read
	case a.action == auth.Publish || a.action == auth.Import:
		return l.publish
	case a.action == auth.Pin:
		return l.pin
	}
	return nil
}
