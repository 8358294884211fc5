package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"chartd.dev/chartd/internal/transport"
	"chartd.dev/chartd/repo"
)

// listRoom is what a list holds of the memory while it is made; one that came
// out larger holds all that it takes.
const listRoom = 256 << 10

// document is a text of ours that has no validator.
type document struct {
	kind string // media type
	body []byte
}

func (d document) send(c *call) error {
	if err := c.Hold(int64(len(d.body))); err != nil {
		return err
	}
	c.Send(http.StatusOK, d.kind, d.body)
	return nil
}

// inPieces is the JSON of a T that is written piece by piece, so that an answer
// takes as much memory as its largest piece, however slowly it is read. Where
// it fails in the middle the connection is cut.
type inPieces[T any] func(*call, *bufio.Writer) error

const pieceRoom = 32 << 10

func (write inPieces[T]) send(c *call) error {
	if err := c.Hold(pieceRoom); err != nil {
		return err
	}
	c.Set("Content-Type", "application/json")
	c.Set("Cache-Control", "no-cache")
	w := bufio.NewWriterSize(c, pieceRoom)
	err := write(c, w)
	if err == nil {
		err = w.Flush()
		if err != nil {
			return nil // the caller is gone: there is nobody left to tell
		}
	}
	if err != nil && c.Started() {
		return errors.Join(http.ErrAbortHandler, err)
	}
	return err
}

// sized announces the length of the answer, which it finds by writing it to
// nobody.
func (write inPieces[T]) sized(c *call) (inPieces[T], error) {
	var n length
	w := bufio.NewWriter(&n)
	if err := errors.Join(write(c, w), w.Flush()); err != nil {
		return nil, err
	}
	c.Set("Content-Length", strconv.FormatInt(int64(n), 10))
	return write, nil
}

// length counts what is written to it.
type length int64

func (n *length) Write(p []byte) (int, error) {
	*n += length(len(p))
	return len(p), nil
}

func (inPieces[T]) wire() reflect.Type { return reflect.TypeFor[T]() }

// page is a small document that has one encoding.
type page struct{ repo.Page }

func (p page) send(c *call) error {
	c.Set("Etag", p.ETag)
	c.Set("Cache-Control", "no-cache")
	if !c.Known(p.ETag) {
		c.Send(http.StatusOK, p.ContentType, p.Body)
	}
	return nil
}

// index is an index. Helm sends no Accept-Encoding and decodes nothing, so a
// compressed body goes only to those who ask for it.
type index struct{ *repo.Index }

// encodings are the index's, by their names in HTTP.
var encodings = map[string]repo.Encoding{"": repo.Identity, "gzip": repo.Gzip, "zstd": repo.Zstd}

func (i index) send(c *call) error {
	c.Set("Vary", "Accept-Encoding")
	name := c.Encoding()
	body, etag, err := i.Body(encodings[name])
	if err != nil {
		return err
	}
	c.Set("Etag", etag)
	c.Set("Cache-Control", "no-cache")
	if c.Known(etag) {
		return nil
	}
	c.Set("Content-Type", i.ContentType())
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

// blob is a stored file: all of it, one range of it, or 304.
type blob struct {
	repo.Blob
	from *repo.Repository
	hold func(int64) error // takes memory for a file that is read before it is sent
}

// blob answers with what a handler found.
func (s *Server) blob(b repo.Blob, err error) (blob, error) { return blob{Blob: b, from: s.Repo}, err }

func (b blob) send(c *call) error {
	kind := "application/x-tar" // what ChartMuseum sends and Helm takes
	if strings.HasSuffix(b.Name, ".prov") {
		kind = "application/pgp-signature"
	}
	b.hold = c.Hold
	return c.File(transport.File{
		Name: b.Name, Type: kind, ETag: `"` + b.Digest.Hex() + `"`, Size: b.Size,
		Open: func(off, length int64) (io.ReadCloser, error) { return b.open(c.Context(), off, length) },
	})
}

// whole is the size up to which a file is read, and so verified, before the
// first byte of an answer; a larger one is cut off where it proves damaged.
const whole = 4 << 20

// open opens a part of a file that is verified: before that, or by its end.
func (b blob) open(ctx context.Context, off, length int64) (io.ReadCloser, error) {
	f, err := b.from.OpenFile(ctx, b.Blob)
	if err != nil {
		return nil, err
	}
	if f != nil { // the kernel copies it
		if _, err := f.Seek(off, io.SeekStart); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return f, nil
	}
	if b.Size > whole && length < b.Size {
		return b.from.Open(ctx, b.Blob, off, length)
	}
	if err := b.hold(min(b.Size, whole)); err != nil {
		return nil, err
	}
	r, err := b.from.Open(ctx, b.Blob, 0, -1)
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

// stream is a backup while it is written. Where that fails in the middle the
// connection is cut, so that half a backup is never taken for a whole one.
type stream func(context.Context, io.Writer) error

func (write stream) send(c *call) error {
	c.Set("Content-Type", "application/x-tar")
	c.Set("Content-Disposition", `attachment; filename="chartd-backup.tar"`)
	c.Set("Cache-Control", "no-store")
	if c.R.Method == http.MethodHead {
		c.WriteHeader(http.StatusOK)
		return nil
	}
	err := write(c.Context(), c)
	if err != nil && c.Started() {
		return errors.Join(http.ErrAbortHandler, fmt.Errorf("send backup: %w", err))
	}
	return err
}
