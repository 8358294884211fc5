package server

import (
	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/transport"
	"chartd.dev/chartd/lock"
)

func (s *Server) halt(c *call, in api.HaltRequest) (api.Halt, error) {
	if err := c.mayStop(in.Scope, c.env); err != nil {
		return api.Halt{}, err
	}
	h, err := s.Lock.Halt(c.Context(), c.op("halt "+c.env.String()), lock.NewHalt{Env: c.env, Scope: in.Scope, Reason: in.Reason})
	return haltOf(h), err
}

// mayStop checks the scope on all that a halt of env in that scope stops: on the
// environment itself, where none is asked for. The one of the policy was
// somebody else's decision.
func (c *call) mayStop(scope model.Scope, env ref.Env) error {
	switch scope {
	case model.ScopeHub:
		return c.who.Require(auth.Override, env.Hub()+"/*")
	case model.ScopeEverything:
		return c.who.Require(auth.Override, "*")
	}
	return c.who.Require(auth.Override, env.String())
}

type haltsRequest struct {
	All    bool   `query:"all"`
	Before uint64 `query:"before"`
	Limit  uint64 `query:"limit" default:"100" min:"1" max:"1000"`
}

// halts answers with those that are open, or with a page of all.
func (s *Server) halts(c *call, in haltsRequest) (api.Halts, error) {
	if !in.All {
		list, err := s.Lock.OpenHalts(c.Context())
		return api.Halts{Halts: each(list, openHaltOf)}, err
	}
	list, next, err := s.Lock.Halts(c.Context(), in.Before, int(in.Limit))
	return api.Halts{Halts: each(list, haltOf), Next: next}, err
}

// mayResolve checks the scope on all that the halt stops, which only the halt
// names: who could not have stopped it does not set it free.
func (s *Server) mayResolve(c *call) error {
	h, err := s.Lock.HaltByID(c.Context(), c.Var("id"))
	if err != nil {
		return err
	}
	return c.mayStop(h.Scope, h.Env)
}

func (s *Server) resolveHalt(c *call, in api.ResolveRequest) (api.Halt, error) {
	id := c.Var("id")
	h, err := s.Lock.ResolveHalt(c.Context(), c.op("resolve "+transport.Clip(id)), id, in.Reason)
	return haltOf(h), err
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

func openHaltOf(h lock.OpenHalt) api.Halt {
	out := haltOf(h.Halt)
	out.Awaits = h.Awaits
	return out
}
