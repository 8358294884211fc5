package guard

import (
	"slices"
	"strings"

	"chartd.dev/chartd/internal/render"
	"chartd.dev/chartd/internal/render/manifest"
)

// Guarded is a guard and where in the package it belongs.
type Guarded struct {
	File string `json:"file"` // in the package, nested packages joined by "!"
	Image
}

// Of is what guards a traced image: a template in each chart that renders it.
func Of(t render.Trace, image render.Image, bound render.Bound, advice string) []Guarded {
	var out []Guarded
	for _, p := range image.Places {
		chart, template, ok := strings.Cut(p.Template, "/templates/")
		if !ok {
			continue
		}
		_, below, _ := strings.Cut(chart, "/") // the top chart's own name
		i := slices.IndexFunc(out, func(g Guarded) bool { return g.Chart == below })
		if i < 0 {
			i = len(out)
			out = append(out, Guarded{filesOf(t, below) + "templates/" + Name(image.Role),
				Image{Role: image.Role, Repositories: repositories(image, bound), Digest: bound.Digest, Chart: below, Advice: advice}})
		}
		out[i].Places = append(out[i].Places, placeOf(t, image, p, template))
	}
	return out
}

// repositories are the ways in which the bound image is written.
func repositories(image render.Image, bound render.Bound) []string {
	out := []string{bound.Repository}
	if as := manifest.Split(image.Text).Repository(); as != bound.Repository && manifest.Canonical(as) == bound.Repository {
		out = append(out, as)
	}
	return out
}

// placeOf says how to find a container again. Of a list of objects, or where a
// container has no name or shares it with that of another image, the text is all
// that is looked at.
func placeOf(t render.Trace, image render.Image, p render.Place, template string) Place {
	out := Place{Template: template}
	n := len(p.Path)
	if p.Use != render.Container || p.Container == "" || n < 3 || shared(t, image, p) {
		return out
	}
	list := p.Path[:n-2]
	if slices.ContainsFunc(list, func(k string) bool { return strings.Trim(k, "0123456789") == "" }) {
		return out
	}
	out.Kind, out.List, out.Container = p.Kind, list, p.Container
	return out
}

// shared: a container of another image is found by the same kind of object, list
// and name.
func shared(t render.Trace, image render.Image, p render.Place) bool {
	n := len(p.Path) - 2
	return slices.ContainsFunc(t.Images, func(other render.Image) bool {
		return other.Text != image.Text && slices.ContainsFunc(other.Places, func(o render.Place) bool {
			return o.Template == p.Template && o.Kind == p.Kind && o.Container == p.Container && len(o.Path) == n+2 && slices.Equal(o.Path[:n], p.Path[:n])
		})
	})
}

// filesOf is what the names of a chart's files begin with.
func filesOf(t render.Trace, chart string) string {
	for _, c := range t.Charts {
		if c.Path == chart {
			return c.Files
		}
	}
	return ""
}
