package server

import (
	"net/http"
	"strings"

	"github.com/gorilla/mux"
)

// matcher finds the endpoint of a path as the router does, without a regular
// expression: it goes through the same routes in the same order. Paths and
// methods that it does not find are the router's to judge.
type matcher struct {
	byDepth [maxDepth + 1][]pattern // number of elements; in the router's order
	closed  bool                    // a route came that it cannot judge: the router has that and the later ones
}

const (
	maxDepth = 16 // elements of a path
	maxVars  = 4  // of a route
)

// pattern is a path of the route table, for one method.
type pattern struct {
	method   string
	elements []element
	to       *endpoint
}

// element is a literal, or a variable and what it takes.
type element struct {
	literal, name string
	digits        bool
}

// variables are what a path has in the places of a route's variables.
type variables struct {
	n    int
	list [maxVars]variable
	more map[string]string // those that the router found
}

type variable struct{ name, value string }

func (v *variables) get(name string) string {
	for i := range v.list[:v.n] {
		if v.list[i].name == name {
			return v.list[i].value
		}
	}
	return v.more[name]
}

// add takes a route in, after those before it.
func (m *matcher) add(template string, methods []string, to *endpoint) {
	var elements []element
	vars := 0
	for e := range strings.SplitSeq(template[1:], "/") {
		inside, variable := strings.CutPrefix(e, "{")
		name, rest, constrained := strings.Cut(strings.TrimSuffix(inside, "}"), ":")
		switch {
		case !variable && !strings.ContainsAny(e, "{}"):
			elements = append(elements, element{literal: e})
		case variable && strings.Index(e, "}") == len(e)-1 && (!constrained || rest == "[0-9]+"):
			elements = append(elements, element{name: name, digits: constrained})
			vars++
		default:
			m.closed = true
		}
	}
	m.closed = m.closed || vars > maxVars
	if m.closed || len(elements) > maxDepth {
		return // a path of as many elements is the router's, and no other path is this route's
	}
	for _, method := range methods {
		m.byDepth[len(elements)] = append(m.byDepth[len(elements)], pattern{method, elements, to})
	}
}

// find returns the endpoint and sets the variables; nil says to ask the router.
func (m *matcher) find(method, path string, vars *variables) *endpoint {
	if !strings.HasPrefix(path, "/") {
		return nil
	}
	var elements [maxDepth]string
	n := 0
	for rest, more := path[1:], true; more; n++ {
		if n == maxDepth {
			return nil
		}
		elements[n], rest, more = strings.Cut(rest, "/")
	}
	for i := range m.byDepth[n] {
		if p := &m.byDepth[n][i]; p.method == method && p.takes(elements[:n]) {
			for j := range p.elements {
				if e := &p.elements[j]; e.name != "" {
					vars.list[vars.n] = variable{e.name, elements[j]}
					vars.n++
				}
			}
			return p.to
		}
	}
	return nil
}

func (p *pattern) takes(elements []string) bool {
	for i := range p.elements {
		e, have := &p.elements[i], elements[i]
		switch {
		case e.name == "":
			if e.literal != have {
				return false
			}
		case have == "" || e.digits && !allDigits(have):
			return false
		}
	}
	return true
}

func allDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// byRouter finds the endpoint of a request with the router, or what the router
// has for requests that no route takes.
func (s *Server) byRouter(r *http.Request, vars *variables) (*endpoint, http.Handler) {
	var m mux.RouteMatch
	s.router.Match(r, &m)
	e, ok := m.Handler.(*endpoint)
	if !ok {
		return nil, m.Handler
	}
	vars.more = m.Vars
	return e, nil
}

// dispatch hands a request to the endpoint of its path and method.
func (s *Server) dispatch(w http.ResponseWriter, r *http.Request) {
	c := &call{w: w, r: r}
	if rec, ok := w.(*recorder); ok {
		c = &rec.call
		c.w, c.r = w, r
	}
	e := s.matcher.find(r.Method, r.URL.Path, &c.vars)
	if e == nil {
		var other http.Handler
		if e, other = s.byRouter(r, &c.vars); e == nil {
			other.ServeHTTP(w, r)
			return
		}
	}
	e.serve(c)
}
