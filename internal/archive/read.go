package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"chartd.dev/chartd/internal/ref"
	yamlv4 "go.yaml.in/yaml/v4"
	"sigs.k8s.io/yaml"
)

const (
	maxLock   = 1 << 20
	maxReadme = 1 << 20
	maxSmall  = 256 << 10 // of a schema that is read as a whole
)

// reader reads one package with everything packed in it.
type reader struct {
	o        Options
	b        *budget
	newest   time.Time
	warnings []string
	template func(name string, data []byte) // nil where nobody wants them
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
	_, _, err := read(data, o, func(name string, data []byte) { out = append(out, File{name, data}) })
	return out, err
}

func read(data []byte, o Options, template func(string, []byte)) (*Package, *chart, error) {
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
			return nil, refused("image-placeholder", "%s in %s: %s", i.Path, i.File, i.Problem)
		}
		r.warn("the image of role %s (%s in %s) cannot be bound: %s", i.Role, i.Path, i.File, i.Problem)
	}
	r.crossCheck(m.Annotations["artifacthub.io/images"], p.Images)
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

// archive walks one package, the outer one or a packed one. where is "" or
// the path of the packed one with a "!" behind it.
func (r *reader) archive(src *source, where string, depth int) (*chart, error) {
	m, err := openMember(src, r.b)
	if err != nil {
		return nil, err
	}
	defer m.close()
	t := newTarReader(m, r.b, r.o.Lenient)
	top, w := newChart(where, where == ""), &walk{seen: map[uint64]uint64{}}
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
		if err := r.file(top, rel, t, depth); err != nil {
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
		return nil, refused("tar-root", "the files are in the directory %s, the chart is called %s", quote(w.root), quote(top.meta.Name))
	}
	return top, nil
}

// file takes in one file; rel is its path below the top directory.
func (r *reader) file(top *chart, rel string, t *tarReader, depth int) error {
	c, name := top, rel
	for {
		below, ok := strings.CutPrefix(name, "charts/")
		if !ok || path.Ext(name) == ".prov" {
			return r.plain(c, name, t)
		}
		first, rest, deeper := strings.Cut(below, "/")
		switch {
		case first[0] == '.' || first[0] == '_':
			return nil // Helm skips it, and its re-save loses it
		case !deeper && path.Ext(first) == ".tgz":
			return r.packed(c, name, t, depth)
		case !deeper || path.Ext(first) == ".tgz":
			return refused("nested-chart", "%s is neither a chart nor in one", quote(rel))
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
	c.subs[path.Base(name)] = sub
	return nil
}

// plain takes in a file of the chart c itself.
func (r *reader) plain(c *chart, name string, t *tarReader) error {
	most, keep := int64(0), true
	switch name {
	case "Chart.yaml", "requirements.yaml":
		most = r.b.l.ChartYAML
	case "Chart.lock", "requirements.lock":
		most = maxLock
	case "values.yaml":
		most = r.b.l.File
	case "README.md":
		keep = c.top && t.left <= maxReadme
		most = r.b.l.File
	case "values.schema.json":
		return r.schema(c, name, t)
	default:
		keep = r.template != nil && c.top && strings.HasPrefix(name, "templates/")
		most = r.b.l.File
	}
	if t.left > most {
		return tooLarge("file-size", "%s has %d bytes, at most %d", quote(c.where+name), t.left, most)
	}
	if !keep {
		return c.hash(name, t)
	}
	data := make([]byte, t.left)
	if _, err := io.ReadFull(t, data); err != nil {
		return truncated(err)
	}
	if strings.HasPrefix(name, "templates/") {
		r.template(name, data)
	}
	c.note(name, data)
	return r.keep(c, name, data)
}

func (r *reader) keep(c *chart, name string, data []byte) error {
	if c.top && !strings.HasPrefix(name, "templates/") {
		c.kept[name] = data
	}
	data = bytes.TrimPrefix(data, []byte(bom))
	switch name {
	case "values.yaml":
		return r.values(c, data)
	case "Chart.yaml":
		c.chartYAML = data
	case "requirements.yaml":
		c.requirements = data
	case "Chart.lock", "requirements.lock":
		if _, err := r.b.parseYAML(c.where+name, data); err != nil {
			return err
		}
		lock, _, err := readLock(c.where+name, data)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(lock)
		c.lock = &sum
	}
	return nil
}

// values reads a values file for its image maps.
func (r *reader) values(c *chart, data []byte) error {
	file := c.where + "values.yaml"
	if r.b.l.YAMLDepth > 2*plainDepth {
		p := plainReaders.Get().(*plainYAML)
		defer p.free()
		if root, nodes, ok := p.read(data, r.b.l.YAMLNodes-r.b.nodes); ok && root.Kind == yamlv4.MappingNode {
			r.b.nodes += nodes
			return r.imageMaps(c, file, root, true)
		}
	}
	f, err := r.b.parseYAML(file, data)
	if err != nil {
		return err
	}
	var any map[string]any
	if err := yaml.Unmarshal(data, &any); err != nil {
		return refused("values", "%s: Helm cannot read it: %s", file, firstLine(err))
	}
	docs := f.Documents()
	if len(docs) > 1 {
		if err := r.soft(refused("values", "%s has %d YAML documents, and Helm reads only the first", file, len(docs))); err != nil {
			return err
		}
	}
	if len(docs) == 0 {
		return nil
	}
	return r.imageMaps(c, file, docs[0], false)
}

// imageMaps reads what the values say of images; of a plain tree, which has
// neither anchors nor merged keys.
func (r *reader) imageMaps(c *chart, file string, root *yamlv4.Node, plain bool) (err error) {
	key, line := doubledKey(root, 0)
	if key != "" && c.where == "" {
		if err := r.soft(refused("values", "%s has the key %s a second time in line %d", file, quote(key), line)); err != nil {
			return err
		}
	}
	c.values, err = r.b.imageMaps(file, root, plain && key == "")
	return err
}

// schema checks that a schema is a JSON object, by syntax alone: it is never
// followed.
func (r *reader) schema(c *chart, name string, t *tarReader) error {
	data, ok := t.whole()
	if !ok {
		data = make([]byte, t.left)
		if _, err := io.ReadFull(t, data); err != nil {
			return truncated(err)
		}
	}
	c.note(name, data)
	if jsonObject(bytes.TrimPrefix(data, []byte(bom))) {
		return nil
	}
	return r.soft(refused("schema", "%s%s is not a JSON object", c.where, name))
}

// jsonObject reports whether data is a JSON object. One that is nested deeper
// than its readers go, Helm's too, is only looked at as far as they do.
func jsonObject(data []byte) bool {
	data = bytes.TrimLeft(data, " \t\r\n")
	if !bytes.HasPrefix(data, []byte("{")) || !utf8.Valid(data) {
		return false
	}
	err := json.Unmarshal(data, new(json.RawMessage))
	return err == nil || strings.HasSuffix(err.Error(), "exceeded max depth")
}

// finish reads identity, once the whole directory of a chart was seen.
func (r *reader) finish(c *chart) error {
	for _, name := range c.subNames() {
		if s := c.subs[name]; s.meta == nil {
			if err := r.finish(s); err != nil {
				return err
			}
		}
	}
	file := c.where + "Chart.yaml"
	if c.chartYAML == nil {
		return refused("chart-yaml", "there is no %s", quote(file))
	}
	s := &strict{file: file}
	plain := plainReaders.Get().(*plainYAML)
	defer plain.free()
	docs, m, err := r.chartYAML(c, file, plain)
	if err != nil {
		return err
	}
	if err := r.soft(s.check(c.chartYAML, docs, false)); err != nil {
		return err
	}
	if c.requirements != nil {
		s.file = c.where + "requirements.yaml"
		f, err := r.b.parseYAML(s.file, c.requirements)
		if err != nil {
			return err
		}
		if err := r.soft(s.check(c.requirements, f.Documents(), true)); err != nil {
			return err
		}
	}
	if m == nil {
		m, err = decodeMetadata(file, c.chartYAML, c.requirements)
	}
	if err == nil {
		err = m.check(file)
	}
	if err != nil {
		return err
	}
	c.meta, c.appVersion = m, m.AppVersion
	if len(docs) > 0 && docs[0] != nil {
		r.texts(c, file, docs[0])
	}
	c.chartYAML, c.requirements = nil, nil
	return nil
}

// chartYAML reads Chart.yaml: the tree of its documents, good until plain is
// free, and where every reader reads them alike what they say.
func (r *reader) chartYAML(c *chart, file string, plain *plainYAML) ([]*yamlv4.Node, *metadata, error) {
	if r.b.l.YAMLDepth > 2*plainDepth && c.requirements == nil {
		if root, nodes, ok := plain.read(c.chartYAML, r.b.l.YAMLNodes-r.b.nodes); ok {
			if m, ok := plainMetadata(root); ok {
				r.b.nodes += nodes
				return []*yamlv4.Node{root}, m, nil
			}
		}
	}
	f, err := r.b.parseYAML(file, c.chartYAML)
	if err != nil {
		return nil, nil, err
	}
	return f.Documents(), nil, nil
}
