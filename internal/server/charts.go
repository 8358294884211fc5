package server

import (
	"errors"
	"net/http"
	"slices"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/transport"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/repo"
)

func (s *Server) listCharts(c *call) error {
	keep, err := c.filter()
	if err != nil {
		return err
	}
	name, err := c.param("name")
	if err != nil {
		return err
	}
	if name != "" {
		return s.answerVersions(c, name, keep)
	}
	after, err := c.param("after")
	if err != nil {
		return err
	}
	limit, err := c.limit()
	if err != nil {
		return err
	}
	list, next, err := s.Lock.AllVersions(c.Context(), after, limit)
	if err != nil {
		return err
	}
	charts, err := s.chartsOf(c.Context(), kept(list, keep))
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, api.Charts{Charts: charts, Next: next})
}

func (s *Server) chartVersions(c *call) error {
	keep, err := c.filter()
	if err != nil {
		return err
	}
	return s.answerVersions(c, c.Var("name"), keep)
}

func (s *Server) answerVersions(c *call, name string, keep func(lock.ChartVersion) bool) error {
	list, err := s.Lock.Versions(c.Context(), name)
	if err != nil {
		return err
	}
	charts, err := s.chartsOf(c.Context(), kept(list, keep))
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, api.Charts{Charts: charts})
}

// filter is what ?all and ?bound select: purged versions only with all=true.
func (c *call) filter() (func(lock.ChartVersion) bool, error) {
	all, _, err := c.flag("all")
	if err != nil {
		return nil, err
	}
	bound, byBound, err := c.flag("bound")
	if err != nil {
		return nil, err
	}
	return func(cv lock.ChartVersion) bool {
		return (all || cv.State != model.Purged) && (!byBound || bound == !cv.Default.IsZero())
	}, nil
}

func kept(list []lock.ChartVersion, keep func(lock.ChartVersion) bool) []lock.ChartVersion {
	return slices.DeleteFunc(list, func(cv lock.ChartVersion) bool { return !keep(cv) })
}

func (s *Server) chart(c *call) error {
	cv, err := s.version(c)
	if err != nil {
		return err
	}
	return s.answerChart(c, cv)
}

func (s *Server) answerChart(c *call, cv lock.ChartVersion) error {
	out, err := s.chartOf(c.Context(), cv)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, out)
}

func (s *Server) publish(c *call) error {
	u, err := s.readUpload(c, imagePart, requirePart)
	if err != nil {
		return err
	}
	if u.pkg == nil {
		return transport.BadRequest("the form has no part %q", singlePart)
	}
	require := u.field(requirePart)
	if require != "" && require != "true" && require != "false" {
		return transport.BadRequest("part require_binding %q: want true or false", require)
	}
	images, err := u.images()
	if err != nil {
		return err
	}
	allowed := c.authorize(auth.Publish)
	if len(images) > 0 {
		// Naming an image is binding it, whatever route it comes by.
		allowed = func(cv ref.ChartVersion) error {
			return errors.Join(c.who.Require(auth.Publish, cv.Name()), c.who.Require(auth.Bind, cv.Name()))
		}
	}
	return s.store(c, u, repo.Upload{Images: images, RequireBinding: require == "true", Authorize: allowed})
}

// store publishes and answers with what is stored now.
func (s *Server) store(c *call, u upload, up repo.Upload) error {
	up.Package, up.Prov = u.pkg, u.prov
	op, err := c.op("publish", u.digest)
	if err != nil {
		return err
	}
	p, err := s.Repo.Publish(c.Context(), op, up)
	if err != nil {
		return err
	}
	out, err := s.chartOf(c.Context(), p.Chart)
	if err != nil {
		return err
	}
	status := http.StatusCreated
	if p.Existed {
		status = http.StatusOK
	}
	return c.answer(status, api.PublishResult{Saved: true, Existed: p.Existed, Chart: out})
}

func (s *Server) yank(c *call) error {
	var in api.ReasonRequest
	op, cv, err := s.changeVersion(c, "yank", &in)
	if err != nil {
		return err
	}
	if cv, err = s.Repo.Yank(c.Context(), op, cv.Chart, in.Reason); err != nil {
		return err
	}
	return s.answerChart(c, cv)
}

func (s *Server) purge(c *call) error {
	var in api.ReasonRequest
	op, cv, err := s.changeVersion(c, "purge", &in)
	if err != nil {
		return err
	}
	if cv, err = s.Repo.Purge(c.Context(), op, cv.Chart, in.Reason); err != nil {
		return err
	}
	return s.answerChart(c, cv)
}

// changeVersion decodes the body of a change and finds what it is about.
func (s *Server) changeVersion(c *call, verb string, in any) (lock.Op, lock.ChartVersion, error) {
	body, err := decode(c, in)
	if err != nil {
		return lock.Op{}, lock.ChartVersion{}, err
	}
	cv, err := s.Lock.FindVersion(c.Context(), c.Var("name"), c.Var("version"))
	if err != nil {
		return lock.Op{}, lock.ChartVersion{}, err
	}
	op, err := c.op(verb+" "+cv.Chart.String(), body)
	return op, cv, err
}
