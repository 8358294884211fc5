package archive

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
)

// Fields of a gzip header longer than this carry something else than a name.
const maxGzipField = 512

// budget is what one package may cost, all its nested packages together.
type budget struct {
	l       Limits
	packed  int64
	out     int64
	entries int
	nodes   int
	buf     []byte // one for all copies
}

// copy is io.Copy without a buffer of its own each time.
func (b *budget) copy(dst io.Writer, src io.Reader) error {
	_, err := io.CopyBuffer(dst, src, b.buffer())
	return err
}

func (b *budget) buffer() []byte {
	if b.buf == nil {
		b.buf = *buffers.Get().(*[]byte)
	}
	return b.buf
}

// Buffers and decompressors are large beside a small package: they are used
// again.
var (
	buffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}
	flates  = sync.Pool{New: func() any { return flate.NewReader(nil) }}
)

// free gives the buffer back.
func (b *budget) free() {
	if b.buf != nil {
		buf := b.buf
		b.buf = nil
		buffers.Put(&buf)
	}
}

func (b *budget) unpacked(n int) error {
	b.out += int64(n)
	switch {
	case b.out > b.l.Unpacked:
		return tooLarge("unpacked", "more than %d bytes unpacked, tar headers and nested packages included", b.l.Unpacked)
	case b.out > b.l.RatioAfter && b.out > b.l.Ratio*b.packed:
		return tooLarge("ratio", "unpacks to more than %d times its size of %d bytes", b.l.Ratio, b.packed)
	}
	return nil
}

// byteReader is a source that a decompressor cannot read beyond need.
type byteReader interface {
	io.Reader
	io.ByteReader
}

// member reads the one gzip member that src holds, checks its framing, and
// counts what comes out.
type member struct {
	src    byteReader
	header []byte // as read
	z      io.ReadCloser
	crc    uint32
	size   uint32
	b      *budget
	err    error
}

func openMember(src byteReader, b *budget) (*member, error) {
	m := &member{src: src, b: b}
	if err := m.readHeader(); err != nil {
		return nil, err
	}
	m.z = flates.Get().(io.ReadCloser)
	if err := m.z.(flate.Resetter).Reset(src, nil); err != nil {
		return nil, err
	}
	return m, nil
}

// close gives the decompressor back; nothing can be read after that.
func (m *member) close() {
	if m.z != nil {
		// It must not keep the package.
		if m.z.(flate.Resetter).Reset(bytes.NewReader(nil), nil) == nil {
			flates.Put(m.z)
		}
		m.z, m.err = nil, io.ErrClosedPipe
	}
}

func (m *member) readHeader() error {
	var h [10]byte
	n, err := io.ReadFull(m.src, h[:])
	if err != nil || h[0] != 0x1f || h[1] != 0x8b || h[2] != 8 {
		if own(err) {
			return err
		}
		return malformed("gzip", "want a gzip file, the first bytes are %q", h[:min(n, 4)])
	}
	if h[3]&0xe0 != 0 {
		return malformed("gzip", "reserved flags 0x%02x in the header", h[3])
	}
	m.header = append(m.header, h[:]...)
	if h[3]&4 != 0 {
		b, err := m.take(2)
		if err != nil {
			return err
		}
		size := int(binary.LittleEndian.Uint16(b))
		if size > maxGzipField {
			return malformed("gzip", "extra field of %d bytes in the header, at most %d", size, maxGzipField)
		}
		if _, err := m.take(size); err != nil {
			return err
		}
	}
	for _, flag := range []byte{8, 16} {
		for i := 0; h[3]&flag != 0; i++ {
			b, err := m.take(1)
			if err != nil {
				return err
			}
			if b[0] == 0 {
				break
			}
			if i == maxGzipField {
				return malformed("gzip", "name or comment of more than %d bytes in the header", maxGzipField)
			}
		}
	}
	if h[3]&2 != 0 {
		sum := uint16(crc32.ChecksumIEEE(m.header))
		b, err := m.take(2)
		if err != nil {
			return err
		}
		if binary.LittleEndian.Uint16(b) != sum {
			return malformed("gzip", "the header's checksum is wrong")
		}
	}
	return nil
}

func (m *member) take(n int) ([]byte, error) {
	from := len(m.header)
	m.header = append(m.header, make([]byte, n)...)
	if _, err := io.ReadFull(m.src, m.header[from:]); err != nil {
		return nil, truncated(err)
	}
	return m.header[from:], nil
}

// Read implements io.Reader. io.EOF comes only after the checksum and the
// length were found right and nothing follows.
func (m *member) Read(p []byte) (int, error) {
	if m.err != nil {
		return 0, m.err
	}
	n, err := m.z.Read(p)
	m.crc = crc32.Update(m.crc, crc32.IEEETable, p[:n])
	m.size += uint32(n)
	if over := m.b.unpacked(n); over != nil {
		m.err = over
		return 0, over
	}
	switch {
	case err == io.EOF:
		m.err = m.trailer()
	case err != nil:
		m.err = truncated(err)
	}
	if n > 0 {
		return n, nil
	}
	return 0, m.err
}

func (m *member) trailer() error {
	var t [8]byte
	if _, err := io.ReadFull(m.src, t[:]); err != nil {
		return truncated(err)
	}
	if binary.LittleEndian.Uint32(t[:4]) != m.crc {
		return malformed("gzip", "the checksum is wrong: the package is damaged")
	}
	if binary.LittleEndian.Uint32(t[4:]) != m.size {
		return malformed("gzip", "the length is wrong: the package is damaged")
	}
	switch _, err := m.src.ReadByte(); {
	case err == nil:
		return refused("trailing-data", "bytes after the gzip stream; want exactly one gzip member")
	case err != io.EOF:
		return truncated(err)
	}
	return io.EOF
}

// own reports whether err is one of this package's already.
func own(err error) bool {
	return errors.Is(err, ErrMalformed) || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrRefused)
}

func truncated(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case own(err):
		return err
	case errors.As(err, &corrupt):
		return malformed("gzip", "the compressed data is damaged")
	}
	return malformed("truncated", "the package ends too early")
}

// isZip reports whether data is readable as a zip file too: two readers of
// one file must not see two different things.
func isZip(data []byte) bool {
	if !bytes.Contains(data[max(0, len(data)-1<<16-64):], []byte("PK\x05\x06")) {
		return false
	}
	_, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	return err == nil || errors.Is(err, zip.ErrInsecurePath)
}
