package renderer

import (
	"bytes"
	"crypto/sha256"
	"path"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/render"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
)

// source is where in the package a chart's files are.
type source struct {
	where   string // before its files' names, nested packages joined by "!"
	chart   []byte // Chart.yaml
	values  []byte
	content [sha256.Size]byte
	subs    []*source // by name in charts/
	own     map[string]any
}

// sourceOf reads which charts a package holds, as Helm groups its files.
func sourceOf(files []*loader.BufferedFile, where string) (*source, error) {
	s := &source{where: where}
	h := sha256.New()
	below := map[string][]*loader.BufferedFile{}
	for _, f := range files {
		h.Write([]byte(f.Name + "\x00"))
		h.Write(f.Data)
		switch {
		case f.Name == "Chart.yaml":
			s.chart = f.Data
		case f.Name == "values.yaml":
			s.values = f.Data
		case strings.HasPrefix(f.Name, "charts/") && path.Ext(f.Name) != ".prov":
			first, rest, _ := strings.Cut(strings.TrimPrefix(f.Name, "charts/"), "/")
			below[first] = append(below[first], &loader.BufferedFile{Name: rest, Data: f.Data})
		}
	}
	h.Sum(s.content[:0])
	var names []string
	for name := range below {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		sub, err := subSource(name, below[name], where)
		if err != nil {
			return nil, err
		}
		if sub != nil {
			s.subs = append(s.subs, sub)
		}
	}
	return s, nil
}

// subSource reads a directory or a package in charts/; nil for what Helm skips.
func subSource(name string, files []*loader.BufferedFile, where string) (*source, error) {
	if name == "" || strings.IndexAny(name, "_.") == 0 {
		return nil, nil
	}
	if path.Ext(name) != ".tgz" {
		files = slices.DeleteFunc(files, func(f *loader.BufferedFile) bool { return f.Name == "" })
		if len(files) == 0 {
			return nil, nil
		}
		return sourceOf(files, where+"charts/"+name+"/")
	}
	inner, err := loader.LoadArchiveFiles(bytes.NewReader(files[0].Data))
	if err != nil {
		return nil, fault{err}
	}
	return sourceOf(inner, where+"charts/"+name+"!")
}

// raw is a file of a chart, the last one of that name, as Helm reads it.
func raw(c *chart.Chart, name string) (data []byte) {
	for _, f := range c.Raw {
		if f.Name == name {
			data = f.Data
		}
	}
	return data
}

// settle puts subcharts into one order, which Helm leaves to chance.
func (s *source) settle(c *chart.Chart) {
	subs := slices.Clone(c.Dependencies())
	slices.SortStableFunc(subs, func(a, b *chart.Chart) int { return strings.Compare(s.of(a).where, s.of(b).where) })
	c.SetDependencies(subs...)
	for _, d := range subs {
		s.of(d).settle(d)
	}
}

// of finds the source of one of s's subcharts; of equal ones the first.
func (s *source) of(c *chart.Chart) *source {
	for _, sub := range s.subs {
		if bytes.Equal(sub.chart, raw(c, "Chart.yaml")) && bytes.Equal(sub.values, raw(c, "values.yaml")) {
			return sub
		}
	}
	return &source{where: s.where + "charts/" + c.Name() + "/"}
}

// twice finds subcharts that Helm can not tell apart: of one name, and each
// good for the same dependency, or for none.
func (s *source) twice(c *chart.Chart) []render.Twice {
	var out []render.Twice
	seen := map[string]bool{}
	for _, d := range c.Dependencies() {
		if seen[d.Name()] {
			continue
		}
		seen[d.Name()] = true
		same := slices.DeleteFunc(slices.Clone(c.Dependencies()), func(o *chart.Chart) bool {
			return o.Name() != d.Name() || !interchangeable(c, d, o)
		})
		if len(same) > 1 {
			out = append(out, s.twin(d.Name(), same))
		}
	}
	for _, d := range c.Dependencies() {
		out = append(out, s.of(d).twice(d)...)
	}
	return out
}

// interchangeable: wherever one of them is taken, the other may be.
func interchangeable(c, a, b *chart.Chart) bool {
	required := false
	for _, q := range c.Metadata.Dependencies {
		if q == nil || q.Name != a.Name() {
			continue
		}
		required = true
		if chartutil.IsCompatibleRange(q.Version, a.Metadata.Version) && chartutil.IsCompatibleRange(q.Version, b.Metadata.Version) {
			return true
		}
	}
	return !required
}

func (s *source) twin(name string, same []*chart.Chart) render.Twice {
	t := render.Twice{Name: name, Equal: true}
	var first [sha256.Size]byte
	for i, c := range same {
		for _, sub := range s.subs {
			if !bytes.Equal(sub.chart, raw(c, "Chart.yaml")) || !bytes.Equal(sub.values, raw(c, "values.yaml")) {
				continue
			}
			if where := strings.TrimSuffix(sub.where, "!"); !slices.Contains(t.Files, where) {
				t.Files = append(t.Files, where)
			}
			if i == 0 {
				first = sub.content
			}
			t.Equal = t.Equal && sub.content == first
		}
	}
	slices.Sort(t.Files)
	return t
}

// site is the scalar with the last word on a path of the top chart's values.
type site struct {
	file string
	path []string
}

// site finds the scalar at a path of the values of c, a chart whose
// dependencies are settled: a chart's own values before its subcharts'.
func (s *source) site(c *chart.Chart, at []string) (site, bool) {
	if v, ok := lookup(s.ownValues(), at); ok && v != nil {
		return site{s.where + "values.yaml", at}, true
	}
	for _, d := range c.Dependencies() {
		if len(at) > 1 && d.Name() == at[0] {
			return s.of(d).site(d, at[1:])
		}
	}
	return s.imported(c, at)
}

// imported finds a scalar that a dependency hands to its parent.
func (s *source) imported(c *chart.Chart, at []string) (site, bool) {
	for _, q := range c.Metadata.Dependencies {
		for _, d := range c.Dependencies() {
			if q == nil || d.Name() != q.Name {
				continue
			}
			for _, v := range q.ImportValues {
				from, ok := v.(map[string]string) // as settled
				rest, inside := at, true
				if into := from["parent"]; into != "." && into != "" {
					into := strings.Split(into, ".")
					if inside = len(at) > len(into) && slices.Equal(at[:len(into)], into); inside {
						rest = at[len(into):]
					}
				}
				if !ok || !inside {
					continue
				}
				child := append(strings.Split(from["child"], "."), rest...)
				if found, ok := s.of(d).site(d, child); ok {
					return found, true
				}
			}
		}
	}
	return site{}, false
}

// ownValues are a chart's values as its file has them: imports of a
// dependency's values change the chart's, and not the file.
func (s *source) ownValues() map[string]any {
	if s.own == nil {
		s.own, _ = chartutil.ReadValues(s.values) // Helm has read it before
	}
	return s.own
}

// charts notes where the files of the subcharts are that are rendered.
func (s *source) charts(c *chart.Chart, path string, t *render.Trace) {
	for _, d := range c.Dependencies() {
		sub := s.of(d)
		own := render.Chart{Path: path + "charts/" + d.Name(), Files: sub.where}
		if !slices.Contains(t.Charts, own) {
			t.Charts = append(t.Charts, own)
		}
		sub.charts(d, own.Path+"/", t)
	}
}
