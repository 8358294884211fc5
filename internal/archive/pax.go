package archive

import (
	"io"
	"strconv"
	"strings"
)

const (
	maxPax        = 32 << 10
	maxPaxRecords = 64
)

// extension reads the data of an extended header into h.raw as well.
func (t *tarReader) extension(h *header, size, most int64) ([]byte, error) {
	if size > most {
		return nil, refused("tar-pax", "an extended header of %d bytes, at most %d", size, most)
	}
	from := len(h.raw)
	h.raw = append(h.raw, make([]byte, size+(-size&(block-1)))...)
	if _, err := io.ReadFull(t.m, h.raw[from:]); err != nil {
		return nil, truncated(err)
	}
	return h.raw[from : from+int(size)], nil
}

func (t *tarReader) paxHeader(h *header, kind byte, size int64) error {
	if kind == 'g' {
		if err := t.tol(refused("tar-pax", "a global extended header")); err != nil {
			return err
		}
	}
	data, err := t.extension(h, size, maxPax)
	if err != nil {
		return err
	}
	pax := map[string]string{}
	for rest := string(data); rest != ""; {
		length, _, ok := strings.Cut(rest, " ")
		n, err := strconv.ParseUint(length, 10, 31)
		if !ok || err != nil || int(n) > len(rest) || int(n) < len(length)+2 || length[0] == '+' || rest[n-1] != '\n' {
			return malformed("tar-pax", "an extended header is not readable")
		}
		key, value, ok := strings.Cut(rest[len(length)+1:n-1], "=")
		if _, twice := pax[key]; !ok || key == "" || twice {
			return refused("tar-pax", "extended header record %s is empty or given twice", quote(key))
		}
		if err := t.checkRecord(kind, key, value); err != nil {
			return err
		}
		pax[key], rest = value, rest[n:]
		if len(pax) > maxPaxRecords {
			return refused("tar-pax", "more than %d records in an extended header", maxPaxRecords)
		}
	}
	if kind == 'x' {
		h.pax = pax
	}
	return nil
}

// checkRecord passes what no reader lets change the name, the size or the
// type of a file.
func (t *tarReader) checkRecord(kind byte, key, value string) error {
	known := true
	switch key {
	case "path", "size":
		known = kind == 'x' && value != "" && !strings.Contains(value, "\x00")
	case "mtime", "atime", "ctime":
		known = kind == 'x' && paxTime(value)
	case "uid", "gid":
		_, err := strconv.ParseInt(value, 10, 64)
		known = kind == 'x' && err == nil
	case "uname", "gname":
		known = kind == 'x' && !strings.Contains(value, "\x00")
	case "comment":
	default:
		known = kind == 'x' && (strings.HasPrefix(key, "SCHILY.xattr.") || strings.HasPrefix(key, "LIBARCHIVE.")) && !strings.Contains(value, "\x00")
	}
	if known {
		return nil
	}
	err := refused("tar-pax", "extended header record %s with value %s", quote(key), quote(value))
	switch key {
	case "path", "size", "linkpath":
		return err
	case "mtime", "atime", "ctime", "uid", "gid", "uname", "gname", "hdrcharset":
		if kind == 'x' {
			return err
		}
	}
	if strings.HasPrefix(key, "GNU.") {
		return err // sparse files
	}
	return t.tol(err) // what other packers note of a file
}

func paxTime(s string) bool {
	whole, part, _ := strings.Cut(s, ".")
	if _, err := strconv.ParseInt(whole, 10, 64); err != nil {
		return false
	}
	return strings.Trim(part, "0123456789") == ""
}

// sameName reports whether the header's own name is what writers leave there
// for a path that does not fit: the path cut at 100 bytes, characters beyond
// ASCII dropped or replaced by a question mark.
func sameName(header, path string) bool {
	if header == path {
		return true
	}
	var dropped, marked strings.Builder
	for _, r := range path {
		if r < 0x80 {
			dropped.WriteRune(r)
			marked.WriteRune(r)
		} else {
			marked.WriteByte('?')
		}
	}
	for _, s := range []string{path, dropped.String(), marked.String()} {
		if s == path && len(path) <= 100 {
			continue // it would have fitted
		}
		if s = strings.TrimRight(s[:min(len(s), 100)], "/"); strings.TrimRight(header, "/") == s {
			return true
		}
	}
	return false
}
