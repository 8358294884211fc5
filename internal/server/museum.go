package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/transport"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/repo"
)

func (s *Server) museumCharts(c *call) error {
	idx, err := s.Repo.Index(c.Context())
	if err != nil {
		return err
	}
	names := idx.Names()
	offset, err := c.number("offset", 0, 1<<31)
	if err != nil {
		return err
	}
	limit, err := c.number("limit", 0, maxPage)
	if err != nil {
		return err
	}
	names = names[min(offset, uint64(len(names))):]
	if limit > 0 {
		names = names[:min(limit, uint64(len(names)))]
	}
	out := make(map[string][]json.RawMessage, len(names))
	for _, n := range names {
		out[n] = idx.Entries(n)
	}
	return c.answer(http.StatusOK, out)
}

func (s *Server) museumChart(c *call) error {
	idx, err := s.Repo.Index(c.Context())
	if err != nil {
		return err
	}
	entries := idx.Entries(c.Var("name"))
	if len(entries) == 0 {
		return fmt.Errorf("%w: there is no chart %q", transport.ErrNotFound, transport.Clip(c.Var("name")))
	}
	return c.answer(http.StatusOK, entries)
}

func (s *Server) museumVersion(c *call) error {
	idx, err := s.Repo.Index(c.Context())
	if err != nil {
		return err
	}
	entry, ok := idx.Entry(c.Var("name"), c.Var("version"))
	if !ok {
		return fmt.Errorf("%w: there is no chart %q in version %q", transport.ErrNotFound, transport.Clip(c.Var("name")), transport.Clip(c.Var("version")))
	}
	return c.answer(http.StatusOK, entry)
}

// museumPublish answers as push plugins expect: 201 for a new version; for the
// same content again 200, or 202 where it came as a form, because the plugin
// takes 201 and 202 only. ?force is ChartMuseum's word for overwriting, which
// does not exist here.
func (s *Server) museumPublish(c *call) error {
	u, err := s.readUpload(c)
	if err != nil {
		return err
	}
	op, err := c.op("publish", u.digest)
	if err != nil {
		return err
	}
	if u.pkg == nil {
		return s.saveProv(c, op, u.prov)
	}
	p, err := s.Repo.Publish(c.Context(), op, repo.Upload{Package: u.pkg, Prov: u.prov, Authorize: c.authorize(auth.Publish)})
	if err != nil {
		return err
	}
	status := http.StatusCreated
	switch {
	case p.Existed && u.form:
		status = http.StatusAccepted
	case p.Existed:
		status = http.StatusOK
	}
	return c.answer(status, saved{true})
}

func (s *Server) museumProv(c *call) error {
	data, err := c.ReadBody(maxProv)
	if err != nil {
		return err
	}
	op, err := c.op("publish", ref.DigestOf(data))
	if err != nil {
		return err
	}
	return s.saveProv(c, op, data)
}

func (s *Server) saveProv(c *call, op lock.Op, prov []byte) error {
	if _, err := s.Repo.AddProvenance(c.Context(), op, prov, c.authorize(auth.Publish)); err != nil {
		return err
	}
	return c.answer(http.StatusCreated, saved{true})
}

// authorize checks the scope on the identity that was parsed out of an upload.
func (c *call) authorize(a auth.Action) func(ref.ChartVersion) error {
	return func(cv ref.ChartVersion) error { return c.who.Require(a, cv.Name()) }
}

func (s *Server) museumDelete(c *call) error {
	cv, err := s.Lock.FindVersion(c.Context(), c.Var("name"), c.Var("version"))
	if err != nil {
		return err
	}
	op, err := c.op("yank "+cv.Chart.String(), ref.DigestOf(nil))
	if err != nil {
		return err
	}
	if _, err := s.Repo.Yank(c.Context(), op, cv.Chart, "deleted through ChartMuseum's API"); err != nil {
		return err
	}
	return c.answer(http.StatusOK, deleted{true})
}

func (s *Server) museumTemplates(c *call) error {
	cv, err := s.version(c)
	if err != nil {
		return err
	}
	files, err := s.Repo.Templates(c.Context(), cv.Chart)
	if err != nil {
		return err
	}
	out := []templateFile{}
	for _, f := range files {
		out = append(out, templateFile{Name: f.Name, Data: f.Data})
	}
	return c.answer(http.StatusOK, out)
}

func (s *Server) museumValues(c *call) error {
	cv, err := s.version(c)
	if err != nil {
		return err
	}
	data, err := s.Repo.File(c.Context(), cv.Chart, "values.yaml")
	if err != nil {
		return err
	}
	return sendText(c, "application/yaml", data)
}

// packageFile serves packages and provenance files. One that is not there is
// 404, never something else with 200.
func (s *Server) packageFile(c *call) error {
	b, err := s.packageNamed(c)
	if err != nil {
		return err
	}
	return s.sendBlob(c, b)
}

func (s *Server) packageNamed(c *call) (repo.Blob, error) {
	file := c.Var("file")
	if !strings.HasSuffix(file, ".tgz") && !strings.HasSuffix(file, ".tgz.prov") {
		return repo.Blob{}, fmt.Errorf("%w: %q is neither a .tgz nor a .tgz.prov", transport.ErrNotFound, transport.Clip(file))
	}
	return s.Repo.Package(c.Context(), file)
}

// chartPackage is packageFile, in the repository of one chart.
func (s *Server) chartPackage(c *call) error {
	b, err := s.packageNamed(c)
	if err == nil && b.Chart != c.Var("name") {
		err = fmt.Errorf("%w: %q is no package of chart %q", transport.ErrNotFound, transport.Clip(c.Var("file")), transport.Clip(c.Var("name")))
	}
	if err != nil {
		return err
	}
	return s.sendBlob(c, b)
}

func (s *Server) artifactHub(c *call) error {
	if s.ArtifactHub == nil {
		return fmt.Errorf("%w: no artifacthub-repo.yml is configured", transport.ErrNotFound)
	}
	return sendText(c, "application/yaml", s.ArtifactHub)
}

func (s *Server) healthz(c *call) error { return c.answer(http.StatusOK, healthy{true}) }

func (s *Server) info(c *call) error { return c.answer(http.StatusOK, info{s.Version}) }

func (s *Server) readyz(c *call) error {
	if err := s.ready.check(c.Context(), s); err != nil {
		s.readyGauge.Set(0)
		// The reason is the table's sentence; its status is not, here.
		if say := mappingOf(err).say; say != "" {
			err = errors.New(say)
		}
		return fmt.Errorf("%w: %w", errNotReady, err)
	}
	s.readyGauge.Set(1)
	return c.answer(http.StatusOK, healthy{true})
}

const welcomeText = `chartd: a Helm chart repository, and which chart and image run where.

  helm repo add NAME URL-OF-THIS-PAGE
  helm repo update
  chartctl login URL-OF-THIS-PAGE

API: api/v1/openapi.json
`

func (s *Server) welcome(c *call) error {
	return sendText(c, "text/plain; charset=utf-8", []byte(welcomeText))
}
