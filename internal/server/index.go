package server

import (
	"net/http"
	"strconv"

	"chartd.dev/chartd/repo"
)

// index answers with the newest snapshot. Helm sends no Accept-Encoding and
// decodes nothing, so a compressed body goes only to those who ask for it.
func (s *Server) index(c *call) error {
	idx, err := s.Repo.Index(c.Context())
	if err != nil {
		return err
	}
	return sendIndex(c, idx)
}

// chartIndex answers with what the index says of one chart.
func (s *Server) chartIndex(c *call) error {
	idx, err := s.Repo.ChartIndex(c.Context(), c.Var("name"))
	if err != nil {
		return err
	}
	return sendIndex(c, idx)
}

func sendIndex(c *call, idx *repo.Index) error {
	c.Set("Vary", "Accept-Encoding")
	name := c.Encoding()
	body, etag, err := idx.Body(encodings[name])
	if err != nil {
		return err
	}
	c.Set("Etag", etag)
	c.Set("Cache-Control", "no-cache")
	if c.Known(etag) {
		return nil
	}
	c.Set("Content-Type", idx.ContentType())
	if name != "" {
		c.Set("Content-Encoding", name)
	}
	c.Set("Content-Length", strconv.FormatInt(body.Size(), 10))
	c.WriteHeader(http.StatusOK)
	if c.R.Method != http.MethodHead {
		_, _ = body.WriteTo(c) // the caller may be gone
	}
	return nil
}

// encodings are the index's, by their names in HTTP.
var encodings = map[string]repo.Encoding{"": repo.Identity, "gzip": repo.Gzip, "zstd": repo.Zstd}
