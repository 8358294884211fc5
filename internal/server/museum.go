package server

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/transport"
	"chartd.dev/chartd/lock"
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

// museumCharts is written chart by chart: the index has the lines already, and
// they are not copied for one who reads slowly.
func (s *Server) museumCharts(c *call, in museumRequest) (inPieces[lines], error) {
	idx, err := s.Repo.Index(c.Context())
	if err != nil {
		return nil, err
	}
	names := idx.Names()
	names = names[min(in.Offset, uint64(len(names))):]
	if in.Limit > 0 {
		names = names[:min(in.Limit, uint64(len(names)))]
	}
	out := inPieces[lines](func(_ *call, w *bufio.Writer) error {
		_ = w.WriteByte('{')
		for i, n := range names {
			if i > 0 {
				_ = w.WriteByte(',')
			}
			name, err := json.Marshal(n)
			if err != nil {
				return err
			}
			_, _ = w.Write(append(name, ':'))
			writeLines(w, idx.Entries(n))
		}
		_, err := w.WriteString("}\n") // the first error of all
		return err
	})
	return out.sized(c)
}

func writeLines(w *bufio.Writer, list []json.RawMessage) {
	_ = w.WriteByte('[')
	for i, line := range list {
		if i > 0 {
			_ = w.WriteByte(',')
		}
		_, _ = w.Write(line)
	}
	_ = w.WriteByte(']')
}

func (s *Server) museumChart(c *call, _ none) (inPieces[[]json.RawMessage], error) {
	idx, err := s.Repo.Index(c.Context())
	if err != nil {
		return nil, err
	}
	entries := idx.Entries(c.Var("name"))
	if len(entries) == 0 {
		return nil, fmt.Errorf("%w: there is no chart %q", transport.ErrNotFound, transport.Clip(c.Var("name")))
	}
	out := inPieces[[]json.RawMessage](func(_ *call, w *bufio.Writer) error {
		writeLines(w, entries)
		return w.WriteByte('\n')
	})
	return out.sized(c)
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
	p, err := s.Repo.Publish(c.Context(), c.op("publish"), repo.Upload{Package: u.pkg, Prov: u.prov, Authorize: c.authorize(auth.Publish), Waits: s.aside(c)})
	s.count("publish", p)
	s.noteIndex(c.Context())
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
	if c.leave, err = s.slot(c); err != nil {
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
	return func(cv ref.ChartVersion) error {
		if name := c.Var("name"); name != "" && name != cv.Name() {
			return fmt.Errorf("%w: the package is of chart %q, and this is the repository of chart %q", lock.ErrRefused, cv.Name(), transport.Clip(name))
		}
		return c.who.Require(a, cv.Name())
	}
}

func (s *Server) museumDelete(c *call, _ none) (deleted, error) {
	cv, err := s.found(c)
	if err == nil {
		_, err = s.Repo.Yank(c.Context(), c.op("yank "+cv.Chart.String()), cv.Chart, "deleted through ChartMuseum's API")
	}
	return deleted{true}, err
}

// museumTemplates is written file by file: a small package may unpack to a
// hundred times its size.
func (s *Server) museumTemplates(c *call, _ none) (inPieces[[]templateFile], error) {
	cv, err := s.version(c)
	if err != nil {
		return nil, err
	}
	if err := c.Hold(cv.Size); err != nil {
		return nil, err
	}
	return func(c *call, w *bufio.Writer) error {
		sep := "["
		err := s.Repo.Templates(c.Context(), cv.Chart, func(f archive.File) error {
			room := int64(len(f.Data)) * asJSON
			if err := c.Hold(room); err != nil {
				return err
			}
			defer c.Holding().Give(room)
			raw, err := json.Marshal(templateFile{Name: f.Name, Data: f.Data})
			if err != nil {
				return err
			}
			_, _ = w.WriteString(sep)
			sep = ","
			_, err = w.Write(raw)
			return err
		})
		if err != nil {
			return err
		}
		if sep == "[" {
			_ = w.WriteByte('[')
		}
		_, err = w.WriteString("]\n")
		return err
	}, nil
}

// asJSON is how often a file is in memory while it is written: unpacked, in
// base64, and while that is made.
const asJSON = 4

func (s *Server) museumValues(c *call, _ none) (document, error) {
	cv, err := s.version(c)
	if err != nil {
		return document{}, err
	}
	if err := c.Hold(cv.Size); err != nil {
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
