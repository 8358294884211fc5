package server

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"

	"chartd.dev/chartd/internal/transport"
	"chartd.dev/chartd/repo"
)

// whole is the size up to which a file is read, and so verified, before the
// first byte of an answer; a larger one is cut off where it proves damaged.
const whole = 4 << 20

// sendBlob answers with a stored file: all of it, one range of it, or 304.
func (s *Server) sendBlob(c *call, b repo.Blob) error {
	return c.File(transport.File{
		Name: b.Name, Type: fileType(b.Name), ETag: `"` + b.Digest.Hex() + `"`, Size: b.Size,
		Open: func(off, length int64) (io.ReadCloser, error) { return s.openPart(c, b, off, length) },
	})
}

// openPart opens a part of a file that is verified: before that, or by its end.
func (s *Server) openPart(c *call, b repo.Blob, off, length int64) (io.ReadCloser, error) {
	f, err := s.Repo.OpenFile(c.Context(), b)
	if err != nil {
		return nil, err
	}
	if f != nil { // the kernel copies it
		if _, err := f.Seek(off, io.SeekStart); err != nil {
			_ = f.Close()
			return nil, err
		}
		return f, nil
	}
	if b.Size > whole && length < b.Size {
		return s.Repo.Open(c.Context(), b, off, length)
	}
	r, err := s.Repo.Open(c.Context(), b, 0, -1)
	if err != nil || b.Size > whole {
		return r, err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	if int64(len(data)) != b.Size {
		return nil, fmt.Errorf("%w: %s has %d bytes, want %d", repo.ErrBlobMissing, b.Name, len(data), b.Size)
	}
	return io.NopCloser(bytes.NewReader(data[off : off+length])), nil
}

func fileType(name string) string {
	if strings.HasSuffix(name, ".prov") {
		return "application/pgp-signature"
	}
	return "application/x-tar" // what ChartMuseum sends and Helm takes
}

// sendPage answers with a small document that has one encoding.
func sendPage(c *call, p repo.Page) error {
	c.Set("Etag", p.ETag)
	c.Set("Cache-Control", "no-cache")
	if !c.Known(p.ETag) {
		c.Send(http.StatusOK, p.ContentType, p.Body)
	}
	return nil
}

// sendText answers with a document of ours that has no validator.
func sendText(c *call, contentType string, body []byte) error {
	c.Send(http.StatusOK, contentType, body)
	return nil
}
