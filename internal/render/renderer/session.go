package renderer

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"sort"
	"strings"

	"chartd.dev/chartd/internal/render/manifest"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/releaseutil"
)

// session is one package, to be rendered as often as it takes.
type session struct {
	chart   *chart.Chart // never rendered itself
	quick   *chart.Chart // that renders to the same quicker, for a trace; nil: none
	source  *source
	limits  limits
	renders int
	parsed  map[string]manifest.Document // by template and text
}

func open(pkg []byte, l limits) (*session, error) {
	c, err := load(pkg)
	if err != nil {
		return nil, err
	}
	files, err := loader.LoadArchiveFiles(bytes.NewReader(pkg))
	if err != nil {
		return nil, fault{err}
	}
	s := &session{chart: c, limits: l, parsed: map[string]manifest.Document{}}
	if s.source, err = sourceOf(files, ""); err != nil {
		return nil, err
	}
	s.source.settle(c)
	return s, nil
}

// values is one set of values to render with.
type values struct {
	name string // "" for the defaults
	over map[string]any
	err  error
}

// ciValues are the values files of the package that chart-testing renders it
// with.
func (s *session) ciValues() []values {
	var out []values
	for _, f := range s.chart.Files {
		if ok, err := path.Match("ci/*-values.yaml", f.Name); err == nil && ok {
			v := values{name: f.Name}
			v.over, v.err = valuesOf([][]byte{f.Data})
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(a, b values) int { return strings.Compare(a.name, b.name) })
	return out
}

func givenValues(files [][]byte) []values {
	var out []values
	for i, data := range files {
		v := values{name: fmt.Sprintf("given %d", i+1)}
		v.over, v.err = valuesOf([][]byte{data})
		out = append(out, v)
	}
	return out
}

// change is a scalar of the values, or the appVersion of a chart, to render
// with.
type change struct {
	candidate *candidate
	value     any
}

// show renders the chart with values and some scalars changed. Only where it
// is checked do the schemas and Helm's own reader of documents have a say.
func (s *session) show(base *basis, changes []change, checked bool) (*shown, error) {
	s.renders++
	over, versions := copyMap(base.values.over), map[string]string{}
	for _, c := range changes {
		if c.candidate.chart != "" {
			versions[c.candidate.chart] = fmt.Sprint(c.value)
			continue
		}
		put(over, base.effective, c.candidate.at, c.value)
	}
	r := rendering{values: over, unchecked: !checked, output: s.limits.output}
	if len(versions) > 0 {
		r.prepare = func(c *chart.Chart) { setAppVersions(c, versions) }
	}
	of := s.chart
	if base.quick {
		of = s.quick
	}
	files, err := r.files(copyOf(of))
	if err != nil {
		return nil, err
	}
	if checked {
		if _, err := manifests(files); err != nil {
			return nil, err
		}
	}
	return s.read(files)
}

func setAppVersions(c *chart.Chart, versions map[string]string) {
	if v, ok := versions[c.ChartFullPath()]; ok {
		meta := *c.Metadata
		meta.AppVersion = v
		c.Metadata = &meta
	}
	for _, d := range c.Dependencies() {
		setAppVersions(d, versions)
	}
}

// shown is what a rendering shows: the documents of each template in order.
type shown struct {
	templates []string
	docs      map[string][]manifest.Document
}

// read parses rendered files. Most documents are the same in each rendering of
// a chart, and are read once.
func (s *session) read(files map[string]string) (*shown, error) {
	out := &shown{templates: slices.Sorted(maps.Keys(files)), docs: map[string][]manifest.Document{}}
	for _, name := range out.templates {
		split := releaseutil.SplitManifests(files[name])
		keys := slices.Collect(maps.Keys(split))
		sort.Sort(releaseutil.BySplitManifestsOrder(keys))
		for _, k := range keys {
			id := name + "\x00" + split[k]
			d, ok := s.parsed[id]
			if !ok {
				var err error
				if d, err = manifest.Parse(name, split[k]+"\n"); err != nil {
					return nil, fault{err}
				}
				if len(s.parsed) < maxParsed {
					s.parsed[id] = d
				}
			}
			if len(d.Leaves) > 0 {
				out.docs[name] = append(out.docs[name], d)
			}
		}
	}
	return out, nil
}

// maxParsed bounds the documents that are kept.
const maxParsed = 2000

// basis is a chart as it renders with one set of values.
type basis struct {
	values
	effective chartutil.Values // of all charts, as the top one sees them
	chart     *chart.Chart     // with its dependencies settled
	shown     *shown
	random    map[string]bool // places that differ from one rendering to the next
	quick     bool            // it is the session's quick chart that is rendered
}

// quicken goes on with the session's quick chart, where that shows the same but
// for other keys: nothing comes or goes, and no image reference is another one.
func (s *session) quicken(b *basis) {
	if s.quick == nil || s.quick == s.chart {
		return
	}
	quick := *b
	quick.quick = true
	var err error
	if quick.shown, err = s.show(&quick, nil, false); err != nil {
		return
	}
	for _, d := range compare(b.shown, quick.shown) {
		if d.structural() || d.from.IsContainerImage() || d.from.Type != d.to.Type {
			return
		}
		b.random[d.key()] = true
	}
	*b = quick
}

// basisOf renders the chart twice with values.
func (s *session) basisOf(v values) (*basis, error) {
	if v.err != nil {
		return nil, v.err
	}
	b := &basis{values: v, chart: copyOf(s.chart), random: map[string]bool{}}
	var err error
	if b.shown, err = s.show(b, nil, true); err != nil {
		return nil, err
	}
	s.quicken(b)
	again, err := s.show(b, nil, false)
	if err != nil {
		return nil, err
	}
	for _, d := range compare(b.shown, again) {
		b.random[d.key()] = true
	}
	if err := chartutil.ProcessDependenciesWithMerge(b.chart, v.over); err != nil {
		return nil, fault{err}
	}
	all, err := chartutil.ToRenderValuesWithSchemaValidation(b.chart, v.over, release, capabilities(), true)
	if err != nil {
		return nil, fault{err}
	}
	var ok bool
	if b.effective, ok = all["Values"].(chartutil.Values); !ok {
		return nil, errors.New("the chart has no values")
	}
	return b, nil
}
