package repo

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"sigs.k8s.io/yaml"
)

// IndexFormat is how the index is written. JSON is valid YAML, and Helm 3.13
// and later reads it several times faster.
type IndexFormat string

const (
	JSON IndexFormat = "json"
	YAML IndexFormat = "yaml"
)

// Encoding of a body.
type Encoding int

const (
	Identity Encoding = iota
	Gzip
	Zstd
	encodings
)

// String is the encoding's name in HTTP, "" for none.
func (e Encoding) String() string { return [...]string{"", "gzip", "zstd"}[e] }

type lazyBody struct {
	once sync.Once
	data []byte
	err  error
}

// Body returns the index in an encoding, and its ETag. Each encoding is made
// once for a generation.
func (x *Index) Body(e Encoding) (body []byte, etag string, err error) {
	l := &x.bodies[e]
	l.once.Do(func() {
		if e == Identity {
			l.data, l.err = x.identity()
			return
		}
		plain, _, err := x.Body(Identity)
		if err != nil {
			l.err = err
			return
		}
		l.data, l.err = encode(plain, e)
	})
	return l.data, x.ETag(e), l.err
}

// ETag is the strong entity tag of the index in an encoding.
func (x *Index) ETag(e Encoding) string {
	if e == Identity {
		return `"` + x.etag() + `"`
	}
	return `"` + x.etag() + "-" + e.String() + `"`
}

func (x *Index) identity() ([]byte, error) {
	plain := x.plain()
	if x.format != YAML {
		return plain, nil
	}
	out, err := yaml.JSONToYAML(plain)
	if err != nil {
		return nil, fmt.Errorf("write index as YAML: %w", err)
	}
	return out, nil
}

// ContentType is that of the index, whatever its encoding.
func (x *Index) ContentType() string { return indexContentType }

// indexContentType is what chart repositories answer; JSON is YAML too.
const indexContentType = "application/x-yaml"

func encode(plain []byte, e Encoding) ([]byte, error) {
	var b bytes.Buffer
	if e == Zstd {
		w, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		return w.EncodeAll(plain, nil), w.Close()
	}
	w := gzip.NewWriter(&b)
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	err := w.Close()
	return b.Bytes(), err
}
