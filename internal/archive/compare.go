package archive

import (
	"bytes"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// CompareSeal proves that sealed is original but for scalars of image maps in
// values files, and lists those: what the first recipe of sealing made. It
// needs neither the compressor nor the intent that made the sealed package: it
// compares what both unpack to, byte by byte, tar headers included.
func CompareSeal(original, sealed []byte, o Options) ([]Splice, error) {
	d, err := compareWith(original, sealed, &comparer{tol: o.tolerance(), may: func(e Edit, added bool) bool {
		return !added && e.Value != "" && slices.Contains(imageKeys[:], e.Path[len(e.Path)-1])
	}}, o)
	return d.Splices, err
}

// Allowed is what a sealed package may differ in from its original.
type Allowed struct {
	Images  []SealImage // of which values may say any part
	Files   []File      // that are added, nested packages joined by "!"
	Version string      // of the chart; "" as it was
}

// Difference is what a sealed package differs in.
type Difference struct {
	Splices []Splice
	Added   []string // files
}

// Compare is CompareSeal for what any recipe makes: it proves that sealed is
// original but for scalars of values files that now say a part of an image,
// exactly the files that may be added, and the version.
func Compare(original, sealed []byte, a Allowed, o Options) (Difference, error) {
	c := &comparer{tol: o.tolerance(), files: a.Files, version: a.Version, may: func(e Edit, _ bool) bool {
		return slices.ContainsFunc(a.Images, func(i SealImage) bool { return i.says(e.Value) })
	}}
	d, err := compareWith(original, sealed, c, o)
	if err == nil && len(d.Added) != len(a.Files) {
		err = fmt.Errorf("compare sealed package: %w", differs("%d files are added, want %d", len(d.Added), len(a.Files)))
	}
	return d, err
}

func compareWith(original, sealed []byte, c *comparer, o Options) (Difference, error) {
	o.Limits = o.Limits.orDefault()
	for i, data := range [][]byte{original, sealed} {
		if int64(len(data)) > o.Limits.Packed {
			return Difference{}, tooLarge("package-size", "%d bytes, at most %d", len(data), o.Limits.Packed)
		}
		c.b[i] = &budget{l: o.Limits, packed: int64(len(data))}
	}
	if err := c.archives([2][]byte{original, sealed}, "", 0); err != nil {
		return Difference{}, fmt.Errorf("compare sealed package: %w", err)
	}
	return c.found, nil
}

// comparer walks both packages side by side.
type comparer struct {
	b       [2]*budget
	tol     tolerance
	may     func(e Edit, added bool) bool // a values file may say this now
	files   []File
	version string
	found   Difference
}

func differs(format string, a ...any) error { return refused("seal", format, a...) }

func (c *comparer) archives(data [2][]byte, where string, depth int) error {
	if depth > c.b[0].l.Nested {
		return refused("nesting", "%s: packages nested deeper than %d", where, c.b[0].l.Nested)
	}
	var m [2]*member
	var t [2]*tarReader
	for i := range data {
		var err error
		if m[i], err = openMember(&source{buf: data[i]}, c.b[i], c.tol); err != nil {
			return err
		}
		t[i] = newTarReader(m[i], c.b[i], c.tol)
	}
	if !bytes.Equal(m[0].header, m[1].header) {
		return differs("%sthe gzip headers differ", where)
	}
	original, root := true, ""
	for {
		var a *header
		errA := error(io.EOF)
		if original {
			a, errA = t[0].next()
		}
		b, errB := t[1].next()
		if errA == io.EOF && errB == io.EOF {
			break
		}
		if errA == io.EOF && errB == nil {
			original = false
			if err := c.added(b, t[1], root, where); err != nil {
				return err
			}
			continue
		}
		for _, err := range []error{errA, errB} {
			if err == io.EOF {
				return differs("%sone package has more files", where)
			}
			if err != nil {
				return err
			}
		}
		root, _, _ = strings.Cut(a.name, "/")
		if err := c.file(a, b, t, where, depth); err != nil {
			return err
		}
	}
	if t[0].tail != t[1].tail {
		return differs("%sthe ends of the archives differ", where)
	}
	return nil
}

// added takes a file of the sealed package that the original has not.
func (c *comparer) added(h *header, t *tarReader, root, where string) error {
	name, ok := strings.CutPrefix(h.name, root+"/")
	raw := bytes.Clone(h.raw)
	data, err := t.rest()
	if err != nil {
		return err
	}
	if !ok {
		return differs("%sone package has more files: %s", where, quote(h.name))
	}
	var want bytes.Buffer
	if err := writeFile(&want, h.name, data); err != nil || !bytes.HasPrefix(want.Bytes(), raw) {
		return differs("the header of the added file %s is not the one that sealing writes", quote(where+name))
	}
	i := slices.IndexFunc(c.files, func(f File) bool { return f.Name == where+name })
	switch {
	case i >= 0 && !slices.Contains(c.found.Added, where+name) && bytes.Equal(data, c.files[i].Data):
		c.found.Added = append(c.found.Added, where+name)
	case i >= 0:
		return differs("the added file %s is not the one that sealing adds", quote(where+name))
	case name != "values.yaml":
		return differs("%sone package has more files: %s", where, quote(h.name))
	default:
		if err := c.values(where+name, nil, data); err != nil {
			return err
		}
	}
	return t.skip()
}

// file compares the current file of both sides.
func (c *comparer) file(a, b *header, t [2]*tarReader, where string, depth int) error {
	_, rel, _ := strings.Cut(a.name, "/")
	name := where + rel
	if a.name != b.name || !sameHeader(a.raw, b.raw) {
		return differs("the headers of %s and %s differ", quote(where+a.name), quote(where+b.name))
	}
	var data [2][]byte
	for i := range t {
		var err error
		if data[i], err = t[i].rest(); err != nil {
			return err
		}
		if err := t[i].skip(); err != nil {
			return err
		}
	}
	if bytes.Equal(data[0], data[1]) {
		if !bytes.Equal(a.raw, b.raw) || !bytes.Equal(t[0].padding, t[1].padding) {
			return differs("the header or the padding of %s differs", quote(name))
		}
		return nil
	}
	switch {
	case path.Ext(rel) == ".tgz":
		before := len(c.found.Splices) + len(c.found.Added)
		err := c.archives(data, name+"!", depth+1)
		if err == nil && len(c.found.Splices)+len(c.found.Added) == before {
			err = differs("%s was packed anew without a change", quote(name))
		}
		return err
	case path.Base(rel) == "values.yaml":
		return c.values(name, data[0], data[1])
	case name == "Chart.yaml" && c.version != "":
		return c.explained(name, data, []Edit{{name, []string{"version"}, c.version}})
	}
	return differs("%s differs", quote(name))
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
