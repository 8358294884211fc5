package storage

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"chartd.dev/chartd/internal/ref"
)

// Verify returns a reader of a whole blob whose last Read fails with
// ErrMismatch in place of io.EOF if the bytes were not those of d.
func Verify(r io.ReadCloser, d ref.Digest) io.ReadCloser {
	return &verifier{r: r, want: d, hash: sha256.New()}
}

type verifier struct {
	r    io.ReadCloser
	want ref.Digest
	hash hash.Hash
	err  error
}

func (v *verifier) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	n, err := v.r.Read(p)
	v.hash.Write(p[:n])
	if errors.Is(err, io.EOF) {
		err = io.EOF
		if got := ref.FromSum([sha256.Size]byte(v.hash.Sum(nil))); got != v.want {
			err = fmt.Errorf("read blob %s: %w: the stored bytes have %s", v.want, ErrMismatch, got)
		}
	}
	v.err = err
	return n, err
}

func (v *verifier) Close() error { return v.r.Close() }
