package repo

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/flate"
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

// joinLimit is the size up to which a body is kept in one piece too. A larger
// one is written piece by piece, and there is no second copy of it.
const joinLimit = 4 << 20

// part is a segment compressed by itself, each encoding when first asked for.
type part struct {
	gzip, zstd lazyBytes
	crc        sumOf
	crcOnce    sync.Once
}

// sum is the checksum of the segment as it is served.
func (p *part) sum(plain []byte) sumOf {
	p.crcOnce.Do(func() { p.crc = newSum(plain) })
	return p.crc
}

type lazyBytes struct {
	mu   sync.Mutex
	data []byte // nil until it was made
}

func (l *lazyBytes) get(makeIt func() ([]byte, error)) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.data != nil {
		return l.data, nil
	}
	var err error
	l.data, err = makeIt()
	return l.data, err
}

// made is what get would return, if that is known.
func (l *lazyBytes) made() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.data
}

// Body is the index in one encoding.
type Body struct {
	pieces [][]byte
	size   int64
}

type lazyBody struct {
	once sync.Once
	body Body
	etag string
	err  error
}

// Body returns the index in an encoding, and its strong entity tag. It is made
// once for a generation, of pieces that are made once for a segment.
func (x *Index) Body(e Encoding) (Body, string, error) {
	l := &x.bodies[e]
	l.once.Do(func() {
		pieces, err := x.pieces(e)
		l.body, l.etag, l.err = newBody(pieces), x.ETag(e), err
	})
	return l.body, l.etag, l.err
}

func newBody(pieces [][]byte) Body {
	b := Body{pieces: pieces}
	for _, p := range pieces {
		b.size += int64(len(p))
	}
	if b.size <= joinLimit {
		b.pieces = [][]byte{slices.Concat(pieces...)}
	}
	return b
}

// Size in bytes.
func (b Body) Size() int64 { return b.size }

// WriteTo writes the whole body.
func (b Body) WriteTo(w io.Writer) (int64, error) {
	var n int64
	for _, p := range b.pieces {
		m, err := w.Write(p)
		n += int64(m)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Bytes is the whole body in one piece.
func (b Body) Bytes() []byte { return slices.Concat(b.pieces...) }

// ETag is the strong entity tag of the index in an encoding.
func (x *Index) ETag(e Encoding) string {
	if e == Identity {
		return `"` + x.etag() + `"`
	}
	return `"` + x.etag() + "-" + e.String() + `"`
}

// ContentType is that of the index, whatever its encoding.
func (x *Index) ContentType() string { return indexContentType }

// indexContentType is what chart repositories answer; JSON is YAML too.
const indexContentType = "application/x-yaml"

func (x *Index) pieces(e Encoding) ([][]byte, error) {
	if x.format == YAML {
		return x.whole(e)
	}
	switch e {
	case Gzip:
		return x.gzipPieces()
	case Zstd:
		return x.zstdPieces()
	}
	return x.plainPieces(), nil
}

func (x *Index) plainPieces() [][]byte {
	out := make([][]byte, 0, len(x.segments)+2)
	out = append(out, []byte(head))
	for _, s := range x.segments {
		out = append(out, s.plain)
	}
	return append(out, x.tail())
}

// whole makes the YAML index, which is not made of pieces: it is there for
// clients that cannot read JSON, and costs what the repository holds.
func (x *Index) whole(e Encoding) ([][]byte, error) {
	if e != Identity {
		plain, _, err := x.Body(Identity)
		if err != nil {
			return nil, err
		}
		data, err := compress(plain.Bytes(), e)
		return [][]byte{data}, err
	}
	out, err := yaml.JSONToYAML(slices.Concat(x.plainPieces()...))
	if err != nil {
		return nil, fmt.Errorf("write index as YAML: %w", err)
	}
	return [][]byte{out}, nil
}

func compress(plain []byte, e Encoding) ([]byte, error) {
	if e == Zstd {
		return zstdFrame(plain)
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	err := w.Close()
	return b.Bytes(), err
}

// gzipPieces are one gzip stream: the segments as deflate blocks that depend
// on nothing before them, and the checksums joined.
func (x *Index) gzipPieces() ([][]byte, error) {
	out := make([][]byte, 0, len(x.segments)+3)
	first, last := []byte(head), x.tail()
	out = append(out, append(slices.Clone(gzipHeader), stored(first)...))
	sum := newSum(first)
	for _, s := range x.segments {
		data, err := s.part.gzip.get(func() ([]byte, error) { return deflate(s.plain) })
		if err != nil {
			return nil, err
		}
		out = append(out, data)
		sum = sum.join(s.part.sum(s.plain))
	}
	sum = sum.join(newSum(last))
	return append(out, append(stored(last), sum.trailer()...)), nil
}

// zstdPieces are independent frames, which a decoder joins.
func (x *Index) zstdPieces() ([][]byte, error) {
	first, err := zstdFrame([]byte(head))
	if err != nil {
		return nil, err
	}
	out := append(make([][]byte, 0, len(x.segments)+2), first)
	for _, s := range x.segments {
		data, err := s.part.zstd.get(func() ([]byte, error) { return zstdFrame(s.plain) })
		if err != nil {
			return nil, err
		}
		out = append(out, data)
	}
	last, err := zstdFrame(x.tail())
	return append(out, last), err
}

var zstdWriter = sync.OnceValues(func() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(2))
})

func zstdFrame(plain []byte) ([]byte, error) {
	w, err := zstdWriter()
	if err != nil {
		return nil, err
	}
	return slices.Clip(w.EncodeAll(plain, nil)), nil
}

var deflaters = sync.Pool{New: func() any {
	w, _ := flate.NewWriter(nil, flate.DefaultCompression) // a known level never fails
	return w
}}

// deflate ends on a byte boundary and is not the last of its stream.
func deflate(plain []byte) ([]byte, error) {
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	var b bytes.Buffer
	w.Reset(&b)
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	err := w.Flush()
	return bytes.Clone(b.Bytes()), err
}
