package server

import (
	"net/http"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/lock"
)

func (s *Server) status(c *call) error {
	all, err := s.Lock.Statuses(c.Context())
	if err != nil {
		return err
	}
	out := api.Status{Environments: []api.EnvironmentStatus{}, Halts: openHaltsOf(all.Halts)}
	for _, st := range all.Environments {
		out.Environments = append(out.Environments, statusOf(st))
	}
	return c.answer(http.StatusOK, out)
}

func (s *Server) environmentStatus(c *call) error {
	env, err := c.env()
	if err != nil {
		return err
	}
	st, err := s.Lock.Status(c.Context(), env)
	if err != nil {
		return err
	}
	out := statusOf(st)
	if st.Pin != nil {
		said, err := s.Lock.ApprovedBefore(c.Context(), *st.Pin)
		if err != nil {
			return err
		}
		for _, a := range said {
			out.Approved = append(out.Approved, a.By.Name)
		}
	}
	return c.answer(http.StatusOK, out)
}

func statusOf(st lock.EnvironmentStatus) api.EnvironmentStatus {
	out := api.EnvironmentStatus{
		Environment: environmentOf(st.EnvironmentState), Verdict: st.Verdict, Overdue: st.Overdue, Held: st.Held.String(),
		Stages: []api.Stage{}, Approvals: []api.Approval{}, Halts: openHaltsOf(st.Halts),
	}
	if st.Report != nil {
		r := reportOf(*st.Report)
		out.Report = &r
	}
	if st.Waited > 0 {
		out.Waited = st.Waited.String()
	}
	for _, u := range st.Upstream {
		out.Stages = append(out.Stages, api.Stage{
			Env: u.Env, Current: u.Current, Pinned: u.Pinned, Verdict: u.Verdict, Passed: u.Passed, Revision: u.About,
			At: u.At, Held: u.Held.String(), Need: u.Need.String(), Overdue: u.Overdue, OK: u.OK,
		})
	}
	for _, a := range st.Approvals {
		out.Approvals = append(out.Approvals, approvalOf(a))
	}
	if st.Next != (lock.Next{}) {
		next := api.Next(st.Next)
		out.Next = &next
	}
	return out
}
