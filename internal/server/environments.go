package server

import (
	"fmt"
	"net/http"
	"reflect"
	"strconv"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/transport"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/repo"
)

func (s *Server) environments(c *call) error {
	list, err := s.Lock.Environments(c.Context())
	if err != nil {
		return err
	}
	out := api.Environments{Environments: []api.Environment{}}
	for _, e := range list {
		out.Environments = append(out.Environments, environmentOf(e))
	}
	return c.answer(http.StatusOK, out)
}

func (s *Server) environment(c *call) error {
	env, err := c.env()
	if err != nil {
		return err
	}
	e, err := s.Lock.Environment(c.Context(), env)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, environmentOf(e))
}

func (s *Server) createEnvironment(c *call) error {
	var in api.CreateEnvironment
	body, err := decode(c, &in, "environment", "chart")
	if err != nil {
		return err
	}
	n := lock.NewEnvironment{Env: in.Env, Chart: in.Chart}
	n.Accept = in.Accept
	if n.Upstream, err = upstreamFrom(in.Env, in.Upstream); err != nil {
		return err
	}
	op, err := c.op("env create "+in.Env.String(), body)
	if err != nil {
		return err
	}
	e, err := s.Lock.CreateEnvironment(c.Context(), op, n)
	if err != nil {
		return err
	}
	return c.answer(http.StatusCreated, environmentOf(lock.EnvironmentState{Environment: e}))
}

func (s *Server) adopt(c *call) error {
	env, err := c.env()
	if err != nil {
		return err
	}
	if err := c.needKey(); err != nil {
		return err
	}
	var in api.AdoptRequest
	body, err := decode(c, &in, "version", "reason")
	if err != nil {
		return err
	}
	images, err := references(in.Images)
	if err != nil {
		return err
	}
	op, err := c.op("adopt "+env.String(), body)
	if err != nil {
		return err
	}
	p, err := s.Repo.Adopt(c.Context(), op, repo.AdoptRequest{Env: env, Chart: in.Chart, Version: in.Version, Images: images, Reason: in.Reason, AssumePassed: in.AssumePassed})
	if err != nil {
		return err
	}
	return s.answerPin(c, http.StatusCreated, p)
}

func (s *Server) answerPin(c *call, status int, p lock.Pin) error {
	out, err := s.fullPin(c.Context(), p)
	if err != nil {
		return err
	}
	return c.answer(status, out)
}

func (s *Server) pin(c *call) error {
	env, err := c.env()
	if err != nil {
		return err
	}
	base, err := c.base()
	if err != nil {
		return err
	}
	if err := c.needKey(); err != nil {
		return err
	}
	var in api.PinRequest
	body, err := decode(c, &in, "binding")
	if err != nil {
		return err
	}
	op, err := c.op("pin "+env.String(), body)
	if err != nil {
		return err
	}
	np, err := c.newPin(env, base, in)
	if err != nil {
		return err
	}
	p, err := s.Lock.MakePin(c.Context(), op, np)
	if err != nil {
		return err
	}
	return s.answerPin(c, http.StatusCreated, p)
}

func (s *Server) pinSet(c *call) error {
	if err := c.needKey(); err != nil {
		return err
	}
	var in api.PinSetRequest
	body, err := decode(c, &in, "pins")
	if err != nil {
		return err
	}
	n := lock.NewPinSet{Kind: in.Kind.Or(), Reason: in.Reason, Commit: in.Commit, Downgrade: in.Downgrade, BreakGlass: in.BreakGlass}
	for _, p := range in.Pins {
		if err := checkRequired(reflect.ValueOf(p), []string{"environment"}); err != nil {
			return err
		}
		if err := c.who.Require(auth.Pin, p.Env.String()); err != nil {
			return err
		}
		if err := checkRequired(reflect.ValueOf(p), []string{"binding"}); err != nil {
			return err
		}
		if in.BreakGlass != "" {
			if err := c.who.Require(auth.BreakGlass, p.Env.String()); err != nil {
				return err
			}
		}
		n.Pins = append(n.Pins, lock.NewPin{Env: p.Env, Base: p.Revision, Binding: p.Binding, From: p.From})
	}
	op, err := c.op("pinset", body)
	if err != nil {
		return err
	}
	set, err := s.Lock.MakePinSet(c.Context(), op, n)
	if err != nil {
		return err
	}
	pins, err := s.fullPins(c.Context(), set.Pins)
	if err != nil {
		return err
	}
	return c.answer(http.StatusCreated, api.PinSetResult{Set: set.ID, Pins: pins})
}

func (s *Server) pins(c *call) error {
	env, err := c.env()
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
	list, next, err := s.Lock.Pins(c.Context(), env, before, limit)
	if err != nil {
		return err
	}
	pins, err := s.fullPins(c.Context(), list)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, api.Pins{Pins: pins, Next: next})
}

// at is the environment and revision that the path names.
func (c *call) at() (ref.Env, uint64, error) {
	env, err := c.env()
	if err != nil {
		return ref.Env{}, 0, err
	}
	text := c.Var("revision")
	rev, err := strconv.ParseUint(text, 10, 63)
	if err != nil || text[0] == '0' {
		return ref.Env{}, 0, fmt.Errorf("%w: %s has no revision %q", transport.ErrNotFound, env, transport.Clip(text))
	}
	return env, rev, nil
}

func (s *Server) pinAt(c *call) error {
	env, rev, err := c.at()
	if err != nil {
		return err
	}
	p, err := s.Lock.Pin(c.Context(), env, rev)
	if err != nil {
		return err
	}
	return s.answerPin(c, http.StatusOK, p)
}

func (s *Server) pinByKey(c *call) error {
	env, err := c.env()
	if err != nil {
		return err
	}
	if !validKey(c.Var("key")) {
		return badKey("key", c.Var("key"))
	}
	p, err := s.Lock.PinByKey(c.Context(), env, c.Var("key"))
	if err != nil {
		return err
	}
	return s.answerPin(c, http.StatusOK, p)
}
