package transport

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Where a framing is. A body is passed over by its length, whatever comes after.
const (
	atRequest  = iota // the line that a request begins with
	atHeader          // a line of its head
	atChunk           // the line that a chunk begins with
	atChunkEnd        // the empty line after a chunk
	atTrailer         // a line after the last chunk
)

// framing follows the requests of a connection: where each head ends, and how
// long its body is. It refuses what net/http takes and another reader of HTTP
// takes for something else: a length beside chunks, a length that is there
// twice, chunks in HTTP/1.0, a line that ends with LF alone, a folded line.
// Where a proxy and a server differ on where a request ends, the rest of one is
// the next one to the other, and nobody checked that.
type framing struct {
	at   int
	skip int64 // bytes of the body or the chunk that are still to come

	line [maxFramed]byte // how the line begins
	size int             // bytes of the line so far
	tail [len(http11)]byte
	cr   bool // it ends with CR so far

	chunks, chunked, measured bool // HTTP/1.1; headers that were seen
	length                    int64
}

const (
	maxFramed = 64 // bytes of a line that says how long a body is
	http11    = "HTTP/1.1\r"
)

// follow reads on, and returns how many bytes may be handed on, and why no
// more may.
func (f *framing) follow(p []byte) (int, error) {
	for i := 0; i < len(p); {
		if f.skip > 0 {
			n := min(f.skip, int64(len(p)-i))
			f.skip -= n
			i += int(n)
			continue
		}
		part, whole := p[i:], false
		if end := bytes.IndexByte(part, '\n'); end >= 0 {
			part, whole = part[:end], true
		}
		if err := f.keep(part); err != nil {
			return i, err
		}
		if i += len(part); !whole {
			break
		}
		if err := f.end(); err != nil {
			return i, err
		}
		i++
	}
	return len(p), nil
}

// keep adds a part of a line.
func (f *framing) keep(part []byte) error {
	if len(part) == 0 {
		return nil
	}
	cr := bytes.IndexByte(part, '\r')
	if f.cr || cr >= 0 && cr < len(part)-1 {
		return errors.New("a CR without LF")
	}
	f.cr = cr >= 0
	copy(f.line[min(f.size, maxFramed):], part)
	f.size += len(part)
	if n := len(part); n < len(f.tail) {
		copy(f.tail[:], f.tail[n:])
		copy(f.tail[len(f.tail)-n:], part)
	} else {
		copy(f.tail[:], part[n-len(f.tail):])
	}
	return nil
}

// end takes the line that is whole now.
func (f *framing) end() error {
	if !f.cr {
		return errors.New("a line that ends with LF alone")
	}
	cut := f.size > maxFramed
	line := string(f.line[:min(f.size, maxFramed)])
	line = strings.TrimSuffix(line, "\r")
	f.size, f.cr = 0, false
	switch f.at {
	case atRequest:
		if line != "" { // some clients send an empty one after a body
			f.at, f.chunks = atHeader, string(f.tail[:]) == http11
			f.chunked, f.measured, f.length = false, false, 0
		}
	case atHeader:
		return f.header(line, cut)
	case atChunk:
		return f.chunk(line)
	case atChunkEnd:
		if line != "" {
			return errors.New("a chunk that is longer than it says")
		}
		f.at = atChunk
	case atTrailer:
		if line == "" {
			f.at = atRequest
		}
		return unfolded(line)
	}
	return nil
}

func unfolded(line string) error {
	if line != "" && (line[0] == ' ' || line[0] == '\t') {
		return errors.New("a folded header line")
	}
	return nil
}

// header takes a line of the head; the empty one ends it.
func (f *framing) header(line string, cut bool) (err error) {
	if line == "" {
		return f.body()
	}
	if err := unfolded(line); err != nil {
		return err
	}
	name, value, _ := strings.Cut(line, ":")
	value = strings.Trim(value, " \t")
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "content-length":
		if f.measured || cut {
			return errors.New("more than one Content-Length")
		}
		f.measured = true
		f.length, err = parseLength(value, 10)
	case "transfer-encoding":
		if f.chunked || cut || !strings.EqualFold(value, "chunked") {
			return fmt.Errorf("Transfer-Encoding %q, want chunked, once", value)
		}
		f.chunked = true
	}
	return err
}

// body finds out how what follows the head ends.
func (f *framing) body() error {
	switch {
	case !f.chunked:
		f.at, f.skip = atRequest, f.length
	case f.measured:
		return errors.New("both Content-Length and Transfer-Encoding")
	case !f.chunks:
		return errors.New("Transfer-Encoding in another version than HTTP/1.1")
	default:
		f.at = atChunk
	}
	return nil
}

// chunk takes the size of a chunk; extensions mean nothing.
func (f *framing) chunk(line string) (err error) {
	size, _, _ := strings.Cut(line, ";")
	f.skip, err = parseLength(size, 16)
	if f.at = atChunkEnd; f.skip == 0 {
		f.at = atTrailer
	}
	return err
}

// parseLength reads digits and nothing else, of a length that no counter
// overflows at.
func parseLength(text string, base int) (int64, error) {
	n, err := strconv.ParseUint(text, base, 62)
	if err != nil {
		return 0, fmt.Errorf("the length %q", Clip(text))
	}
	return int64(n), nil
}
