package server

import (
	"net/http"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/transport"
	"chartd.dev/chartd/lock"
)

func (s *Server) halt(c *call) error {
	env, err := c.env()
	if err != nil {
		return err
	}
	var in api.HaltRequest
	body, err := decode(c, &in, "reason")
	if err != nil {
		return err
	}
	if err := c.mayHalt(env, in.Scope); err != nil {
		return err
	}
	op, err := c.op("halt "+env.String(), body)
	if err != nil {
		return err
	}
	h, err := s.Lock.Halt(c.Context(), op, lock.NewHalt{Env: env, Scope: in.Scope, Reason: in.Reason})
	if err != nil {
		return err
	}
	return c.answer(http.StatusCreated, haltOf(h))
}

// mayHalt checks the scope on all that a scope asked for would stop. The one
// of the policy was somebody else's decision.
func (c *call) mayHalt(env ref.Env, s model.Scope) error {
	switch s {
	case model.ScopeHub:
		return c.who.Require(auth.Override, env.Hub()+"/*")
	case model.ScopeEverything:
		return c.who.Require(auth.Override, "*")
	}
	return nil
}

// halts answers with those that are open, or with a page of all.
func (s *Server) halts(c *call) error {
	all, _, err := c.flag("all")
	if err != nil {
		return err
	}
	before, err := c.number("before", 0, 1<<62)
	if err != nil {
		return err
	}
	limit, err := c.limit()
	if err != nil {
		return err
	}
	if !all {
		list, err := s.Lock.OpenHalts(c.Context())
		if err != nil {
			return err
		}
		return c.answer(http.StatusOK, api.Halts{Halts: openHaltsOf(list)})
	}
	list, next, err := s.Lock.Halts(c.Context(), before, limit)
	if err != nil {
		return err
	}
	out := api.Halts{Halts: []api.Halt{}, Next: next}
	for _, h := range list {
		out.Halts = append(out.Halts, haltOf(h))
	}
	return c.answer(http.StatusOK, out)
}

// resolveHalt checks the scope on the environment that failed, which only the
// halt names.
func (s *Server) resolveHalt(c *call) error {
	id := c.Var("id")
	h, err := s.Lock.HaltByID(c.Context(), id)
	if err != nil {
		return err
	}
	if err := c.who.Require(auth.Override, h.Env.String()); err != nil {
		return err
	}
	var in api.ReasonRequest
	body, err := decode(c, &in, "reason")
	if err != nil {
		return err
	}
	op, err := c.op("resolve "+transport.Clip(id), body)
	if err != nil {
		return err
	}
	if h, err = s.Lock.ResolveHalt(c.Context(), op, id, in.Reason); err != nil {
		return err
	}
	return c.answer(http.StatusOK, haltOf(h))
}

func haltOf(h lock.Halt) api.Halt {
	out := api.Halt{
		ID: h.ID, Open: h.Open(), Scope: h.Scope, Env: h.Env, Revision: h.Revision, Binding: h.Binding,
		Report: h.Report, Cause: h.Cause, Reason: h.Reason, By: h.By, At: h.At,
	}
	if !h.Open() {
		out.Ended = &api.HaltEnd{Revision: h.Ended.Revision, Reason: h.Ended.Reason, By: h.Ended.By, At: h.Ended.At}
	}
	return out
}

func openHaltsOf(list []lock.OpenHalt) []api.Halt {
	out := []api.Halt{}
	for _, h := range list {
		wire := haltOf(h.Halt)
		wire.Awaits = h.Awaits
		out = append(out, wire)
	}
	return out
}
