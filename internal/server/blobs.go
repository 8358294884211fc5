package server

import (
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"

	"chartd.dev/chartd/repo"
)

// whole is the size up to which a file is read, and so verified, before the
// first byte of an answer; a larger one is cut off where it proves damaged.
const whole = 4 << 20

// sendBlob answers with a stored file: all of it, one range of it, or 304.
func (s *Server) sendBlob(c *call, b repo.Blob) error {
	h := c.w.Header()
	etag := `"` + b.Digest.Hex() + `"`
	c.set("Etag", etag)
	c.set("Accept-Ranges", "bytes")
	c.set("Cache-Control", "no-cache")
	c.set("Content-Type", fileType(b.Name))
	c.set("Content-Disposition", attachment(b.Name))
	if notModified(c.r, etag) {
		c.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	part := section{0, b.Size, http.StatusOK}
	if set, ok := bytesRange(c.r, etag); ok {
		var err error
		if part.off, part.length, err = parseRange(set, b.Size); err != nil {
			h.Set("Content-Range", fmt.Sprintf("bytes */%d", b.Size))
			return err
		}
		part.status = http.StatusPartialContent
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", part.off, part.off+part.length-1, b.Size))
	}
	if c.r.Method == http.MethodHead {
		c.set("Content-Length", strconv.FormatInt(part.length, 10))
		c.w.WriteHeader(part.status)
		return nil
	}
	return s.copyBlob(c, b, part)
}

// section is the part of a file that an answer holds.
type section struct {
	off, length int64
	status      int
}

func (s *Server) copyBlob(c *call, b repo.Blob, part section) error {
	f, err := s.Repo.OpenFile(c.ctx(), b)
	if err != nil {
		return err
	}
	if f != nil {
		return sendFile(c, f, part)
	}
	if b.Size <= whole {
		return s.copyVerified(c, b, part)
	}
	ask, length := part.length, part.length
	if part.status == http.StatusOK {
		ask = -1 // the whole file: its end is verified
	}
	r, err := s.Repo.Open(c.ctx(), b, part.off, ask)
	if err != nil {
		return err
	}
	defer r.Close()
	c.w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
	c.w.WriteHeader(part.status)
	if n, err := io.Copy(c.w, r); err != nil || n != length {
		stateOf(c.w).err = errors.Join(fmt.Errorf("send %s: %d of %d bytes", b.Name, n, length), err)
		return http.ErrAbortHandler
	}
	return nil
}

// sendFile sends a part of a file that was verified; the kernel copies it.
func sendFile(c *call, f *os.File, part section) error {
	defer f.Close()
	if _, err := f.Seek(part.off, io.SeekStart); err != nil {
		return err
	}
	c.set("Content-Length", strconv.FormatInt(part.length, 10))
	c.w.WriteHeader(part.status)
	if n, err := io.Copy(c.w, io.LimitReader(f, part.length)); err == nil && n != part.length {
		stateOf(c.w).err = fmt.Errorf("send %s: it ended at %d of %d bytes", f.Name(), n, part.length)
		return http.ErrAbortHandler
	} // the caller may be gone
	return nil
}

// copyVerified reads all of a file, and so verifies it, before the first byte
// of any part of it goes out.
func (s *Server) copyVerified(c *call, b repo.Blob, part section) error {
	r, err := s.Repo.Open(c.ctx(), b, 0, -1)
	if err != nil {
		return err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if int64(len(data)) != b.Size {
		return fmt.Errorf("%w: %s has %d bytes, want %d", repo.ErrBlobMissing, b.Name, len(data), b.Size)
	}
	c.w.Header().Set("Content-Length", strconv.FormatInt(part.length, 10))
	c.w.WriteHeader(part.status)
	_, _ = c.w.Write(data[part.off : part.off+part.length]) // the caller may be gone
	return nil
}

// bytesRange is what a Range header asks for, if it is to be looked at: a unit
// other than bytes is as good as no header, and If-Range names another body
// when the file is not the caller's any more.
func bytesRange(r *http.Request, etag string) (set string, ok bool) {
	unit, set, ok := strings.Cut(first(r.Header["Range"]), "=")
	cond := first(r.Header["If-Range"])
	return set, ok && strings.EqualFold(unit, "bytes") && (cond == "" || cond == etag)
}

// parseRange reads one range of bytes. More than one, or one that is not in
// the file, is not satisfiable.
func parseRange(set string, size int64) (off, length int64, err error) {
	bad := fmt.Errorf("%w: %q of %d bytes", errRange, clip(set), size)
	first, last, dash := strings.Cut(strings.TrimSpace(set), "-")
	if !dash || strings.Contains(last, ",") {
		return 0, 0, bad
	}
	if first == "" {
		n, ok := position(last)
		if !ok || n == 0 || size == 0 {
			return 0, 0, bad
		}
		n = min(n, size)
		return size - n, n, nil
	}
	from, ok := position(first)
	if !ok || from >= size {
		return 0, 0, bad
	}
	to := size - 1
	if last != "" {
		n, ok := position(last)
		if !ok || n < from {
			return 0, 0, bad
		}
		to = min(to, n)
	}
	return from, to - from + 1, nil
}

// position reads a number of bytes. One that is too large for any file is as
// good as the largest.
func position(digits string) (n int64, ok bool) {
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return 0, false
		}
		if d := int64(c - '0'); n > (math.MaxInt64-d)/10 {
			n = math.MaxInt64
		} else {
			n = 10*n + d
		}
	}
	return n, digits != ""
}

// attachment is the header that makes a browser save a file under its name.
func attachment(name string) string {
	for i := 0; i < len(name); i++ {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.+", c) >= 0) {
			return mime.FormatMediaType("attachment", map[string]string{"filename": name})
		}
	}
	return "attachment; filename=" + name
}

func fileType(name string) string {
	if strings.HasSuffix(name, ".prov") {
		return "application/pgp-signature"
	}
	return "application/x-tar" // what ChartMuseum sends and Helm takes
}

// sendPage answers with a small document that has one encoding.
func sendPage(c *call, p repo.Page) error {
	c.set("Etag", p.ETag)
	c.set("Cache-Control", "no-cache")
	c.set("Content-Type", p.ContentType)
	if notModified(c.r, p.ETag) {
		c.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	c.set("Content-Length", strconv.Itoa(len(p.Body)))
	c.w.WriteHeader(http.StatusOK)
	_, _ = c.w.Write(p.Body) // the caller may be gone
	return nil
}

// sendText answers with a document of ours that has no validator.
func sendText(c *call, contentType string, body []byte) error {
	h := c.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(http.StatusOK)
	_, _ = c.w.Write(body) // the caller may be gone
	return nil
}
