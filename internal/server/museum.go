package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/transport"
	"chartd.dev/chartd/repo"
)

func (s *Server) wholeIndex(c *call, _ none) (index, error) {
	idx, err := s.Repo.Index(c.Context())
	return index{idx}, err
}

// chartIndex answers with what the index says of one chart.
func (s *Server) chartIndex(c *call, _ none) (index, error) {
	idx, err := s.Repo.ChartIndex(c.Context(), c.Var("name"))
	return index{idx}, err
}

type museumRequest struct {
	Offset uint64 `query:"offset" max:"2147483648"`
	Limit  uint64 `query:"limit" max:"1000"`
}

// lines are what the index has of each chart.
type lines map[string][]json.RawMessage

func (s *Server) museumCharts(c *call, in museumRequest) (lines, error) {
	idx, err := s.Repo.Index(c.Context())
	if err != nil {
		return nil, err
	}
	names := idx.Names()
	names = names[min(in.Offset, uint64(len(names))):]
	if in.Limit > 0 {
		names = names[:min(in.Limit, uint64(len(names)))]
	}
	out := make(lines, len(names))
	for _, n := range names {
		out[n] = idx.Entries(n)
	}
	return out, nil
}

func (s *Server) museumChart(c *call, _ none) ([]json.RawMessage, error) {
	idx, err := s.Repo.Index(c.Context())
	if err != nil {
		return nil, err
	}
	entries := idx.Entries(c.Var("name"))
	if len(entries) == 0 {
		return nil, fmt.Errorf("%w: there is no chart %q", transport.ErrNotFound, transport.Clip(c.Var("name")))
	}
	return entries, nil
}

func (s *Server) museumVersion(c *call, _ none) (json.RawMessage, error) {
	idx, err := s.Repo.Index(c.Context())
	if err != nil {
		return nil, err
	}
	entry, ok := idx.Entry(c.Var("name"), c.Var("version"))
	if !ok {
		return nil, fmt.Errorf("%w: there is no chart %q in version %q", transport.ErrNotFound, transport.Clip(c.Var("name")), transport.Clip(c.Var("version")))
	}
	return entry, nil
}

// museumPublish answers as push plugins expect: 201 for a new version; for the
// same content again 200, or 202 where it came as a form, because the plugin
// takes 201 and 202 only. ?force is ChartMuseum's word for overwriting, which
// does not exist here.
func (s *Server) museumPublish(c *call, _ none) (saved, error) {
	u, err := s.readUpload(c)
	if err != nil {
		return saved{}, err
	}
	if u.pkg == nil {
		return s.saveProv(c, u.prov)
	}
	p, err := s.Repo.Publish(c.Context(), c.op("publish"), repo.Upload{Package: u.pkg, Prov: u.prov, Authorize: c.authorize(auth.Publish)})
	if c.existed(p.Existed); p.Existed && u.form {
		c.status = http.StatusAccepted
	}
	return saved{true}, err
}

func (s *Server) museumProv(c *call, _ none) (saved, error) {
	data, err := c.ReadBody(maxProv)
	if err != nil {
		return saved{}, err
	}
	c.body = ref.DigestOf(data)
	return s.saveProv(c, data)
}

func (s *Server) saveProv(c *call, prov []byte) (saved, error) {
	_, err := s.Repo.AddProvenance(c.Context(), c.op("publish"), prov, c.authorize(auth.Publish))
	return saved{true}, err
}

// authorize checks the scope on the identity that was parsed out of an upload.
func (c *call) authorize(a auth.Action) func(ref.ChartVersion) error {
	return func(cv ref.ChartVersion) error { return c.who.Require(a, cv.Name()) }
}

func (s *Server) museumDelete(c *call, _ none) (deleted, error) {
	cv, err := s.found(c)
	if err == nil {
		_, err = s.Repo.Yank(c.Context(), c.op("yank "+cv.Chart.String()), cv.Chart, "deleted through ChartMuseum's API")
	}
	return deleted{true}, err
}

func (s *Server) museumTemplates(c *call, _ none) ([]templateFile, error) {
	cv, err := s.version(c)
	if err != nil {
		return nil, err
	}
	files, err := s.Repo.Templates(c.Context(), cv.Chart)
	out := []templateFile{}
	for _, f := range files {
		out = append(out, templateFile{Name: f.Name, Data: f.Data})
	}
	return out, err
}

func (s *Server) museumValues(c *call, _ none) (document, error) {
	cv, err := s.version(c)
	if err != nil {
		return document{}, err
	}
	data, err := s.Repo.File(c.Context(), cv.Chart, "values.yaml")
	return document{"application/yaml", data}, err
}

// packageFile serves packages and provenance files. One that is not there is
// 404, never something else with 200.
func (s *Server) packageFile(c *call, _ none) (blob, error) {
	file := c.Var("file")
	if !strings.HasSuffix(file, ".tgz") && !strings.HasSuffix(file, ".tgz.prov") {
		return blob{}, fmt.Errorf("%w: %q is neither a .tgz nor a .tgz.prov", transport.ErrNotFound, transport.Clip(file))
	}
	return s.blob(s.Repo.Package(c.Context(), file))
}

// chartPackage is packageFile, in the repository of one chart.
func (s *Server) chartPackage(c *call, _ none) (blob, error) {
	b, err := s.packageFile(c, none{})
	if err == nil && b.Chart != c.Var("name") {
		err = fmt.Errorf("%w: %q is no package of chart %q", transport.ErrNotFound, transport.Clip(c.Var("file")), transport.Clip(c.Var("name")))
	}
	return b, err
}

func (s *Server) artifactHub(*call, none) (document, error) {
	if s.ArtifactHub == nil {
		return document{}, fmt.Errorf("%w: no artifacthub-repo.yml is configured", transport.ErrNotFound)
	}
	return document{"application/yaml", s.ArtifactHub}, nil
}
