package server

import (
	"net/http"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
)

func (s *Server) report(c *call) error {
	env, revision, err := c.at()
	if err != nil {
		return err
	}
	var in api.ReportRequest
	body, err := decode(c, &in, "state")
	if err != nil {
		return err
	}
	n := lock.NewReport{Env: env, Revision: revision, State: in.State, URL: in.URL, Note: in.Note, Exit: in.Exit}
	for _, k := range in.Checks {
		n.Checks = append(n.Checks, lock.ReportCheck(k))
	}
	op, err := c.op("report "+env.String()+"#"+c.Var("revision"), body)
	if err != nil {
		return err
	}
	r, err := s.Lock.AddReport(c.Context(), op, n)
	if err != nil {
		return err
	}
	return c.answer(http.StatusCreated, reportOf(r))
}

func (s *Server) reports(c *call) error {
	env, revision, err := c.at()
	if err != nil {
		return err
	}
	list, err := s.Lock.Reports(c.Context(), env, revision)
	if err != nil {
		return err
	}
	out := api.Reports{Reports: []api.Report{}}
	for _, r := range list {
		out.Reports = append(out.Reports, reportOf(r))
	}
	return c.answer(http.StatusOK, out)
}

func reportOf(r lock.Report) api.Report {
	out := api.Report{
		Env: r.Env, Revision: r.Revision, N: r.N, Binding: r.Binding, State: r.State,
		URL: r.URL, Note: r.Note, Exit: r.Exit, Superseded: r.Superseded, Halt: r.Halt, Ended: r.Ended, By: r.By, At: r.At,
	}
	for _, k := range r.Checks {
		out.Checks = append(out.Checks, api.Check(k))
	}
	return out
}

// fence takes no Idempotency-Key as its own: asking again gives the same
// answer by itself.
func (s *Server) fence(c *call) error {
	env, err := c.env()
	if err != nil {
		return err
	}
	key := c.Var("key")
	if !validKey(key) {
		return badKey("key", key)
	}
	op, err := c.op("fence "+env.String(), ref.DigestOf([]byte(key)))
	if err != nil {
		return err
	}
	op.Key = ""
	f, err := s.Lock.FencePin(c.Context(), op, env, key)
	if err != nil {
		return err
	}
	out := api.Fence{Pinned: f.Pin != nil}
	if f.Pin != nil {
		p, err := s.fullPin(c.Context(), *f.Pin)
		if err != nil {
			return err
		}
		out.Pin = &p
	}
	return c.answer(http.StatusOK, out)
}
