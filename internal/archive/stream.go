package archive

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"sync"
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

// Buffers are large beside a small package: they are used again.
var buffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

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

// source is compressed bytes that come piece by piece.
type source struct {
	buf  []byte
	at   int                    // of buf, what is taken
	more func() ([]byte, error) // the next piece; nil: there is none
	err  error                  // why there is none
}

// piece returns what is left of a piece, or the next one.
func (s *source) piece() ([]byte, error) {
	for s.at == len(s.buf) {
		if s.more == nil {
			return nil, io.EOF
		}
		if s.err == nil {
			s.buf, s.at = nil, 0
			s.buf, s.err = s.more()
		}
		if len(s.buf) == 0 && s.err != nil {
			return nil, s.err
		}
	}
	return s.buf[s.at:], nil
}

func (s *source) ReadByte() (byte, error) {
	p, err := s.piece()
	if err != nil {
		return 0, err
	}
	s.at++
	return p[0], nil
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	q, err := s.piece()
	if err != nil {
		return 0, err
	}
	n := copy(p, q)
	s.at += n
	return n, nil
}

// readFull fills p, and returns how far it came.
func (s *source) readFull(p []byte) (int, error) {
	for n := 0; n < len(p); {
		q, err := s.piece()
		if err != nil {
			return n, err
		}
		k := copy(p[n:], q)
		s.at += k
		n += k
	}
	return len(p), nil
}

// member reads the one gzip member that src holds, checks its framing, and
// counts what comes out. Where more than one is tolerated it reads all of them.
type member struct {
	src    *source
	header []byte // as read
	z      *inflater
	crc    uint32
	size   uint32
	b      *budget
	tol    tolerance
	more   int    // members after the first
	buf    []byte // unpacked and counted, and not taken yet
	err    error  // what comes after that
}

func openMember(src *source, b *budget, tol tolerance) (*member, error) {
	m := &member{src: src, b: b, tol: tol}
	if err := m.readHeader(); err != nil {
		return nil, err
	}
	m.z = inflaters.Get().(*inflater)
	m.z.reset(src)
	return m, nil
}

// close gives the inflater back; nothing can be read after that.
func (m *member) close() {
	if m.z != nil {
		m.z.reset(nil) // it must not keep the package
		inflaters.Put(m.z)
		m.z, m.buf, m.err = nil, nil, io.ErrClosedPipe
	}
}

func (m *member) readHeader() error {
	var h [10]byte
	n, err := m.src.readFull(h[:])
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
		b, err := m.headerField(2)
		if err != nil {
			return err
		}
		size := int(binary.LittleEndian.Uint16(b))
		if size > maxGzipField {
			return malformed("gzip", "extra field of %d bytes in the header, at most %d", size, maxGzipField)
		}
		if _, err := m.headerField(size); err != nil {
			return err
		}
	}
	for _, flag := range []byte{8, 16} {
		for i := 0; h[3]&flag != 0; i++ {
			b, err := m.headerField(1)
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
		b, err := m.headerField(2)
		if err != nil {
			return err
		}
		if binary.LittleEndian.Uint16(b) != sum {
			return malformed("gzip", "the header's checksum is wrong")
		}
	}
	return nil
}

func (m *member) headerField(n int) ([]byte, error) {
	from := len(m.header)
	m.header = append(m.header, make([]byte, n)...)
	if _, err := m.src.readFull(m.header[from:]); err != nil {
		return nil, truncated(err)
	}
	return m.header[from:], nil
}

// fill makes sure that something is in buf. io.EOF comes only after the
// checksum and the length were found right and nothing follows.
func (m *member) fill() error {
	for len(m.buf) == 0 {
		if m.err != nil {
			return m.err
		}
		p, err := m.z.next()
		m.crc = crc32.Update(m.crc, crc32.IEEETable, p)
		m.size += uint32(len(p))
		if m.err = m.b.unpacked(len(p)); m.err != nil {
			return m.err
		}
		switch {
		case err == io.EOF:
			m.err = m.trailer()
		case err != nil:
			m.err = truncated(err)
		}
		m.buf = p
	}
	return nil
}

// take returns the next bytes in place, n at most and one at least. They are
// good until the next call.
func (m *member) take(n int64) ([]byte, error) {
	if err := m.fill(); err != nil {
		return nil, err
	}
	p := m.buf[:min(int64(len(m.buf)), n)]
	m.buf = m.buf[len(p):]
	return p, nil
}

// Read implements io.Reader.
func (m *member) Read(p []byte) (int, error) {
	q, err := m.take(int64(len(p)))
	return copy(p, q), err
}

func (m *member) trailer() error {
	var t [8]byte
	if _, err := m.src.readFull(t[:]); err != nil {
		return truncated(err)
	}
	if binary.LittleEndian.Uint32(t[:4]) != m.crc {
		return malformed("gzip", "the checksum is wrong: the package is damaged")
	}
	if binary.LittleEndian.Uint32(t[4:]) != m.size {
		return malformed("gzip", "the length is wrong: the package is damaged")
	}
	first, err := m.src.ReadByte()
	switch {
	case err == io.EOF:
		return err
	case err != nil:
		return truncated(err)
	}
	after := refused("trailing-data", "bytes after the gzip stream; want exactly one gzip member")
	if err := m.tol(after); err != nil {
		return err
	}
	if first == 0x1f && m.more < maxMembers {
		m.src.at--
		return m.another()
	}
	return m.zeros(first, after)
}

// maxMembers bounds the members after the first.
const maxMembers = 64

// another goes on with the member that follows.
func (m *member) another() error {
	m.more++
	header := m.header
	m.header = nil
	err := m.readHeader()
	m.header = header
	m.z.reset(m.src)
	m.crc, m.size = 0, 0
	return err
}

// zeros reads to the end, where nothing else may stand.
func (m *member) zeros(c byte, otherwise error) error {
	for {
		if c != 0 {
			return otherwise
		}
		var err error
		if c, err = m.src.ReadByte(); err != nil {
			if err == io.EOF {
				return err
			}
			return truncated(err)
		}
	}
}

// own reports whether err is one of this package's already.
func own(err error) bool {
	return errors.Is(err, ErrMalformed) || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrRefused)
}

func truncated(err error) error {
	switch {
	case own(err):
		return err
	case errors.Is(err, errDamaged):
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
