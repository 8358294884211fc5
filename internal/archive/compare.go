package archive

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/yamledit"
)

// CompareSeal proves that sealed is original but for scalars of image maps in
// values files, and lists those. It needs neither the compressor nor the
// intent that made the sealed package: it compares what both unpack to, byte
// by byte, tar headers included.
func CompareSeal(original, sealed []byte, o Options) ([]Splice, error) {
	o.Limits = o.Limits.orDefault()
	c := &comparer{lenient: o.Lenient}
	for i, data := range [][]byte{original, sealed} {
		if int64(len(data)) > o.Limits.Packed {
			return nil, tooLarge("package-size", "%d bytes, at most %d", len(data), o.Limits.Packed)
		}
		c.b[i] = &budget{l: o.Limits, packed: int64(len(data))}
	}
	splices, err := c.archives([2][]byte{original, sealed}, "", 0)
	if err != nil {
		return nil, fmt.Errorf("compare sealed package: %w", err)
	}
	return splices, nil
}

type comparer struct {
	b       [2]*budget
	lenient bool
}

func differs(format string, a ...any) error { return refused("seal", format, a...) }

func (c *comparer) archives(data [2][]byte, where string, depth int) ([]Splice, error) {
	if depth > c.b[0].l.Nested {
		return nil, refused("nesting", "%s: packages nested deeper than %d", where, c.b[0].l.Nested)
	}
	var m [2]*member
	var t [2]*tarReader
	for i := range data {
		var err error
		if m[i], err = openMember(&source{buf: data[i]}, c.b[i]); err != nil {
			return nil, err
		}
		t[i] = newTarReader(m[i], c.b[i], c.lenient)
	}
	if !bytes.Equal(m[0].header, m[1].header) {
		return nil, differs("%sthe gzip headers differ", where)
	}
	var splices []Splice
	for {
		a, errA := t[0].next()
		b, errB := t[1].next()
		if errA == io.EOF && errB == io.EOF {
			break
		}
		for _, err := range []error{errA, errB} {
			if err == io.EOF {
				return nil, differs("%sone package has more files", where)
			}
			if err != nil {
				return nil, err
			}
		}
		some, err := c.file(a, b, t, where, depth)
		if err != nil {
			return nil, err
		}
		splices = append(splices, some...)
	}
	if t[0].tail != t[1].tail {
		return nil, differs("%sthe ends of the archives differ", where)
	}
	return splices, nil
}

// file compares the current file of both sides.
func (c *comparer) file(a, b *header, t [2]*tarReader, where string, depth int) ([]Splice, error) {
	_, rel, _ := strings.Cut(a.name, "/")
	name := where + rel
	if a.name != b.name || !sameHeader(a.raw, b.raw) {
		return nil, differs("the headers of %s and %s differ", quote(where+a.name), quote(where+b.name))
	}
	var data [2][]byte
	for i := range t {
		var err error
		if data[i], err = t[i].rest(); err != nil {
			return nil, err
		}
		if err := t[i].skip(); err != nil {
			return nil, err
		}
	}
	if bytes.Equal(data[0], data[1]) {
		if !bytes.Equal(a.raw, b.raw) || !bytes.Equal(t[0].padding, t[1].padding) {
			return nil, differs("the header or the padding of %s differs", quote(name))
		}
		return nil, nil
	}
	switch {
	case path.Ext(rel) == ".tgz":
		some, err := c.archives(data, name+"!", depth+1)
		if err == nil && len(some) == 0 {
			err = differs("%s was packed anew without a change", quote(name))
		}
		return some, err
	case path.Base(rel) == "values.yaml":
		return c.values(name, data[0], data[1])
	}
	return nil, differs("%s differs", quote(name))
}

// sameHeader compares header blocks but for the size and the checksum.
func sameHeader(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	mask := func(raw []byte) []byte {
		out := bytes.Clone(raw)
		own := out[len(out)-block:]
		clear(own[124:136])
		clear(own[148:156])
		return out
	}
	return bytes.Equal(mask(a), mask(b))
}

// values explains the difference of two values files by image scalars alone.
func (c *comparer) values(file string, from, to []byte) ([]Splice, error) {
	f, err := c.b[0].parseYAML(file, from)
	if err != nil {
		return nil, err
	}
	g, err := c.b[1].parseYAML(file, to)
	if err != nil {
		return nil, err
	}
	if len(f.Documents()) == 0 || len(g.Documents()) == 0 {
		return nil, differs("%s is empty on one side", quote(file))
	}
	now, err := c.b[1].imageMaps(file, g.Documents()[0])
	if err != nil {
		return nil, err
	}
	before, err := c.b[0].imageMaps(file, f.Documents()[0])
	if err != nil {
		return nil, err
	}
	var splices []Splice
	current := from
	for _, at := range slices.Sorted(maps.Keys(before)) {
		m := before[at]
		if now[at] == nil {
			continue
		}
		for _, key := range imageKeys {
			old, had := m.keys[key]
			is := now[at].keys[key]
			if !had || old.value == is.value || is.value == "" {
				continue
			}
			next, sp, err := yamledit.Set(current, old.path, is.value)
			if err != nil {
				return nil, differs("%s: %s", quote(file), err)
			}
			current = next
			splices = append(splices, Splice{file, strings.Join(old.path, "."), sp.From, sp.To})
		}
	}
	if !bytes.Equal(current, to) {
		return nil, differs("%s differs in more than the images it names", quote(file))
	}
	return splices, nil
}
