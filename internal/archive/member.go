package archive

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"github.com/klauspost/compress/flate"
)

// level of compression of what we write. Changing it, or the compressor,
// changes the digest of every package sealed after that.
const level = 6

// zeros reads as zeros.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// memberWriter writes one gzip member with a given header.
type memberWriter struct {
	out  bytes.Buffer
	z    *flate.Writer
	crc  uint32
	size uint32
}

func newMemberWriter(header []byte) (*memberWriter, error) {
	w := &memberWriter{}
	w.out.Write(header)
	var err error
	w.z, err = flate.NewWriter(&w.out, level)
	return w, err
}

func (w *memberWriter) Write(p []byte) (int, error) {
	w.crc = crc32.Update(w.crc, crc32.IEEETable, p)
	w.size += uint32(len(p))
	return w.z.Write(p)
}

func (w *memberWriter) close() ([]byte, error) {
	if err := w.z.Close(); err != nil {
		return nil, err
	}
	t := binary.LittleEndian.AppendUint32(nil, w.crc)
	w.out.Write(binary.LittleEndian.AppendUint32(t, w.size))
	return w.out.Bytes(), nil
}
