package repo

import (
	"crypto/sha256"
	"slices"
	"sort"
	"strconv"
	"strings"

	"chartd.dev/chartd/lock"

	"chartd.dev/chartd/internal/model"
)

// segment is a run of index lines as they are served. It is immutable, and
// shared by all generations in which it stands. There are as many as lines by
// the hundred, so it is few pieces of memory, with nothing in them to follow.
type segment struct {
	after  string // name of the chart of the line before, "" for none
	keys   string // name and version of each line, one after the other
	spans  []span // of the lines
	plain  []byte // as it is served
	sum    [sha256.Size]byte
	first  place
	begins bool // the first line begins a segment wherever it stands
	part   part
}

// span is where a line lies in its segment: its name and its version in keys,
// up to those of the next line, and its JSON in plain.
type span struct {
	seq           uint64
	name, version uint32
	json, end     uint32
}

// newSegment renders lines that stand behind a line of the chart after. They
// are copied, so nothing that they lay in is kept alive.
func newSegment(after string, lines []line) (*segment, error) {
	s := &segment{after: strings.Clone(after), spans: make([]span, len(lines))}
	size, names := 0, 0
	for i := range lines {
		size += len(lines[i].json) + 1
		names += len(lines[i].name) + len(lines[i].version)
	}
	s.plain = make([]byte, 0, size+len(lines[0].name)+8)
	var keys strings.Builder
	keys.Grow(names)
	for i := range lines {
		l := &lines[i]
		if l.name == after {
			s.plain = append(s.plain, ',')
		} else {
			if after != "" {
				s.plain = append(s.plain, "],"...)
			}
			s.plain = strconv.AppendQuote(s.plain, l.name)
			s.plain = append(s.plain, ":["...)
		}
		at := &s.spans[i]
		at.seq, at.name, at.json = l.seq, uint32(keys.Len()), uint32(len(s.plain))
		keys.WriteString(l.name)
		at.version = uint32(keys.Len())
		keys.WriteString(l.version)
		s.plain = append(s.plain, l.json...)
		at.end, after = uint32(len(s.plain)), l.name
	}
	s.keys, s.sum = keys.String(), sha256.Sum256(s.plain)
	return s, s.place()
}

// place fills in what follows from the first line.
func (s *segment) place() (err error) {
	l := line{seq: s.spans[0].seq}
	l.name, l.version = s.key(0)
	s.begins = l.beginsSegment()
	s.first, err = l.place()
	return err
}

// line returns a line as it lies in the segment.
func (s *segment) line(i int) line {
	name, version := s.key(i)
	at := s.spans[i]
	return line{name, version, at.seq, s.plain[at.json:at.end:at.end]}
}

func (s *segment) key(i int) (name, version string) {
	at, end := s.spans[i], uint32(len(s.keys))
	if i+1 < len(s.spans) {
		end = s.spans[i+1].name
	}
	return s.keys[at.name:at.version], s.keys[at.version:end]
}

func (s *segment) lines() []line {
	out := make([]line, len(s.spans))
	for i := range out {
		out[i] = s.line(i)
	}
	return out
}

// last is the name of the last line's chart.
func (s *segment) last() string {
	name, _ := s.key(len(s.spans) - 1)
	return name
}

// builder puts segments together from lines in order.
type builder struct {
	out  []*segment
	open []line
}

func (b *builder) after() string {
	if len(b.out) == 0 {
		return ""
	}
	return b.out[len(b.out)-1].last()
}

// add appends a line. One that begins no segment goes on in the last one.
func (b *builder) add(l line) error {
	switch {
	case l.beginsSegment():
		if err := b.close(); err != nil {
			return err
		}
	case len(b.open) == 0 && len(b.out) > 0:
		b.open = b.out[len(b.out)-1].lines()
		b.out = b.out[:len(b.out)-1]
	}
	b.open = append(b.open, l)
	return nil
}

func (b *builder) close() error {
	if len(b.open) == 0 {
		return nil
	}
	s, err := newSegment(b.after(), b.open)
	if err != nil {
		return err
	}
	b.out, b.open = append(b.out, s), nil
	return nil
}

// keep appends segments of an index that stand behind each other, as they are,
// or rendered anew where what stands before them changed.
func (b *builder) keep(list []*segment) error {
	for i, s := range list {
		if err := b.keepOne(s); err != nil {
			return err
		}
		if len(b.open) == 0 && b.out[len(b.out)-1] == s {
			// What stands before the others is what stood there.
			b.out = append(b.out, list[i+1:]...)
			return nil
		}
	}
	return nil
}

// keepOne appends a segment. Only the first one of an index may begin with any
// line.
func (b *builder) keepOne(s *segment) error {
	if !s.begins && (len(b.open) > 0 || len(b.out) > 0) {
		for i := range s.spans {
			if err := b.add(s.line(i)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := b.close(); err != nil {
		return err
	}
	if s.after != b.after() {
		var err error
		if s, err = newSegment(b.after(), s.lines()); err != nil {
			return err
		}
	}
	b.out = append(b.out, s)
	return nil
}

// edit is a line to put in its place, or to take away.
type edit struct {
	line
	at   place
	gone bool
}

func newEdit(from lock.IndexLine) (edit, error) {
	e := edit{gone: from.Chart.State != model.Listed}
	e.name, e.version, e.seq = from.Chart.Chart.Name(), from.Chart.Chart.Version(), from.Chart.Seq
	var err error
	if e.at, err = e.place(); err == nil && !e.gone {
		e.line, err = newLine(from)
	}
	return e, err
}

// amend applies edits to segments. It reads the lines of those segments that
// an edit falls into, and shares the others.
func amend(old []*segment, edits []edit) ([]*segment, error) {
	slices.SortFunc(edits, func(a, b edit) int { return a.at.compare(b.at) })
	b := builder{out: make([]*segment, 0, len(old)+len(edits)/segmentLines+2)}
	next := 0 // of old
	for len(edits) > 0 {
		at := max(find(old, edits[0].at), 0)
		if next < at {
			if err := b.keep(old[next:at]); err != nil {
				return nil, err
			}
			next = at
		}
		n := len(edits) // those before the following segment
		var lines []line
		if at < len(old) {
			lines, next = old[at].lines(), at+1
			if next < len(old) {
				n = sort.Search(n, func(i int) bool { return edits[i].at.compare(old[next].first) >= 0 })
			}
		}
		if err := b.merge(lines, edits[:n]); err != nil {
			return nil, err
		}
		edits = edits[n:]
	}
	if err := b.keep(old[next:]); err != nil {
		return nil, err
	}
	return b.out, b.close()
}

// merge adds the lines with the edits done to them, both in order.
func (b *builder) merge(lines []line, edits []edit) error {
	for _, l := range lines {
		p, err := l.place()
		if err != nil {
			return err
		}
		for ; len(edits) > 0; edits = edits[1:] {
			c := edits[0].at.compare(p)
			if c > 0 {
				break
			}
			if c == 0 {
				l.name = "" // replaced
			}
			if edits[0].gone {
				continue
			}
			if err := b.add(edits[0].line); err != nil {
				return err
			}
		}
		if l.name == "" {
			continue
		}
		if err := b.add(l); err != nil {
			return err
		}
	}
	for _, e := range edits {
		if e.gone {
			continue
		}
		if err := b.add(e.line); err != nil {
			return err
		}
	}
	return nil
}

// find is the number of the segment in which p has its place, -1 if it is
// before all.
func find(segments []*segment, p place) int {
	return sort.Search(len(segments), func(i int) bool { return segments[i].first.compare(p) > 0 }) - 1
}
