package renderer

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/render"
	"chartd.dev/chartd/internal/render/manifest"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
)

// merger puts the traces of several values files together.
type merger struct {
	out   *render.Trace
	by    map[string]int // text and feeds → index in out.Images
	seen  bool
	shown bool
	roles []roleOf
}

// roleOf is what an image's role is made from.
type roleOf struct {
	path   []string // of the image's map in the top chart's values; nil for none
	prefix int      // leading elements that name subcharts
	over   bool     // it is not the chart's own values that say it
}

func (m *merger) add(t *tracer) {
	m.seen = m.seen || t.seen
	m.shown = m.shown || len(t.order) > 0
	if t.partial != "" {
		m.out.Partial = t.partial
	}
	for _, o := range t.order {
		m.image(t, o)
	}
	m.random(t)
	m.hidden(t)
}

// image adds an occurrence to the image that it shows.
func (m *merger) image(t *tracer, o *occurrence) {
	key := o.text
	for _, f := range o.feeds {
		if f.text != "" {
			key += "\x00" + strings.Join(f.at, "\x01") + f.chart
		}
	}
	i, ok := m.by[key]
	if !ok {
		i = len(m.out.Images)
		m.by[key] = i
		m.out.Images = append(m.out.Images, render.Image{Text: o.text, Feeds: t.feedsOf(o)})
		m.roles = append(m.roles, t.roleOf(o))
	}
	image := &m.out.Images[i]
	if !slices.Contains(image.Values, t.b.name) {
		image.Values = append(image.Values, t.b.name)
	}
	if !slices.ContainsFunc(image.Places, func(p render.Place) bool {
		return p.Template == o.place.Template && p.String() == o.place.String()
	}) {
		image.Places = append(image.Places, o.place)
	}
}

func (t *tracer) feedsOf(o *occurrence) []render.Feed {
	var out []render.Feed
	for _, f := range o.feeds {
		r := render.Feed{Values: f.at, Part: f.part(o.text), Value: f.text, Bare: f.bare, Other: f.other}
		switch {
		case f.chart != "":
			r.Path = []string{"appVersion"}
			r.File = t.s.source.chartFile(t.b.chart, f.chart)
		case set(t.b.over, f.at):
			r.File, r.Path = t.b.name, f.at
		default:
			if at, ok := t.s.source.site(t.b.chart, f.at); ok {
				r.File, r.Path = at.file, at.path
			}
		}
		out = append(out, r)
	}
	return out
}

func set(over map[string]any, at []string) bool {
	_, ok := lookup(over, at)
	return ok
}

// part says which part of a reference a candidate feeds.
func (c *candidate) part(text string) render.Part {
	r := manifest.Split(text)
	switch {
	case c.chart != "":
		return render.PartAppVersion
	case c.text != "" && c.text == text:
		return render.PartWhole
	case c.text != "" && (c.text == r.Repository() || c.text == r.Path):
		return render.PartRepository
	case c.class == classWhole:
		return render.PartWhole
	case c.class == classDigest:
		return render.PartDigest
	case c.class == classTag:
		return render.PartTag
	case c.class == classRegistry, c.text != "" && c.text == r.Host:
		return render.PartRegistry
	case c.text == "" && c.at[len(c.at)-1] == "repository":
		return render.PartRepository
	}
	return render.PartName
}

// roleOf finds the map of values that an occurrence is made from: that of its
// repository, else of its tag, what is global last.
func (t *tracer) roleOf(o *occurrence) roleOf {
	var best *feed
	rank := func(f *feed) int {
		n := map[render.Part]int{render.PartWhole: 5, render.PartRepository: 5, render.PartName: 4, render.PartTag: 3, render.PartDigest: 2, render.PartRegistry: 1}[f.part(o.text)]
		if f.at == nil || f.at[0] == "global" || f.text == "" {
			return 0
		}
		return n
	}
	for _, f := range o.feeds {
		if rank(f) > 0 && (best == nil || rank(f) > rank(best)) {
			best = f
		}
	}
	if best == nil {
		return roleOf{}
	}
	path := mapOf(best.at)
	_, own := lookup(t.b.over, best.at)
	return roleOf{path, prefixOf(t.b.chart, path), own}
}

var (
	plainKey  = regexp.MustCompile(`(?i)^(image)?(repository|repo|name|tag|registry|digest|version)?$`)
	keySuffix = regexp.MustCompile(`(?i)(image)?[-_]?(repository|repo|name|tag|registry|version)?$`)
)

// mapOf is the path of the map that an image's scalar stands in. Where several
// images have their scalars in one map, what their keys begin with tells them
// apart.
func mapOf(at []string) []string {
	path, key := slices.Clone(at[:len(at)-1]), at[len(at)-1]
	if isIndex := strings.Trim(key, "0123456789") == ""; isIndex {
		return append(path, key)
	}
	if own := keySuffix.ReplaceAllString(key, ""); own != "" && !plainKey.MatchString(key) {
		path = append(path, own)
	}
	return path
}

// prefixOf counts the leading elements of a path that name subcharts.
func prefixOf(c *chart.Chart, path []string) int {
	for _, d := range c.Dependencies() {
		if len(path) > 0 && d.Name() == path[0] {
			return 1 + prefixOf(d, path[1:])
		}
	}
	return 0
}

func (m *merger) random(t *tracer) {
	const most = 100
	t.leaves(func(d manifest.Document, i int, l *manifest.Leaf) {
		if t.b.random[placeKey(d.Template, i, l)] && len(m.out.Random) < most {
			m.out.Random = append(m.out.Random, placeOf(d, l, render.Text))
		}
	})
}

// hidden notes maps of the values that say an image and feed no reference.
func (m *merger) hidden(t *tracer) {
	used := map[string]bool{}
	place := func(at []string) string {
		s, _ := t.s.source.site(t.b.chart, at)
		return s.file + "\x00" + strings.Join(s.path[:max(0, len(s.path)-1)], "\x00")
	}
	for _, o := range t.order {
		for _, f := range o.feeds {
			if len(f.at) > 0 {
				used[strings.Join(f.at[:len(f.at)-1], "\x00")], used[place(f.at)] = true, true
			}
		}
	}
	var walk func(v any, at []string)
	walk = func(v any, at []string) {
		switch v := v.(type) {
		case chartutil.Values:
			walk(map[string]any(v), at)
		case map[string]any:
			if text := imageIn(v); text != "" && !used[strings.Join(at, "\x00")] && !used[place(append(slices.Clone(at), "tag"))] {
				m.out.Hidden = append(m.out.Hidden, render.Hidden{Values: slices.Clone(at), Text: text})
			}
			for _, k := range slices.Sorted(maps.Keys(v)) {
				walk(v[k], append(slices.Clone(at), k))
			}
		}
	}
	walk(t.b.effective, nil)
}

// imageIn is what a map of values says of an image, "" for nothing.
func imageIn(v map[string]any) string {
	tag, ok := v["tag"]
	if !ok {
		return ""
	}
	for _, key := range []string{"repository", "name"} {
		if name, ok := v[key].(string); ok && name != "" {
			if host, ok := v["registry"].(string); ok && host != "" {
				name = host + "/" + name
			}
			if printed(tag) != "" {
				name += ":" + printed(tag)
			}
			return name
		}
	}
	return ""
}

// chartFile is the Chart.yaml of the chart with a full path.
func (s *source) chartFile(c *chart.Chart, full string) string {
	if c.ChartFullPath() == full {
		return s.where + "Chart.yaml"
	}
	for _, d := range c.Dependencies() {
		if strings.HasPrefix(full+"/", d.ChartFullPath()+"/") {
			return s.of(d).chartFile(d, full)
		}
	}
	return ""
}
