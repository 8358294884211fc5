package archive

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
)

// unpackedAtOnce is the size of the pieces that next makes, in bytes.
const unpackedAtOnce = 32 << 10

var errDamaged = errors.New("the compressed data is damaged")

// inflater unpacks one deflate stream into a buffer that its user reads in
// place. It takes not a byte more from its source than the stream has.
type inflater struct {
	z     io.ReadCloser
	src   *source
	whole bytes.Reader // what src holds, where that is all there is
	out   [unpackedAtOnce]byte
}

// Inflaters are large beside a small package: they are used again.
var inflaters = sync.Pool{New: func() any { return &inflater{z: flate.NewReader(bytes.NewReader(nil))} }}

func (z *inflater) reset(src *source) {
	z.src = src
	var from io.Reader = src
	switch {
	case src == nil:
		from = bytes.NewReader(nil) // it must not keep a package
		z.whole.Reset(nil)
	case src.more == nil:
		z.whole.Reset(src.buf[src.at:]) // which the library knows how to read fast
		from = &z.whole
	}
	_ = z.z.(flate.Resetter).Reset(from, nil) // never fails
}

// next unpacks some more. The bytes are good until the next call; they may
// come with an error, io.EOF at the end of the stream.
func (z *inflater) next() ([]byte, error) {
	n, err := z.z.Read(z.out[:])
	if err != nil && z.src.more == nil {
		z.src.at = len(z.src.buf) - z.whole.Len()
	}
	var corrupt flate.CorruptInputError
	if errors.As(err, &corrupt) {
		err = errDamaged
	}
	return z.out[:n], err
}
