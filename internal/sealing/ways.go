package sealing

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/render"
	"chartd.dev/chartd/internal/render/manifest"
)

// write is a scalar that feeds an image, and what it is to say.
type write struct {
	feed  render.Feed
	value string
}

// ways finds the ways to seal an image.
type ways struct {
	image render.Image
	want  archive.SealImage
	shown manifest.Reference
	name  []write // what it takes to have the bound repository
	out   [][]Setting
}

// waysOf lists the ways to seal an image, the likeliest first: a digest that
// the templates read, the digest behind the tag, the whole reference, the
// digest behind the repository, and keys that the templates may read and the
// values lack. Each is tried where the scalar with the last word stands, and
// then in the values of the top chart, which reach one alias alone. Whether a
// way is right is for the proof to say.
func waysOf(i render.Image, want archive.SealImage) ([][]Setting, error) {
	w := &ways{image: i, want: want, shown: manifest.Split(i.Text)}
	whole := w.wholes()
	var err error
	if w.name, err = w.repository(); err != nil && len(whole) == 0 {
		return nil, err
	}
	if err == nil {
		for _, way := range slices.Concat(w.digests(), w.tags()) {
			w.add(append(way, w.name...))
		}
	}
	for _, way := range whole {
		w.add(way)
	}
	if err == nil {
		for _, way := range slices.Concat(w.behindRepository(), w.missing()) {
			w.add(way)
		}
	}
	if len(w.out) == 0 {
		return nil, errors.New("no scalar of the package's values feeds its tag, its digest or the whole of it")
	}
	return w.out, nil
}

// add takes a way up, at both places where its scalars may be written.
func (w *ways) add(way []write) {
	for _, top := range []bool{false, true} {
		var settings []Setting
		for _, x := range way {
			s := Setting{archive.Edit{File: x.feed.File, Path: x.feed.Path, Value: x.value}, x.feed.Values}
			if top {
				s.File, s.Path = "values.yaml", x.feed.Values
			}
			if !isValues(s.File) || len(s.Path) == 0 {
				settings = nil
				break
			}
			settings = append(settings, s)
		}
		if len(settings) > 0 && !slices.ContainsFunc(w.out, func(o []Setting) bool { return sameWay(o, settings) }) {
			w.out = append(w.out, settings)
		}
	}
}

// isValues: a file of the package that Helm reads values from.
func isValues(file string) bool {
	return path.Base(file[strings.LastIndexByte(file, '!')+1:]) == "values.yaml"
}

func (w *ways) feeds(parts ...render.Part) []render.Feed {
	var out []render.Feed
	for _, f := range w.image.Feeds {
		if slices.Contains(parts, f.Part) && len(f.Values) > 0 {
			out = append(out, f)
		}
	}
	return out
}

// isDigestsOwn: the tag is one that was made from the digest, for an image that
// was named without one.
func (w *ways) isDigestsOwn() bool { return strings.HasPrefix(w.want.Tag, "sha256-") }

// digests writes the digest where the templates read one; the tag beside it is
// what people see.
func (w *ways) digests() [][]write {
	var out [][]write
	for _, f := range w.feeds(render.PartDigest) {
		way := []write{{f, w.want.Digest.String()}}
		if f.Bare {
			way[0].value = w.want.Digest.Hex()
		}
		if tags := w.feeds(render.PartTag); len(tags) > 0 && w.want.Tag != w.shown.Tag && !w.isDigestsOwn() {
			way = append(way, write{tags[0], w.tag(tags[0])})
		}
		out = append(out, way)
	}
	return out
}

// tags writes the digest behind the tag.
func (w *ways) tags() [][]write {
	var out [][]write
	for _, f := range w.feeds(render.PartTag) {
		out = append(out, []write{{f, w.tag(f) + "@" + w.want.Digest.String()}})
	}
	return out
}

// tag is what a scalar says for the bound tag: without what the template puts
// before it.
func (w *ways) tag(f render.Feed) string {
	said, _, _ := strings.Cut(f.Value, "@")
	switch prefix, ok := strings.CutSuffix(w.shown.Tag, said); {
	case said == "":
		return w.want.Tag
	case w.want.Tag == w.shown.Tag:
		return said
	case ok:
		return strings.TrimPrefix(w.want.Tag, prefix)
	}
	return w.want.Tag
}

// wholes writes the whole reference.
func (w *ways) wholes() [][]write {
	var out [][]write
	for _, f := range w.feeds(render.PartWhole) {
		said := manifest.Split(f.Value)
		text := w.want.Repository.String()
		if manifest.Canonical(said.Repository()) == text {
			text = said.Repository()
		}
		if w.want.Tag != "" && !(w.isDigestsOwn() && said.Tag == "") {
			text += ":" + w.want.Tag
		}
		out = append(out, []write{{f, text + "@" + w.want.Digest.String()}})
	}
	return out
}

// behindRepository writes the digest behind the repository.
func (w *ways) behindRepository() [][]write {
	var out [][]write
	for _, f := range w.feeds(render.PartRepository, render.PartName) {
		way := slices.Clone(w.name)
		i := slices.IndexFunc(way, func(x write) bool { return slices.Equal(x.feed.Values, f.Values) })
		if i < 0 {
			i, way = len(way), append(way, write{f, f.Value})
		}
		if strings.HasSuffix(w.want.Repository.String(), way[i].value) && way[i].value != "" {
			way[i].value += "@" + w.want.Digest.String()
			out = append(out, way)
		}
	}
	return out
}

// missing adds a key beside those that feed the image: many templates read one
// that the values leave out.
func (w *ways) missing() [][]write {
	beside := w.feeds(render.PartTag, render.PartRepository)
	if len(beside) == 0 {
		return nil
	}
	f := beside[0]
	add := func(key, value string) []write {
		g := f
		g.Path, g.Values = sibling(f.Path, key), sibling(f.Values, key)
		return append([]write{{g, value}}, w.name...)
	}
	var out [][]write
	if len(w.feeds(render.PartDigest)) == 0 {
		out = append(out, add("digest", w.want.Digest.String()))
	}
	if len(w.feeds(render.PartTag)) == 0 {
		out = append(out, add("tag", w.want.Tag+"@"+w.want.Digest.String()))
	}
	return out
}

func sibling(path []string, key string) []string {
	if len(path) == 0 {
		return nil
	}
	return append(slices.Clone(path[:len(path)-1]), key)
}

// repository is what it takes to have the bound repository rendered; nothing
// where it is.
func (w *ways) repository() ([]write, error) {
	want, shown := w.want.Repository, w.shown.Repository()
	if manifest.Canonical(shown) == want.String() {
		return nil, nil
	}
	var out []write
	rest := want.String()
	registries := slices.DeleteFunc(w.feeds(render.PartRegistry), func(f render.Feed) bool { return f.Value == "" })
	if len(registries) > 0 {
		out, rest, shown = append(out, write{registries[0], want.Host()}), want.Path(), w.shown.Path
	}
	if whole := w.feeds(render.PartRepository); len(whole) > 0 {
		f := whole[0]
		if f.Value != shown && w.shown.Host == want.Host() {
			rest = want.Path() // the template puts the host before it
		} else if f.Value != shown {
			return nil, fmt.Errorf("the host of %s stands in a template, so it cannot be %s", w.shown.Repository(), want)
		}
		return append(out, write{f, rest}), nil
	}
	names := w.feeds(render.PartName)
	slices.SortStableFunc(names, func(a, b render.Feed) int { return strings.Index(shown, a.Value) - strings.Index(shown, b.Value) })
	switch {
	case len(names) == 2 && names[0].Value+"/"+names[1].Value == shown:
		i := strings.LastIndexByte(rest, '/')
		return append(out, write{names[0], rest[:max(i, 0)]}, write{names[1], rest[i+1:]}), nil
	case len(names) == 1 && strings.HasSuffix(shown, names[0].Value):
		if name, ok := strings.CutPrefix(rest, strings.TrimSuffix(shown, names[0].Value)); ok && name != "" {
			return append(out, write{names[0], name}), nil
		}
	}
	return nil, fmt.Errorf("no scalar of the package's values feeds its repository %s, so it cannot be %s", w.shown.Repository(), want)
}
