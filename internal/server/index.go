package server

import (
	"net/http"
	"strconv"
	"strings"

	"chartd.dev/chartd/repo"
)

// index answers with the newest snapshot. Helm sends no Accept-Encoding and
// decodes nothing, so a compressed body goes only to those who ask for it.
func (s *Server) index(c *call) error {
	idx, err := s.Repo.Index(c.ctx())
	if err != nil {
		return err
	}
	return sendIndex(c, idx)
}

// chartIndex answers with what the index says of one chart.
func (s *Server) chartIndex(c *call) error {
	idx, err := s.Repo.ChartIndex(c.ctx(), c.arg("name"))
	if err != nil {
		return err
	}
	return sendIndex(c, idx)
}

func sendIndex(c *call, idx *repo.Index) error {
	c.set("Vary", "Accept-Encoding")
	enc, name := negotiate(c.r.Header["Accept-Encoding"])
	body, etag, err := idx.Body(enc)
	if err != nil {
		return err
	}
	c.set("Etag", etag)
	c.set("Cache-Control", "no-cache")
	if notModified(c.r, etag) {
		c.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	c.set("Content-Type", idx.ContentType())
	if name != "" {
		c.set("Content-Encoding", name)
	}
	c.set("Content-Length", strconv.FormatInt(body.Size(), 10))
	c.w.WriteHeader(http.StatusOK)
	if c.r.Method != http.MethodHead {
		_, _ = body.WriteTo(c.w) // the caller may be gone
	}
	return nil
}

// negotiate chooses an encoding among those that the caller names: the one it
// likes best, and of two that it likes the same the denser one.
func negotiate(headers []string) (repo.Encoding, string) {
	gzip, zstd, identity := -1.0, -1.0, -1.0
	for _, h := range headers {
		for e := range strings.SplitSeq(h, ",") {
			name, rest, _ := strings.Cut(e, ";")
			q := quality(rest)
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "gzip", "x-gzip":
				gzip = q
			case "zstd":
				zstd = q
			case "identity":
				identity = q
			}
		}
	}
	switch {
	case zstd > 0 && zstd >= gzip && zstd >= identity:
		return repo.Zstd, "zstd"
	case gzip > 0 && gzip >= identity:
		return repo.Gzip, "gzip"
	}
	return repo.Identity, ""
}

// quality reads ";q=0.5"; without one it is 1, and what cannot be read is 0.
func quality(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		k, v, ok := strings.Cut(p, "=")
		if ok && strings.EqualFold(strings.TrimSpace(k), "q") {
			q, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
			if err != nil || !(q >= 0 && q <= 1) {
				return 0
			}
			return q
		}
	}
	return 1
}
