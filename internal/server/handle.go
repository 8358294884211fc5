package server

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/strictjson"
	"chartd.dev/chartd/internal/transport"
	"chartd.dev/chartd/lock"
)

// call is one request on its way through a handler.
type call struct {
	*transport.Call
	who      auth.Principal
	env      ref.Env    // that the path names, if it names one
	revision uint64     // the same
	base     uint64     // environment revision of If-Match, where the route wants it
	key      string     // Idempotency-Key; "": none
	body     ref.Digest // of what was sent, with the preconditions that belong to it
	status   int        // of the answer; the route's first one unless the handler says otherwise
	leave    func()     // gives the upload's place back; nil: it has none
}

// handler is a function from a typed request to a typed answer, and the types.
type handler struct {
	query, body reflect.Type // nil: none
	out         reflect.Type
	lists       bool // the answer holds a list: what it takes is not known before it is made
	do          func(*Server, *call) error
}

// handle wraps a function once for all routes. A request is a struct: one of
// fields with the tag `query` is read from there, with the field Body from the
// body; any other one is the body.
func handle[In, Out any](f func(*Server, *call, In) (Out, error)) handler {
	h := handler{out: reflect.TypeFor[Out]()}
	h.lists = holdsList(h.out)
	in := reflect.TypeFor[In]()
	inside, both := in.FieldByName("Body")
	switch {
	case both:
		h.query, h.body = in, inside.Type
	case len(transport.ParamNames(in)) > 0:
		h.query = in
	case in.NumField() > 0:
		h.body = in
	}
	h.do = func(s *Server, c *call) error {
		var req In
		if h.query != nil {
			if err := c.Params(&req); err != nil {
				return err
			}
		}
		if h.body != nil {
			v := reflect.ValueOf(&req).Elem()
			if both {
				v = v.FieldByIndex(inside.Index)
			}
			if err := c.decode(v); err != nil {
				return err
			}
		}
		out, err := f(s, c, req)
		if err != nil || c.Started() {
			return err
		}
		return c.send(out)
	}
	return h
}

// holdsList reports whether an answer is made whole and holds a list.
func holdsList(t reflect.Type) bool {
	if t.Implements(reflect.TypeFor[answer]()) {
		return false
	}
	if t.Kind() != reflect.Struct {
		return t.Kind() == reflect.Slice
	}
	for i := range t.NumField() {
		if t.Field(i).Type.Kind() == reflect.Slice {
			return true
		}
	}
	return false
}

// params are the names of what is read from the query.
func (h handler) params() []string {
	if h.query == nil {
		return nil
	}
	return transport.ParamNames(h.query)
}

// none is a request of nothing but the path, or an answer without a body.
type none struct{}

// answer is what a handler returns and is not JSON.
type answer interface{ send(*call) error }

func (none) send(c *call) error { c.WriteHeader(http.StatusNoContent); return nil }

func (c *call) send(out any) error {
	if a, ok := out.(answer); ok {
		return a.send(c)
	}
	c.JSON(c.status, out)
	return nil
}

// decode reads a JSON body strictly: one value, no unknown and no doubled
// key, valid UTF-8, and none of the required keys without a value.
func (c *call) decode(into reflect.Value) error {
	data, err := c.ReadJSON()
	if err != nil {
		return err
	}
	if err := strictjson.Unmarshal(data, into.Addr().Interface()); err != nil {
		if errors.Is(err, ref.ErrInvalid) {
			return err
		}
		return fmt.Errorf("%w: read JSON body: %w", transport.ErrBadRequest, err)
	}
	if name := strictjson.Missing(into); name != "" {
		return missing(name)
	}
	if string(bytes.TrimSpace(data)) == "null" {
		return transport.BadRequest("read JSON body: it is null, want an object: {} where there is nothing to say")
	}
	c.body = ref.DigestOf(append(data, "\n"+c.R.Header.Get("If-Match")...))
	return nil
}

func missing(name string) error {
	return transport.BadRequest("read JSON body: %q is missing or empty", name)
}

// wrap puts around a handler what every route has.
func (s *Server) wrap(rt route) func(*transport.Call) error {
	limit, status := s.limits.of(rt.access), rt.statuses()[0]
	return func(tc *transport.Call) error {
		c := &call{Call: tc, status: status}
		if err := s.admit(rt.access, c); err != nil {
			return err
		}
		if err := limit.Admit(c.R, transport.Caller{Token: c.who.TokenID, Name: c.who.Name}, s.Now); err != nil {
			return err
		}
		if rt.upload {
			defer s.slots.Begin()()
			defer func() {
				if c.leave != nil {
					c.leave()
				}
			}()
		}
		if rt.method != get {
			defer s.Feed.Changed() // a refusal is an event, too
		}
		if err := c.readPath(); err != nil {
			return err
		}
		if err := c.readHeaders(&rt); err != nil {
			return err
		}
		if rt.may != nil {
			if err := rt.may(s, c); err != nil {
				return err
			}
		}
		if rt.lists && !rt.waits {
			if err := c.Hold(listRoom); err != nil {
				return err
			}
		}
		return rt.do(s, c)
	}
}

// slot waits for a place among the uploads that are worked on. It is taken once
// a body is there: how slowly that came is nobody else's matter.
func (s *Server) slot(c *call) (release func(), err error) {
	return s.slots.Take(c.Context(), c.who.TokenID, c.who.Require(auth.Admin, "") == nil)
}

// admit checks the credential and the route's rule, before the body is read.
func (s *Server) admit(rule access, c *call) error {
	if rule.kind == open {
		return nil
	}
	if err := s.authenticate(c); err != nil {
		return err
	}
	c.Who, c.Holder = c.who.Name, c.who.TokenID
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

// readPath reads the environment and the revision that the path names.
func (c *call) readPath() error {
	if err := c.readEnv(); err != nil {
		return err
	}
	text := c.Var("revision")
	if text == "" {
		return nil
	}
	rev, err := strconv.ParseUint(text, 10, 63)
	if err != nil || text[0] == '0' {
		return fmt.Errorf("%w: %s has no revision %q", transport.ErrNotFound, c.env, transport.Clip(text))
	}
	c.revision = rev
	return nil
}

func (c *call) readEnv() (err error) {
	if hub := c.Var("hub"); hub != "" {
		c.env, err = ref.ParseEnv(hub + "/" + c.Var("stage"))
	}
	return err
}

// readHeaders reads the preconditions, and refuses a request without those that
// its route wants.
func (c *call) readHeaders(rt *route) (err error) {
	if rt.wants(ifMatch) {
		if c.base, err = c.readBase(); err != nil {
			return err
		}
	}
	if rt.method == get {
		return nil
	}
	values := c.R.Header[idempotencyKey]
	switch {
	case len(values) == 0 || len(values) == 1 && values[0] == "" && rt.wants(idempotencyKey):
		if rt.wants(idempotencyKey) {
			return transport.BadRequest("there is no Idempotency-Key: send a random one, and the same again when you repeat the request")
		}
		return nil
	case len(values) > 1:
		return badKey(idempotencyKey, strings.Join(values, ", "))
	}
	c.key = values[0]
	return checkKey(idempotencyKey, c.key)
}

// readBase is the environment revision of If-Match: a number in quotes.
func (c *call) readBase() (uint64, error) {
	values := c.R.Header[ifMatch]
	if len(values) == 0 {
		return 0, fmt.Errorf(`%w: send If-Match with the environment's revision, such as "17", or "0" for the first pin`, errNeedMatch)
	}
	v := values[0]
	if len(values) == 1 && len(v) > 2 && v[0] == '"' && v[len(v)-1] == '"' {
		if n, err := strconv.ParseUint(v[1:len(v)-1], 10, 64); err == nil {
			return n, nil
		}
	}
	return 0, transport.BadRequest(`If-Match %s: want one revision in quotes, such as "17"`, transport.Clip(strings.Join(values, ", ")))
}

// checkKey refuses what is no idempotency key.
func checkKey(what, key string) error {
	ok := key != "" && len(key) <= model.MaxKey
	for i := 0; i < len(key) && ok; i++ {
		ok = key[i] > ' ' && key[i] <= '~'
	}
	if !ok {
		return badKey(what, key)
	}
	return nil
}

func badKey(what, key string) error {
	return transport.BadRequest("%s %q: want one, of 1 to %d printable ASCII characters without spaces", what, transport.Clip(key), model.MaxKey)
}

// op says who changes something, and how a repetition is known.
func (c *call) op(route string) lock.Op {
	if c.body.IsZero() {
		c.body = ref.DigestOf(nil)
	}
	return lock.Op{
		Actor: lock.Actor{Name: c.who.Name, TokenID: c.who.TokenID, Source: transport.RemoteHost(c.R)},
		Key:   c.key, Route: route, Body: c.body,
	}
}

// opOnce is op for what is not answered again from its key.
func (c *call) opOnce(route string) lock.Op {
	op := c.op(route)
	op.Key = ""
	return op
}

// each converts a list; none is an empty one on the wire.
func each[A, B any](list []A, f func(A) B) []B {
	out := make([]B, 0, len(list))
	for _, a := range list {
		out = append(out, f(a))
	}
	return out
}
