package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"sync"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/transport"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/repo"
)

// chartsRequest selects chart versions: purged ones only with all=true.
type chartsRequest struct {
	All   bool   `query:"all"`
	Bound *bool  `query:"bound"`
	Name  string `query:"name"`
	After string `query:"after"`
	Limit uint64 `query:"limit" default:"100" min:"1" max:"1000"`
}

func (s *Server) listCharts(c *call, in chartsRequest) (api.Charts, error) {
	if in.Name != "" {
		return s.versionsOf(c, in)
	}
	list, next, err := s.Lock.AllVersions(c.Context(), in.After, int(in.Limit))
	if err != nil {
		return api.Charts{}, err
	}
	charts, err := s.chartsOf(c, in.kept(list))
	return api.Charts{Charts: charts, Next: next}, err
}

func (s *Server) chartVersions(c *call, in struct {
	All   bool  `query:"all"`
	Bound *bool `query:"bound"`
}) (api.Charts, error) {
	return s.versionsOf(c, chartsRequest{All: in.All, Bound: in.Bound, Name: c.Var("name")})
}

func (s *Server) versionsOf(c *call, in chartsRequest) (api.Charts, error) {
	list, err := s.Lock.Versions(c.Context(), in.Name)
	if err != nil {
		return api.Charts{}, err
	}
	charts, err := s.chartsOf(c, in.kept(list))
	return api.Charts{Charts: charts}, err
}

func (in chartsRequest) kept(list []lock.ChartVersion) []lock.ChartVersion {
	return slices.DeleteFunc(list, func(cv lock.ChartVersion) bool {
		return !in.All && cv.State == model.Purged || in.Bound != nil && *in.Bound == cv.Default.IsZero()
	})
}

func (s *Server) chart(c *call, _ none) (api.Chart, error) {
	cv, err := s.version(c)
	out, err := s.chartOf(c, cv, err)
	if err != nil {
		return out, err
	}
	kept, err := s.Lock.Rendering(c.Context(), cv.Package)
	if errors.Is(err, lock.ErrNotFound) {
		return out, nil
	}
	out.Rendering = kept.Trace
	return out, err
}

func (s *Server) publish(c *call, _ none) (api.PublishResult, error) {
	u, err := s.readPackage(c, imagePart, requirePart)
	if err != nil {
		return api.PublishResult{}, err
	}
	require := u.field(requirePart)
	if require != "" && require != "true" && require != "false" {
		return api.PublishResult{}, transport.BadRequest("part require_binding %q: want true or false", require)
	}
	images, err := u.images()
	if err != nil {
		return api.PublishResult{}, err
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
func (s *Server) store(c *call, u upload, up repo.Upload) (api.PublishResult, error) {
	up.Package, up.Prov = u.pkg, u.prov
	up.Waits = s.aside(c)
	p, err := s.Repo.Publish(c.Context(), c.op("publish"), up)
	s.noteIndex(c.Context())
	c.existed(p.Existed)
	by := "publish"
	if up.Import != nil {
		by = "import"
	}
	s.count(by, p)
	out, err := s.chartOf(c, p.Chart, err)
	return api.PublishResult{Saved: true, Existed: p.Existed, Chart: out}, err
}

// aside gives an upload's place to others, once.
func (s *Server) aside(c *call) func() {
	return sync.OnceFunc(func() { c.leave = s.slots.Aside(c.leave) })
}

// count counts what is unusual about a version that was not there before.
func (s *Server) count(by string, p repo.Published) {
	if !p.Existed {
		s.unusual.WithLabelValues(by).Add(float64(len(p.Chart.Warnings)))
	}
}

// existed answers 200 where what is asked for is there already.
func (c *call) existed(yes bool) {
	if yes {
		c.status = http.StatusOK
	}
}

func (s *Server) yank(c *call, in api.ReasonRequest) (api.Chart, error) {
	cv, err := s.found(c)
	if err == nil {
		cv, err = s.Repo.Yank(c.Context(), c.op("yank "+cv.Chart.String()), cv.Chart, in.Reason)
	}
	return s.chartOf(c, cv, err)
}

func (s *Server) purge(c *call, in api.ReasonRequest) (api.Chart, error) {
	cv, err := s.found(c)
	if err == nil {
		cv, err = s.Repo.Purge(c.Context(), c.op("purge "+cv.Chart.String()), cv.Chart, in.Reason)
	}
	return s.chartOf(c, cv, err)
}

// found is the chart version that the path names. A name that is not well
// formed is one that is not there.
func (s *Server) found(c *call) (lock.ChartVersion, error) {
	return s.Lock.FindVersion(c.Context(), c.Var("name"), c.Var("version"))
}

// version is found, where the version may be "latest": the one that Helm takes
// without one, which is the newest stable one, else the newest, of those in the
// index.
func (s *Server) version(c *call) (lock.ChartVersion, error) {
	if c.Var("version") != "latest" {
		return s.found(c)
	}
	idx, err := s.Repo.Index(c.Context())
	if err != nil {
		return lock.ChartVersion{}, err
	}
	raw, ok := idx.Entry(c.Var("name"), "latest")
	if !ok {
		return s.found(c)
	}
	var entry struct {
		Version string `json:"version"`
	}
	if err := json.Unmarshal(raw, &entry); err != nil {
		return lock.ChartVersion{}, err
	}
	return s.Lock.FindVersion(c.Context(), c.Var("name"), entry.Version)
}

// chartWith is a chart version as the API shows it, with its default binding.
func chartWith(cv lock.ChartVersion, defaults map[ref.BindingID]lock.Binding) (api.Chart, error) {
	var meta struct {
		AppVersion  string `json:"appVersion"`
		Description string `json:"description"`
	}
	if len(cv.Metadata) > 0 {
		if err := json.Unmarshal(cv.Metadata, &meta); err != nil {
			return api.Chart{}, err
		}
	}
	out := api.Chart{
		Name: cv.Chart.Name(), Version: cv.Chart.Version(), AppVersion: meta.AppVersion, Description: meta.Description,
		Package: cv.Package, Content: cv.Content, Size: cv.Size, Seq: cv.Seq, Created: cv.Created,
		OrderUnknown: cv.OrderUnknown, Imported: cv.Imported, State: cv.State, Reason: cv.Why, By: cv.By,
		Provenance: !cv.Provenance.IsZero(), Images: each(cv.Images, chartImageOf), Warnings: cv.Warnings,
		Bindings: cv.Bindings, Unbound: cv.Unbound,
	}
	if cv.BindAgain {
		out.Unbound += "; bind it with: " + advice.Bind.With(model.Facts{Chart: cv.Chart})
	}
	if out.Bindings == nil {
		out.Bindings = []ref.BindingID{}
	}
	if b, ok := defaults[cv.Default]; ok {
		wire := bindingOf(b)
		out.Binding = &wire
		if b.Unshown != "" {
			out.Warnings = append(slices.Clip(out.Warnings), "the binding rests on "+string(model.ValuesOnly)+": no rendering showed what is bound: "+b.Unshown)
		}
	}
	return out, nil
}

func chartImageOf(i lock.ChartImage) api.ChartImage {
	return api.ChartImage{
		Role: i.Role, Repository: i.Repository, Tag: i.Tag, Digest: i.Digest, File: i.File, Path: i.Path,
		Override: i.Override, Base: i.Base, Required: i.Required,
	}
}

// chartOf is one chart version with its default binding, if there was no error.
func (s *Server) chartOf(c *call, cv lock.ChartVersion, err error) (api.Chart, error) {
	if err != nil {
		return api.Chart{}, err
	}
	all, err := s.chartsOf(c, []lock.ChartVersion{cv})
	if err != nil {
		return api.Chart{}, err
	}
	return all[0], nil
}

func (s *Server) chartsOf(c *call, list []lock.ChartVersion) ([]api.Chart, error) {
	var ids []ref.BindingID
	for _, cv := range list {
		if !cv.Default.IsZero() {
			ids = append(ids, cv.Default)
		}
	}
	defaults, err := s.Lock.Bindings(c.Context(), ids)
	if err != nil {
		return nil, err
	}
	out := []api.Chart{}
	for _, cv := range list {
		chart, err := chartWith(cv, defaults)
		if err != nil {
			return nil, err
		}
		out = append(out, chart)
	}
	return out, nil
}
