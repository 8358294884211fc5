// Package transport is HTTP below what is asked and answered: a table of routes
// and one of errors go in, and it serves connections, finds the route of a
// request, keeps callers within limits, bounds bodies and answers, and counts
// and logs each request. It knows nothing of charts. Its invariants: a path has
// one reading or is not found; every error is answered through the one table,
// in one shape; a body and an answer go on only as long as they make progress.
package transport

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"chartd.dev/chartd/internal/recent"
	"github.com/gorilla/mux"
)

// Config is what a Handler is made of.
type Config struct {
	Routes []Route
	// Problem says how an error is answered to the request with this id.
	Problem func(err error, id string) Problem
	// Failed is told of an error after it was answered; nil: nobody is.
	Failed func(err error)
	// Methods refuses callers that may not learn which methods a path has.
	Methods func(*Call) error
	Metrics *Metrics
	Memory  *Memory // nil: without bounds
	Log     *slog.Logger
}

// Route is a line of the table of routes.
type Route struct {
	Method string   // GET answers HEAD too
	Path   string   // as metrics name it
	Places []string // templates of the paths where it is served
	Serve  func(*Call) error
}

// Handler is an http.Handler.
type Handler struct {
	Config
	router  *mux.Router
	found   recent.Map[target, found]
	nowhere *answers // to requests that no route took
}

// target is all that the router looks at.
type target struct{ method, path string }

// found is what the router has for a target.
type found struct {
	to   http.Handler
	vars map[string]string
}

const (
	maxFound     = 1 << 10 // targets that are kept at least, and half of the most
	maxFoundPath = 256     // bytes of a path that is kept
)

// New registers the routes. Paths are matched decoded; unambiguous has refused
// every encoding that could make two readings of one path.
func New(c Config) *Handler {
	h := &Handler{Config: c, router: mux.NewRouter().SkipClean(true), nowhere: newAnswers(c.Metrics, "none")}
	h.found.Size = maxFound
	for _, rt := range c.Routes {
		e := &endpoint{rt, newAnswers(c.Metrics, rt.Path)}
		methods := []string{rt.Method}
		if rt.Method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
		for _, path := range rt.Places {
			h.router.Path(path).Methods(methods...).Handler(e)
		}
	}
	h.router.NotFoundHandler = toCall(func(c *Call) error {
		return fmt.Errorf("%w: nothing is at %q", ErrNotFound, Clip(c.R.URL.Path))
	})
	h.router.MethodNotAllowedHandler = toCall(h.methodNotAllowed)
	return h
}

// Routes calls fn with the template and the methods of each place of a route,
// in the router's order.
func (h *Handler) Routes(fn func(template string, methods []string) error) error {
	return h.router.Walk(func(r *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		template, err := r.GetPathTemplate()
		if err != nil {
			return err
		}
		methods, err := r.GetMethods()
		if err != nil {
			return err
		}
		return fn(template, methods)
	})
}

// endpoint is a route and the count of its answers.
type endpoint struct {
	Route
	answers *answers
}

// ServeHTTP implements http.Handler, which the router wants.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	c := w.(*Call)
	c.to = e
	if err := e.Serve(c); err != nil {
		c.Fail(err)
	}
}

// toCall is an http.Handler of what is no route's.
type toCall func(*Call) error

func (f toCall) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	c := w.(*Call)
	c.Fail(f(c))
}

// dispatch hands a request to the endpoint of its path and method. The router
// goes through its regular expressions, so what it found is kept: it looks at
// nothing but the target.
func (h *Handler) dispatch(c *Call) {
	at := target{c.R.Method, c.R.URL.Path}
	f, ok := h.found.Find(at)
	if !ok {
		var m mux.RouteMatch
		h.router.Match(c.R, &m)
		f = found{m.Handler, m.Vars}
		if m.MatchErr == nil && len(at.path) <= maxFoundPath {
			h.found.Put(at, f)
		}
	}
	c.vars = f.vars
	f.to.ServeHTTP(c, c.R)
}

// methodNotAllowed names the methods that a path has.
func (h *Handler) methodNotAllowed(c *Call) error {
	if err := h.Methods(c); err != nil {
		return err
	}
	var allowed []string
	for _, m := range methods[:len(methods)-1] {
		probe := c.R.Clone(c.Context())
		probe.Method = m
		var match mux.RouteMatch
		if h.router.Match(probe, &match) && match.MatchErr == nil {
			allowed = append(allowed, m)
		}
	}
	c.Header().Set("Allow", strings.Join(allowed, ", "))
	return fmt.Errorf("%w: %q on %q, allowed here: %s", ErrMethod, Clip(c.R.Method), Clip(c.R.URL.Path), strings.Join(allowed, ", "))
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
			ok = isWord(e[i]) || strings.IndexByte(".~", e[i]) >= 0
		}
		if !ok || !strings.HasPrefix(base, "/") {
			return "", fmt.Errorf("base path %q: want a path such as /org/charts", base)
		}
	}
	return base, nil
}

// isWord reports whether a byte is a letter, a digit, "-" or "_".
func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}
