package transport

import (
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// File is a stored file as an answer: all of it, one range of it, or 304.
type File struct {
	Name string
	Type string // media type
	ETag string
	Size int64
	// Open opens length bytes of the file from off on, or an *os.File at off,
	// which goes on after them.
	Open func(off, length int64) (io.ReadCloser, error)
}

// File answers with a file.
func (c *Call) File(f File) error {
	c.Set("Etag", f.ETag)
	c.Set("Accept-Ranges", "bytes")
	c.Set("Cache-Control", "no-cache")
	c.Set("Content-Type", f.Type)
	c.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": f.Name}))
	if c.Known(f.ETag) {
		return nil
	}
	off, length, status := int64(0), f.Size, http.StatusOK
	if set, ok := bytesRange(c.R, f.ETag); ok {
		var err error
		if off, length, err = parseRange(set, f.Size); err != nil {
			c.Set("Content-Range", fmt.Sprintf("bytes */%d", f.Size))
			return err
		}
		status = http.StatusPartialContent
		c.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", off, off+length-1, f.Size))
	}
	if c.R.Method == http.MethodHead {
		c.Set("Content-Length", strconv.FormatInt(length, 10))
		c.WriteHeader(status)
		return nil
	}
	r, err := f.Open(off, length)
	if err != nil {
		return err
	}
	defer r.Close()
	c.Set("Content-Length", strconv.FormatInt(length, 10))
	c.WriteHeader(status)
	return c.copy(f.Name, r, length)
}

// copy sends what was announced. Where there is less the answer is cut off.
func (c *Call) copy(name string, r io.Reader, length int64) error {
	if _, ok := r.(*os.File); ok {
		r = io.LimitReader(r, length)
	}
	n, err := io.Copy(c, r)
	if _, gone := errors.AsType[*net.OpError](err); gone || err == nil && n == length {
		return nil // a caller that is gone is nobody's fault
	}
	c.err = errors.Join(fmt.Errorf("send %s: it ended at %d of %d bytes", name, n, length), err)
	return http.ErrAbortHandler
}

// Known answers 304 if the caller has the body with this entity tag already.
func (c *Call) Known(etag string) bool {
	for _, h := range c.R.Header["If-None-Match"] {
		for v := range strings.SplitSeq(h, ",") {
			v = strings.TrimSpace(v)
			if v == "*" || strings.TrimPrefix(v, "W/") == etag {
				c.WriteHeader(http.StatusNotModified)
				return true
			}
		}
	}
	return false
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
	bad := fmt.Errorf("%w: %q of %d bytes", ErrRange, Clip(set), size)
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
