package archive

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"chartd.dev/chartd/internal/ref"
)

// reader reads one package with everything packed in it.
type reader struct {
	o        Options
	b        *budget
	newest   time.Time
	warnings []string
	oddities map[string]*oddity // by the name of the rule
	template func(File) error   // nil where nobody wants them
}

// Read checks a package and says what it is. Memory is bounded: of all files
// only those that File returns are kept.
func Read(data []byte, o Options) (*Package, error) {
	p, _, err := read(data, o, nil)
	return p, err
}

// Templates returns the files below templates/ of the top chart, as they are.
func Templates(data []byte, o Options) ([]File, error) {
	var out []File
	err := EachTemplate(data, o, func(f File) error { out = append(out, f); return nil })
	return out, err
}

// EachTemplate hands the same files to each as they are unpacked, and ends with
// its error.
func EachTemplate(data []byte, o Options, each func(File) error) error {
	_, _, err := read(data, o, each)
	return err
}

func read(data []byte, o Options, template func(File) error) (*Package, *chart, error) {
	o.Limits = o.Limits.orDefault()
	if int64(len(data)) > o.Limits.Packed {
		return nil, nil, tooLarge("package-size", "%d bytes, at most %d", len(data), o.Limits.Packed)
	}
	if isZip(data) {
		return nil, nil, refused("polyglot", "the file is a gzip and a zip file at once")
	}
	r := &reader{o: o, b: &budget{l: o.Limits, packed: int64(len(data))}, template: template}
	defer r.b.free()
	top, err := r.archive(&source{buf: data}, "", 0)
	if err != nil {
		return nil, nil, fmt.Errorf("read package: %w", err)
	}
	p, err := r.pkg(data, top)
	if err != nil {
		return nil, nil, fmt.Errorf("read package: %w", err)
	}
	return p, top, nil
}

func (r *reader) pkg(data []byte, top *chart) (*Package, error) {
	m := top.meta
	p := &Package{
		APIVersion: m.APIVersion, AppVersion: top.appVersion, Type: m.Type, Description: m.Description,
		Deprecated: m.Deprecated, Annotations: m.Annotations,
		Digest: ref.DigestOf(data), Size: int64(len(data)), NewestFile: r.newest, files: top.kept, meta: m,
	}
	var err error
	if p.Chart, err = ref.ParseChartVersion(m.Name, m.Version); err != nil {
		if !r.o.Lenient {
			rule := "version"
			if ref.CheckChartName(m.Name) != nil {
				rule = "name"
			}
			return nil, refused(rule, "%s", err)
		}
		p.Lenient = true
		if p.Chart, err = ref.ParseImported(m.Name, m.Version); err != nil {
			return nil, refused("identity", "%s", err)
		}
	}
	if p.Content, err = top.content(); err != nil {
		return nil, err
	}
	if err := r.soft(top.findTwice()); err != nil {
		return nil, err
	}
	var warnings []string
	left := maxImages
	all := top.images(&left)
	if left < 0 {
		return nil, refused("images", "the values name more than %d images, subcharts counted under each of their names", maxImages)
	}
	p.Images, warnings = assignRoles(all)
	r.warnings = append(r.warnings, warnings...)
	for _, i := range p.Images {
		if !i.Required || i.Problem == "" {
			continue
		}
		if i.Tag == placeholder && !r.o.Lenient {
			return nil, refused("image-placeholder", "%s in %s: %s: run chartpress, which writes the tags, or set them yourself, and then helm package", i.Path, i.File, i.Problem)
		}
		r.warn("the image of role %s (%s in %s) cannot be bound: %s", i.Role, i.Path, i.File, i.Problem)
	}
	r.crossCheck(m.Annotations["artifacthub.io/images"], p.Images)
	r.countOddities()
	p.Warnings = r.warnings
	return p, nil
}

// warn keeps a remark; a package cannot make us keep very many.
func (r *reader) warn(format string, a ...any) {
	if len(r.warnings) < 50 {
		r.warnings = append(r.warnings, fmt.Sprintf(format, a...))
	}
}

// soft turns a fault that Helm accepts into a warning where that is wanted.
func (r *reader) soft(err error) error {
	if err == nil || !r.o.Lenient {
		return err
	}
	r.warn("%s", err)
	return nil
}

// oddity is a fault that was found in many of an archive's headers.
type oddity struct {
	at    int // of the first one's warning
	count int
}

// tolerate is soft for what may be wrong with each header: a rule has one warning.
func (r *reader) tolerate(err error) error {
	if err == nil || !r.o.Lenient {
		return err
	}
	rule := strings.SplitN(err.Error(), ": ", 3)[1]
	if o := r.oddities[rule]; o != nil {
		o.count++
		return nil
	}
	if r.oddities == nil {
		r.oddities = map[string]*oddity{}
	}
	r.oddities[rule] = &oddity{at: len(r.warnings)}
	r.warn("%s", err)
	return nil
}

// countOddities says in the warnings how many there were.
func (r *reader) countOddities() {
	for _, o := range r.oddities {
		if o.count > 0 && o.at < len(r.warnings) {
			r.warnings[o.at] += fmt.Sprintf(" (and %d more)", o.count)
		}
	}
}

// archive walks one package, the outer one or a packed one. where is "" or
// the path of the packed one with a "!" behind it.
func (r *reader) archive(src *source, where string, depth int) (*chart, error) {
	m, err := openMember(src, r.b, r.tolerate)
	if err != nil {
		return nil, err
	}
	defer m.close()
	t := newTarReader(m, r.b, r.tolerate)
	top, w := newChart(where, where == ""), &walk{tol: r.tolerate, seen: map[uint64]uint64{}}
	for {
		h, err := t.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		rel, err := w.add(h)
		if err != nil {
			return nil, err
		}
		if h.dir {
			continue
		}
		if h.mtime.After(r.newest) {
			r.newest = h.mtime
		}
		c, err := r.file(top, rel, t, depth)
		if err == nil && w.twice && c != nil {
			err = c.once()
		}
		if err != nil {
			return nil, err
		}
	}
	if !w.files {
		return nil, refused("no-files", "the archive has no files")
	}
	if err := r.finish(top); err != nil {
		return nil, err
	}
	if top.meta.Name != w.root {
		err := refused("tar-root", "the files are in the directory %s, the chart is called %s", quote(w.root), quote(top.meta.Name))
		if err := r.tolerate(err); err != nil {
			return nil, err
		}
	}
	return top, nil
}

// file takes in one file; rel is its path below the top directory. It returns
// the chart that the file is one of, if that has noted it.
func (r *reader) file(top *chart, rel string, t *tarReader, depth int) (*chart, error) {
	c, name := top, rel
	for {
		below, ok := strings.CutPrefix(name, "charts/")
		if !ok || path.Ext(name) == ".prov" {
			return c, r.plain(c, name, t)
		}
		first, rest, deeper := strings.Cut(below, "/")
		switch {
		case first[0] == '.' || first[0] == '_':
			return nil, nil // Helm skips it, and its re-save loses it
		case !deeper && path.Ext(first) == ".tgz":
			return nil, r.packed(c, name, t, depth)
		case !deeper || path.Ext(first) == ".tgz":
			return nil, refused("nested-chart", "%s is neither a chart nor in one", quote(rel))
		}
		c, name = c.sub(first), rest
	}
}

// packed reads a package in a package.
func (r *reader) packed(c *chart, name string, t *tarReader, depth int) error {
	where := c.where + name
	if depth >= r.b.l.Nested {
		return refused("nesting", "%s: packages nested deeper than %d", quote(where), r.b.l.Nested)
	}
	src := &source{more: t.chunk}
	sub, err := r.archive(src, where+"!", depth+1)
	if src.err != nil && src.err != io.EOF {
		return src.err // the outer stream's own fault
	}
	if err != nil {
		if errors.Is(err, ErrMalformed) {
			return refused("nesting", "%s is not a readable package: %s", quote(where), firstLine(err))
		}
		return fmt.Errorf("%s: %w", quote(where), err)
	}
	if old := c.subs[path.Base(name)]; old != nil {
		return sameContent(where, old, sub)
	}
	c.subs[path.Base(name)] = sub
	return nil
}

// sameContent refuses a nested package that is there twice and not the same.
func sameContent(where string, a, b *chart) error {
	first, err := a.content()
	if err != nil {
		return err
	}
	second, err := b.content()
	if err == nil && first != second {
		err = refused("tar-duplicate", "%s is there twice, with other content", quote(where))
	}
	return err
}
