package repo

import (
	"crypto/sha256"
	"slices"
	"sort"
	"strconv"

	"chartd.dev/chartd/lock"
)

// segment is a run of index lines as they are served. It is immutable, and
// shared by all generations in which it stands.
type segment struct {
	lines []line // their json lies in plain
	after string // name of the chart of the line before, "" for none
	plain []byte
	sum   [sha256.Size]byte
	first place
	part  part
}

// newSegment renders lines that stand behind a line of the chart after. They
// are copied, so nothing that they lay in is kept alive.
func newSegment(after string, lines []line) (*segment, error) {
	s := &segment{after: after, lines: make([]line, len(lines))}
	size := 0
	for i := range lines {
		size += len(lines[i].json) + 1
	}
	s.plain = make([]byte, 0, size+len(lines[0].name)+8)
	for i, l := range lines {
		if l.name == after {
			s.plain = append(s.plain, ',')
		} else {
			if after != "" {
				s.plain = append(s.plain, "],"...)
			}
			s.plain = strconv.AppendQuote(s.plain, l.name)
			s.plain = append(s.plain, ":["...)
		}
		start := len(s.plain)
		s.plain = append(s.plain, l.json...)
		l.json = s.plain[start:len(s.plain):len(s.plain)]
		s.lines[i], after = l, l.name
	}
	s.sum = sha256.Sum256(s.plain)
	var err error
	s.first, err = s.lines[0].place()
	return s, err
}

// last is the name of the last line's chart.
func (s *segment) last() string { return s.lines[len(s.lines)-1].name }

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
		b.open = slices.Clone(b.out[len(b.out)-1].lines)
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

// keep appends a segment as it is, or rendered anew where what stands before
// it changed. Only the first segment of an index may begin with any line.
func (b *builder) keep(s *segment) error {
	if !s.lines[0].beginsSegment() && (len(b.open) > 0 || len(b.out) > 0) {
		for _, l := range s.lines {
			if err := b.add(l); err != nil {
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
		if s, err = newSegment(b.after(), s.lines); err != nil {
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
	e := edit{gone: from.Chart.State != lock.Listed}
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
		for ; next < at; next++ {
			if err := b.keep(old[next]); err != nil {
				return nil, err
			}
		}
		n := len(edits) // those before the following segment
		var lines []line
		if at < len(old) {
			lines, next = old[at].lines, at+1
			if next < len(old) {
				n = sort.Search(n, func(i int) bool { return edits[i].at.compare(old[next].first) >= 0 })
			}
		}
		if err := b.merge(lines, edits[:n]); err != nil {
			return nil, err
		}
		edits = edits[n:]
	}
	for ; next < len(old); next++ {
		if err := b.keep(old[next]); err != nil {
			return nil, err
		}
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
