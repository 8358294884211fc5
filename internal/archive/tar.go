package archive

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"time"
)

const block = 512

// tarReader walks a tar stream. Only regular files and directories pass, each
// with at most one extended header, and only where every reader would see the
// same name and size.
type tarReader struct {
	m       *member
	b       *budget
	tol     tolerance
	left    int64 // of the current file's data
	pad     int64 // behind it
	padding []byte
	rec     [block]byte
	tail    int64  // bytes from the first zero block on
	h       header // of the current file
}

// header is one file or directory.
type header struct {
	name  string // without the slash at a directory's end
	dir   bool
	link  bool // to another name; Helm reads it as an empty file
	size  int64
	mtime time.Time // zero where the archive has none
	raw   []byte    // the header blocks as read, the last one the file's own; until the next header is read
	pax   map[string]string
	long  string // GNU long name
}

func newTarReader(m *member, b *budget, tol tolerance) *tarReader {
	return &tarReader{m: m, b: b, tol: tol, padding: make([]byte, 0, block)}
}

// next returns the next file or directory, good until the one after it; io.EOF
// after a proper end.
func (t *tarReader) next() (*header, error) {
	if err := t.skip(); err != nil {
		return nil, err
	}
	t.h = header{raw: t.h.raw[:0]}
	h := &t.h
	for {
		rec := t.rec[:]
		if _, err := io.ReadFull(t.m, rec); err != nil {
			if err == io.EOF && len(h.raw) == 0 && t.b.entries > 0 {
				return nil, t.unended()
			}
			return nil, truncated(err)
		}
		if t.rec == ([block]byte{}) {
			if len(h.raw) > 0 {
				return nil, malformed("tar-header", "an extended header without a file")
			}
			return nil, t.end()
		}
		if t.b.entries++; t.b.entries > t.b.l.Entries {
			return nil, tooLarge("tar-entries", "more than %d files and directories", t.b.l.Entries)
		}
		h.raw = append(h.raw, rec...)
		done, err := t.header(h, rec)
		if err != nil || done {
			return h, err
		}
	}
}

// header takes in one header block; done after the file's own one.
func (t *tarReader) header(h *header, rec []byte) (done bool, err error) {
	size, err := checkBlock(rec)
	if err != nil {
		return false, err
	}
	extended := h.pax != nil || h.long != ""
	switch kind := rec[156]; kind {
	case 'x', 'g':
		if extended {
			return false, refused("tar-pax", "two extended headers for one file")
		}
		return false, t.paxHeader(h, kind, size)
	case 'L':
		if extended {
			return false, refused("tar-pax", "two extended headers for one file")
		}
		data, err := t.extension(h, size, int64(t.b.l.Path)+1)
		if err != nil {
			return false, err
		}
		h.long = strings.TrimRight(string(data), "\x00")
		if h.long == "" {
			return false, refused("tar-path", "an empty long name")
		}
		return false, nil
	case '0', 0, '5':
		h.size, h.dir = size, kind == '5'
		return true, t.file(h, rec, kind)
	}
	other := refused("tar-type", "%s is of type %q; only files and directories may be in a package", quote(cstring(rec[:100])), string(rec[156:157]))
	if kind := rec[156]; size != 0 || kind != '1' && kind != '2' {
		return false, other
	}
	if err := t.tol(other); err != nil {
		return false, err
	}
	h.link = true
	return true, t.file(h, rec, rec[156])
}

// file fills in name, size and time of the file's own header.
func (t *tarReader) file(h *header, rec []byte, kind byte) error {
	name, err := blockName(rec)
	if err != nil {
		return err
	}
	if h.long != "" {
		if !strings.HasPrefix(h.long, name) {
			return refused("tar-pax", "long name %s for header name %s", quote(h.long), quote(name))
		}
		name = h.long
	}
	if p, ok := h.pax["path"]; ok {
		if !sameName(name, p) {
			return refused("tar-pax", "extended header path %s for header name %s", quote(p), quote(name))
		}
		name = p
	}
	if s, ok := h.pax["size"]; ok && s != strconv.FormatInt(h.size, 10) {
		return refused("tar-pax", "extended header size %s for header size %d of %s", quote(s), h.size, quote(name))
	}
	if strings.HasSuffix(name, "/") && kind == 0 {
		h.dir = true
	}
	if h.dir {
		name = strings.TrimSuffix(name, "/")
		if h.size != 0 {
			return refused("tar-type", "directory %s has %d bytes of data", quote(name), h.size)
		}
	}
	if h.size > t.b.l.File {
		return tooLarge("file-size", "%s has %d bytes, at most %d", quote(name), h.size, t.b.l.File)
	}
	h.name = name
	h.mtime = fileTime(rec[136:148], h.pax["mtime"])
	t.left, t.pad, t.padding = h.size, -h.size&(block-1), t.padding[:0]
	return t.checkPath(name)
}

// chunk returns the next bytes of the current file, good until the next call;
// io.EOF at its end.
func (t *tarReader) chunk() ([]byte, error) {
	if t.left == 0 {
		return nil, io.EOF
	}
	p, err := t.m.take(t.left)
	if err != nil {
		return nil, truncated(err)
	}
	t.left -= int64(len(p))
	return p, nil
}

// whole returns the current file in place, if all of it is there; good like a
// chunk.
func (t *tarReader) whole() ([]byte, bool) {
	if t.left > 0 && t.m.fill() != nil || t.left > int64(len(t.m.buf)) {
		return nil, false
	}
	p := t.m.buf[:t.left]
	t.m.buf, t.left = t.m.buf[t.left:], 0
	return p, true
}

// rest returns what is left of the current file.
func (t *tarReader) rest() ([]byte, error) {
	data := make([]byte, t.left)
	if _, err := io.ReadFull(t, data); err != nil && len(data) > 0 {
		return nil, truncated(err)
	}
	return data, nil
}

// Read reads the current file's data.
func (t *tarReader) Read(p []byte) (int, error) {
	if t.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > t.left {
		p = p[:t.left]
	}
	n, err := t.m.Read(p)
	t.left -= int64(n)
	if err != nil {
		return 0, truncated(err)
	}
	return n, nil
}

// skip reads to the end of the current file; its padding is in t.padding then.
// The last file's may be missing where an end is.
func (t *tarReader) skip() error {
	for t.left > 0 {
		if _, err := t.chunk(); err != nil {
			return err
		}
	}
	if t.pad > 0 {
		t.padding = t.padding[:t.pad]
		clear(t.padding)
		if _, err := io.ReadFull(t.m, t.padding); err != nil {
			if err != io.EOF && err != io.ErrUnexpectedEOF {
				return truncated(err)
			}
			if err := t.unended(); err != io.EOF {
				return err
			}
		}
		t.pad = 0
	}
	return nil
}

// end reads to the end: a second zero block must follow the first, and
// nothing but zeros after that.
func (t *tarReader) end() error {
	buf := t.b.buffer()
	if _, err := io.ReadFull(t.m, buf[:block]); err != nil {
		if err == io.EOF {
			return t.unended()
		}
		return truncated(err)
	}
	if !zero(buf[:block]) {
		return malformed("tar-header", "a single zero block inside the archive")
	}
	t.tail = 2 * block
	for {
		n, err := t.m.Read(buf)
		if !zero(buf[:n]) {
			return refused("trailing-data", "data after the end of the tar archive")
		}
		t.tail += int64(n)
		if err == io.EOF {
			return err
		}
		if err != nil {
			return truncated(err)
		}
	}
}

// unended is io.EOF where an end without the blocks that say so is tolerated.
// What is made from the archive has them.
func (t *tarReader) unended() error {
	t.tail = 2 * block
	if err := t.tol(malformed("truncated", "the package ends too early: the tar archive has no end")); err != nil {
		return err
	}
	return io.EOF
}

// blockName joins prefix and name where the format has a prefix.
func blockName(rec []byte) (string, error) {
	name := cstring(rec[:100])
	if !zero(rec[len(name):100]) {
		return "", refused("tar-path", "the name %s goes on after a NUL", quote(name))
	}
	switch magic := string(rec[257:265]); {
	case magic == "ustar\x0000" && string(rec[508:512]) != "tar\x00":
		prefix := cstring(rec[345:500])
		if !zero(rec[345+len(prefix) : 500]) {
			return "", refused("tar-path", "the name prefix %s goes on after a NUL", quote(prefix))
		}
		if prefix != "" {
			name = prefix + "/" + name
		}
	case !zero(rec[345:]) || strings.HasPrefix(magic, "ustar\x00"):
		return "", refused("tar-header", "%s: a tar format that readers understand differently", quote(name))
	}
	return name, nil
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

func cstring(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// fileTime is a file's date; 1970 (a time of zero, in any time zone) is none.
func fileTime(field []byte, pax string) time.Time {
	secs, _ := number(field)
	if whole, _, _ := strings.Cut(pax, "."); whole != "" {
		secs, _ = strconv.ParseInt(whole, 10, 64)
	}
	t := time.Unix(secs, 0).UTC()
	if t.Year() <= 1970 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}
