package server

import (
	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/lock"
)

func (s *Server) report(c *call, in api.ReportRequest) (api.Report, error) {
	n := lock.NewReport{Env: c.env, Revision: c.revision, State: in.State, URL: in.URL, Note: in.Note, Exit: in.Exit}
	for _, k := range in.Checks {
		n.Checks = append(n.Checks, lock.ReportCheck(k))
	}
	r, err := s.Lock.AddReport(c.Context(), c.op("report "+c.env.String()+"#"+c.Var("revision")), n)
	return reportOf(r), err
}

func (s *Server) reports(c *call, _ none) (api.Reports, error) {
	list, err := s.Lock.Reports(c.Context(), c.env, c.revision)
	return api.Reports{Reports: each(list, reportOf)}, err
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
