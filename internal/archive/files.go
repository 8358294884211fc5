package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"strings"
	"unicode/utf8"

	yamlv4 "go.yaml.in/yaml/v4"
	"sigs.k8s.io/yaml"
)

const (
	maxLock   = 1 << 20
	maxReadme = 1 << 20
)

// plain takes in a file of the chart c itself.
func (r *reader) plain(c *chart, name string, t *tarReader) error {
	most, keep := r.b.l.File, true
	switch name {
	case "Chart.yaml", "requirements.yaml":
		most = r.b.l.ChartYAML
	case "Chart.lock", "requirements.lock":
		most = maxLock
	case "values.yaml":
	case "README.md":
		keep = c.top && t.left <= maxReadme
	case "values.schema.json":
		return r.schema(c, name, t)
	default:
		keep = r.template != nil && c.top && strings.HasPrefix(name, "templates/")
	}
	if t.left > most {
		return tooLarge("file-size", "%s has %d bytes, at most %d", quote(c.where+name), t.left, most)
	}
	if !keep {
		return c.hash(name, t)
	}
	data, err := t.rest()
	if err != nil {
		return err
	}
	if strings.HasPrefix(name, "templates/") {
		if err := r.template(File{name, data}); err != nil {
			return err
		}
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
		if root, nodes, ok := p.read(data, r.b.l.YAMLNodes-r.b.nodes); ok {
			r.b.nodes += nodes
			return r.imageMaps(c, file, root)
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
	return r.imageMaps(c, file, docs[0])
}

// imageMaps reads what the values say of images.
func (r *reader) imageMaps(c *chart, file string, root *yamlv4.Node) (err error) {
	for key, first := range doubledKeys(root) {
		r.warn("%s has the key %s in line %d and again in line %d: the last one counts", file, quote(key.Value), first.Line, key.Line)
	}
	c.values, err = r.b.imageMaps(file, root)
	return err
}

// schema checks that a schema is a JSON object, by syntax alone: it is never
// followed.
func (r *reader) schema(c *chart, name string, t *tarReader) error {
	data, err := t.rest()
	if err != nil {
		return err
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
	s := &strict{file: file, warn: r.warn}
	f, err := r.b.parseYAML(file, c.chartYAML)
	if err != nil {
		return err
	}
	docs := f.Documents()
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
	m, err := readMetadata(file, c.chartYAML, c.requirements)
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
