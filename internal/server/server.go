// Package server answers HTTP. It holds no rule of the domain: a handler
// decodes, makes one domain call, and encodes. Its invariants: a request is
// authorised on what was parsed, never on a file name; every error answer has
// one shape and comes out of one table; no answer names a path of this
// machine.
package server

import (
	"context"
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
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/repo"
	"github.com/gorilla/mux"
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

// Server is the HTTP side of a repository.
type Server struct {
	Config
	router    *mux.Router
	matcher   matcher
	handler   http.Handler
	slots     chan struct{}
	limits    limits
	guesses   *guesses // nil: no limit
	metrics   *metrics
	nowhere   *answers // to requests that no route took
	anonymous auth.Principal
	ready     readiness
	openAPI   []byte
}

// New builds the server and its routes.
func New(c Config) (*Server, error) {
	base, err := CleanBase(c.BasePath)
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
	s := &Server{Config: c, slots: make(chan struct{}, c.UploadSlots), metrics: newMetrics()}
	s.metrics.registry.MustRegister(c.Collectors...)
	if s.openAPI, err = describe(s.Version, s.BasePath); err != nil {
		return nil, err
	}
	s.limits, s.guesses = newLimits(s.Limits, s.metrics), newGuesses(s.Limits.FailedAuth, s.metrics)
	s.nowhere = newAnswers(s.metrics, "none")
	s.anonymous = auth.Anonymous(s.AnonymousRead)
	s.router = s.newRouter()
	s.handler = s.observe(guardPath(http.HandlerFunc(s.dispatch)))
	return s, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// newRouter registers the route table. Paths are matched decoded; guardPath
// has refused every encoding that could make two readings of one path.
func (s *Server) newRouter() *mux.Router {
	router := mux.NewRouter().SkipClean(true)
	for _, rt := range routes() {
		e := &endpoint{route: rt, server: s, answers: newAnswers(s.metrics, rt.path), limit: s.limits.of(rt.access)}
		methods := []string{rt.method}
		if rt.method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
		for _, path := range s.places(rt) {
			router.Path(path).Methods(methods...).Name(rt.name + " " + path).Handler(e)
			s.matcher.add(path, methods, e)
		}
	}
	router.NotFoundHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, fmt.Errorf("%w: nothing is at %q", errNoRoute, clip(r.URL.Path)))
	})
	router.MethodNotAllowedHandler = http.HandlerFunc(s.methodNotAllowed)
	return router
}

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
	w    http.ResponseWriter
	r    *http.Request
	who  auth.Principal
	vars variables
}

func (c *call) ctx() context.Context { return c.r.Context() }

// set is Set of a header in its canonical spelling.
func (c *call) set(name, value string) { setHeader(c.w, name, value) }

func setHeader(w http.ResponseWriter, name, value string) {
	if rec, ok := w.(*recorder); ok {
		rec.set(name, value)
		return
	}
	w.Header().Set(name, value)
}

func (c *call) arg(name string) string { return c.vars.get(name) }

// endpoint is a route with what every route has around its handler.
type endpoint struct {
	route
	server  *Server
	answers *answers
	limit   *limit // nil: none
}

// ServeHTTP implements http.Handler, which the router wants.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.server.dispatch(w, r)
}

func (e *endpoint) serve(c *call) {
	s := e.server
	stateOf(c.w).to = e
	if err := s.admit(e.route.access, c); err != nil {
		s.fail(c.w, c.r, err)
		return
	}
	if e.limit != nil {
		if err := e.limit.admit(c, s.Now()); err != nil {
			s.fail(c.w, c.r, err)
			return
		}
	}
	if e.upload {
		release, err := s.slot(c.ctx())
		if err != nil {
			s.fail(c.w, c.r, err)
			return
		}
		defer release()
	}
	if c.r.Body != nil && c.r.Body != http.NoBody {
		// A request of our own: net/http knows from its body that an answer need
		// not wait for the rest of it.
		r := *c.r
		r.Body = newPacedBody(c.w, c.r.Body)
		c.r = &r
	}
	if e.method != http.MethodGet {
		defer s.Feed.Changed() // a refusal is an event, too
	}
	if err := e.do(s, c); err != nil {
		s.fail(c.w, c.r, err)
	}
}

// admit checks the credential and the route's rule, before the body is read.
func (s *Server) admit(rule access, c *call) error {
	if rule.kind == open {
		return nil
	}
	p, ok, err := s.authenticate(c)
	if err != nil {
		return err
	}
	if !ok {
		p = s.anonymous
	}
	c.who = p
	stateOf(c.w).who = p.Name
	if enc := c.r.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return fmt.Errorf("%w: Content-Encoding %q, send the body as it is", errMediaType, clip(enc))
	}
	return rule.check(c)
}

// slot waits for a place among the uploads that run at once.
func (s *Server) slot(ctx context.Context) (release func(), err error) {
	wait := time.NewTimer(s.UploadWait)
	defer wait.Stop()
	select {
	case s.slots <- struct{}{}:
		s.metrics.uploads.Inc()
		return func() { s.metrics.uploads.Dec(); <-s.slots }, nil
	case <-wait.C:
		return nil, fmt.Errorf("%w: %d uploads are running, try again in a few seconds", errBusy, cap(s.slots))
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// methodNotAllowed names the methods that a path has, to those who may read.
func (s *Server) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	if err := s.admit(reads, &call{w: w, r: r}); err != nil {
		s.fail(w, r, err)
		return
	}
	var allowed []string
	for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := r.Clone(r.Context())
		probe.Method = m
		var match mux.RouteMatch
		if s.router.Match(probe, &match) && match.MatchErr == nil {
			allowed = append(allowed, m)
		}
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	s.fail(w, r, fmt.Errorf("%w: %q on %q, allowed here: %s", errMethod, clip(r.Method), clip(r.URL.Path), strings.Join(allowed, ", ")))
}

// CleanBase checks a base path and takes a slash at its end away.
func CleanBase(base string) (string, error) {
	base = strings.TrimSuffix(base, "/")
	if base == "" {
		return "", nil
	}
	for _, e := range strings.Split(strings.TrimPrefix(base, "/"), "/") {
		ok := e != "" && e != "." && e != ".."
		for i := 0; i < len(e) && ok; i++ {
			ok = e[i] >= 'a' && e[i] <= 'z' || e[i] >= 'A' && e[i] <= 'Z' || e[i] >= '0' && e[i] <= '9' || strings.IndexByte("-_.~", e[i]) >= 0
		}
		if !ok || !strings.HasPrefix(base, "/") {
			return "", fmt.Errorf("base path %q: want a path such as /org/charts", base)
		}
	}
	return base, nil
}
