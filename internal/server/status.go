package server

import (
	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/lock"
)

func (s *Server) status(c *call, _ none) (api.Status, error) {
	all, err := s.Lock.Statuses(c.Context())
	return api.Status{Environments: each(all.Environments, statusOf), Halts: each(all.Halts, openHaltOf)}, err
}

func (s *Server) environmentStatus(c *call, _ none) (api.EnvironmentStatus, error) {
	st, err := s.Lock.Status(c.Context(), c.env)
	if err != nil {
		return api.EnvironmentStatus{}, err
	}
	out := statusOf(st)
	if st.Pin == nil {
		return out, nil
	}
	said, err := s.Lock.ApprovedBefore(c.Context(), *st.Pin)
	for _, a := range said {
		out.Approved = append(out.Approved, a.By.Name)
	}
	return out, err
}

func statusOf(st lock.EnvironmentStatus) api.EnvironmentStatus {
	out := api.EnvironmentStatus{
		Environment: environmentOf(st.EnvironmentState), Verdict: st.Verdict, Overdue: st.Overdue, Held: st.Held.String(),
		Stages: each(st.Upstream, stageOf), Approvals: each(st.Approvals, approvalOf), Halts: each(st.Halts, openHaltOf),
	}
	if st.Report != nil {
		r := reportOf(*st.Report)
		out.Report = &r
	}
	if st.Waited > 0 {
		out.Waited = st.Waited.String()
	}
	if st.Next != (lock.Next{}) {
		next := api.Next(st.Next)
		out.Next = &next
	}
	return out
}

func stageOf(u lock.UpstreamStatus) api.Stage {
	return api.Stage{
		Env: u.Env, Current: u.Current, Pinned: u.Pinned, Verdict: u.Verdict, Passed: u.Passed, Revision: u.About,
		At: u.At, Held: u.Held.String(), Need: u.Need.String(), Overdue: u.Overdue, OK: u.OK,
	}
}
