package renderer

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/render/manifest"
	"helm.sh/helm/v3/pkg/chart"
)

// class is what a scalar looks like, which decides its sentinels.
type class int

const (
	classTag class = iota
	classPath
	classRegistry
	classDigest
	classWhole
)

// candidate is a scalar that could be a part of an image reference.
type candidate struct {
	at     []string // in the top chart's values
	chart  string   // full path of the chart whose appVersion it is; else ""
	value  any
	text   string // of value; "" for none
	class  class
	marker string // in the sentinels, and nowhere else
	index  int    // among all of the basis
}

// maxCandidates bounds what is traced in one chart.
const maxCandidates = 600

// firstMarker: six digits are a number that templates print as it is, a patch
// level, and hexadecimal.
const firstMarker, markerStep = 700_001, 97

// candidates lists the scalars to trace: those whose key says that they are
// part of an image, and those whose text shows up in a reference.
func candidates(b *basis, refs []string) []*candidate {
	var out []*candidate
	add := func(c candidate) {
		if len(out) < maxCandidates {
			c.index, c.marker = len(out), freeMarker(b.shown, firstMarker+markerStep*len(out))
			out = append(out, &c)
		}
	}
	scalars(b.effective, b.effective, nil, func(at []string, v any, in map[string]any) {
		c := candidate{at: at, value: v, text: printed(v)}
		if c.classify(in, refs) {
			add(c)
		}
	})
	charts(b.chart, func(c *chart.Chart) {
		if c.Metadata.AppVersion != "" {
			add(candidate{chart: c.ChartFullPath(), value: c.Metadata.AppVersion, text: c.Metadata.AppVersion, class: classTag})
		}
	})
	return out
}

func charts(c *chart.Chart, f func(*chart.Chart)) {
	f(c)
	for _, d := range c.Dependencies() {
		charts(d, f)
	}
}

// printed is a scalar as a template prints it.
func printed(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// freeMarker is a number, from n on, that no document shows.
func freeMarker(s *shown, n int) string {
	for ; ; n++ {
		marker := fmt.Sprint(n)
		if !s.contains(marker) {
			return marker
		}
	}
}

func (s *shown) contains(text string) bool {
	for _, docs := range s.docs {
		for _, d := range docs {
			if slices.ContainsFunc(d.Leaves, func(l manifest.Leaf) bool { return strings.Contains(l.Value, text) }) {
				return true
			}
		}
	}
	return false
}

var (
	keyTag      = regexp.MustCompile(`(?i)^(.*image.*)?(tag|version)$`)
	keyDigest   = regexp.MustCompile(`(?i)(digest|sha|sha256)$`)
	keyRegistry = regexp.MustCompile(`(?i)registry$`)
	keyPath     = regexp.MustCompile(`(?i)(repository|repo|image.*name)$`)
	keyImage    = regexp.MustCompile(`(?i)image$`)
)

// classify says whether a scalar is a candidate, and of which class. in is the
// map that it stands in.
func (c *candidate) classify(in map[string]any, refs []string) bool {
	key := c.at[len(c.at)-1]
	_, truth := c.value.(bool)
	switch {
	case strings.ContainsAny(c.text, " \n\t{}"):
		return false // prose, or a template
	case truth:
		return strings.EqualFold(key, "tag") // "yes" without quotes
	case keyDigest.MatchString(key):
		c.class = classDigest
	case keyRegistry.MatchString(key):
		c.class = classRegistry
	case keyTag.MatchString(key) && !strings.Contains(c.text, "/"):
		c.class = classTag
	case keyPath.MatchString(key), key == "name" && ofImage(c.at, in):
		c.class = classPath
	case keyImage.MatchString(key):
		c.class = classWhole
	default:
		return c.shownIn(refs)
	}
	if keyTag.MatchString(key) && strings.EqualFold(key, "version") && !ofImage(c.at, in) {
		return c.shownIn(refs)
	}
	if r, ok := manifest.ParseReference(c.text); ok && c.class == classPath && (r.Tag != "" || r.Digest != "") {
		c.class = classWhole
	}
	return true
}

// ofImage: the map has other keys of an image, or is called one.
func ofImage(at []string, in map[string]any) bool {
	if len(at) > 1 && keyImage.MatchString(at[len(at)-2]) {
		return true
	}
	for _, k := range []string{"tag", "repository", "registry", "digest"} {
		if _, ok := in[k]; ok {
			return true
		}
	}
	return false
}

// shownIn: the scalar's text is a part of a reference.
func (c *candidate) shownIn(refs []string) bool {
	if len(c.text) < 2 {
		return false
	}
	for _, text := range refs {
		r := manifest.Split(text)
		switch {
		case c.text == text:
			c.class = classWhole
			return true
		case c.text == r.Tag || "v"+c.text == r.Tag:
			c.class = classTag
			return true
		case c.text == r.Digest || "sha256:"+c.text == r.Digest:
			c.class = classDigest
			return true
		case c.text == r.Host:
			c.class = classRegistry
			return true
		case partOf(r.Repository(), c.text):
			c.class = classPath
			return true
		case len(c.text) > 3 && strings.Contains(r.Tag, c.text), len(r.Tag) > 2 && strings.HasPrefix(c.text, r.Tag):
			c.class = classTag
			return true
		}
	}
	return false
}

// partOf: whole elements of a path.
func partOf(path, part string) bool {
	part = strings.Trim(part, "/")
	return part != "" && strings.Contains("/"+path+"/", "/"+part+"/")
}

var leadingNumbers = regexp.MustCompile(`^(v?(?:[0-9]+\.){1,2})([0-9]+)(.*)$`)

// sentinels are values to put in a candidate's place, the likeliest first.
func (c *candidate) sentinels() []any {
	m, t := c.marker, c.text
	var out []any
	switch c.class {
	case classTag:
		out = append(out, tagLike(t, m))
		if n := leadingNumbers.FindStringSubmatch(t); n != nil {
			out = append(out, n[1]+next(n[2])+n[3])
			first, rest, _ := strings.Cut(strings.TrimPrefix(t, "v"), ".")
			out = append(out, t[:len(t)-len(first)-len(rest)-1]+next(first)+"."+rest)
		}
	case classPath:
		out = append(out, pathLike(t, m))
	case classRegistry:
		out = append(out, "r"+m+"."+orText(t, "example.com"))
	case classDigest:
		hex := hexOf(m)
		if t == "" || strings.HasPrefix(t, "sha256:") {
			out = append(out, "sha256:"+hex)
		}
		out = append(out, hex)
	case classWhole:
		out = append(out, wholeLike(t, m))
	}
	switch c.value.(type) {
	case float64, int, int64:
		out = append(out, number(m))
	}
	return out
}

func number(marker string) any {
	n := 0.0
	for _, d := range marker {
		n = 10*n + float64(d-'0')
	}
	return n
}

// next is the number behind n, in digits.
func next(n string) string {
	var i uint64
	if _, err := fmt.Sscan(n, &i); err != nil {
		return n + "1"
	}
	return fmt.Sprint(i + 1)
}

func orText(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

var (
	digits   = regexp.MustCompile(`^[0-9]{7,}$`)
	hexWords = regexp.MustCompile(`^[0-9a-f]{7,40}$`)
)

func tagLike(t, marker string) string {
	if tag, digest, ok := strings.Cut(t, "@"); ok {
		return tagLike(tag, marker) + "@" + digest
	}
	n := leadingNumbers.FindStringSubmatch(t)
	switch {
	case t == "":
		return "1.0." + marker
	case n != nil:
		return n[1] + marker + n[3]
	case digits.MatchString(t), hexWords.MatchString(t):
		return t[:len(t)-len(marker)] + marker
	case len(t) > 100:
		return t[:100] + "-" + marker
	}
	return t + "-" + marker
}

func pathLike(t, marker string) string {
	trimmed := strings.TrimRight(t, "/")
	if trimmed == "" {
		return "example/p" + marker
	}
	return trimmed + "-" + marker + t[len(trimmed):]
}

func wholeLike(t, marker string) string {
	r, ok := manifest.ParseReference(t)
	if !ok || r.Tag == "" && r.Digest == "" {
		return pathLike(t, marker)
	}
	if r.Tag == "" {
		return pathLike(r.Repository(), marker) + "@" + r.Digest
	}
	out := r.Repository() + ":" + tagLike(r.Tag, marker)
	if r.Digest != "" {
		out += "@" + r.Digest
	}
	return out
}

// hexOf is 64 hexadecimal digits with the marker in them.
func hexOf(marker string) string {
	return strings.Repeat(marker, 64/len(marker)+1)[:64]
}
