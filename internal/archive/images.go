package archive

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"chartd.dev/chartd/internal/ref"
	"go.yaml.in/yaml/v4"
)

// placeholder is what a source tree holds before it is built.
const placeholder = "set-by-chartpress"

// place is one scalar of an image map.
type place struct {
	file  string
	path  []string
	value string
	loose bool // a number without quotes that may print otherwise
}

// imageMap is a mapping of the values that says something about an image.
type imageMap struct {
	file string
	path []string
	keys map[string]place // tag, name, repository, registry, digest
}

func (m *imageMap) value(key string) string { return m.keys[key].value }

// isImage: any map with tag, and name or repository.
func (m *imageMap) isImage() bool {
	_, tag := m.keys["tag"]
	return tag && (m.value("name") != "" || m.value("repository") != "")
}

// site is where an image's scalars are: each in the file that has the last
// word on it.
type site struct {
	file string
	path []string
	keys map[string]place
}

var imageKeys = [...]string{"tag", "name", "repository", "registry", "digest"}

const (
	maxMaps   = 5_000 // image maps of one values file
	maxImages = 5_000 // images of a package, subcharts under each of their names
	maxPath   = 512   // bytes of a path in the values; a role has 255
)

// collector gathers the image maps of one values file.
type collector struct {
	file string
	out  map[string]*imageMap
	left int // nodes to visit yet: an alias may hold itself
	// simple: no mapping has a key twice, a merged one, or an alias below it.
	simple bool
}

// imageMaps collects the image maps of a values file.
func (b *budget) imageMaps(file string, root *yaml.Node, simple bool) (map[string]*imageMap, error) {
	c := &collector{file, map[string]*imageMap{}, b.l.YAMLNodes, simple}
	if root != nil {
		c.collect(root, nil, 0)
	}
	if c.left < 0 || len(c.out) > maxMaps {
		return nil, refused("images", "%s has more than %d mappings that may be images", quote(file), maxMaps)
	}
	return c.out, nil
}

// collect walks down; size is the length of the joined path. What lies deeper
// than a role's name reaches is no image.
func (c *collector) collect(n *yaml.Node, path []string, size int) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if c.left--; c.left < 0 || len(c.out) > maxMaps || size > maxPath {
		return
	}
	switch n.Kind {
	case yaml.SequenceNode:
		for i, item := range n.Content {
			key := strconv.Itoa(i)
			c.collect(item, append(path, key), size+len(key)+1)
		}
	case yaml.MappingNode:
		if c.simple {
			c.mapping(n, path, size)
			return
		}
		all := map[string]*yaml.Node{}
		effective(n, all, 0)
		if keys := c.scalars(all, path); len(keys) > 0 {
			own := slices.Clone(path)
			c.out[joined(own)] = &imageMap{c.file, own, keys}
		}
		for _, key := range slices.Sorted(maps.Keys(all)) {
			c.collect(all[key], append(path, key), size+len(key)+1)
		}
	}
}

// mapping collects a simple mapping: its keys are those that it has.
func (c *collector) mapping(n *yaml.Node, path []string, size int) {
	var some [len(imageKeys)]*yaml.Node
	found := false
	for i := 0; i+1 < len(n.Content); i += 2 {
		if k := slices.Index(imageKeys[:], n.Content[i].Value); k >= 0 {
			some[k], found = n.Content[i+1], true
		}
	}
	if found {
		all := make(map[string]*yaml.Node, len(some))
		for k, v := range some {
			all[imageKeys[k]] = v
		}
		if keys := c.scalars(all, path); len(keys) > 0 {
			own := slices.Clone(path)
			c.out[joined(own)] = &imageMap{c.file, own, keys}
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, v := n.Content[i].Value, n.Content[i+1]
		if len(v.Content) == 0 {
			c.left-- // there is nothing in it
			continue
		}
		c.collect(v, append(path, key), size+len(key)+1)
	}
}

// scalars picks the keys that say something about an image.
func (c *collector) scalars(all map[string]*yaml.Node, path []string) map[string]place {
	var keys map[string]place
	for _, key := range imageKeys {
		v := all[key]
		if v != nil && v.Kind == yaml.AliasNode {
			v = v.Alias
		}
		if v == nil || v.Kind != yaml.ScalarNode {
			continue
		}
		p := place{c.file, append(slices.Clone(path), key), v.Value, loose(v)}
		if v.ShortTag() == "!!null" {
			p.value = ""
		}
		if keys == nil {
			keys = map[string]place{}
		}
		keys[key] = p
	}
	return keys
}

func loose(n *yaml.Node) bool {
	tag := n.ShortTag()
	return tag == "!!float" || tag == "!!int" && len(n.Value) > 1 && n.Value[0] == '0'
}

// effective fills all with the keys of a mapping, merged ones below its own.
func effective(n *yaml.Node, all map[string]*yaml.Node, depth int) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if depth > 8 {
		return
	}
	if n.Kind == yaml.SequenceNode {
		for i := len(n.Content) - 1; i >= 0; i-- {
			effective(n.Content[i], all, depth+1)
		}
		return
	}
	for _, merge := range []bool{true, false} {
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			switch k := n.Content[i]; {
			case k.Tag == "!!merge":
				if merge {
					effective(n.Content[i+1], all, depth+1)
				}
			case !merge:
				all[k.Value] = n.Content[i+1]
			}
		}
	}
}

// doubledKey finds a key that stands twice in one mapping. Helm takes the last
// one without a word.
func doubledKey(n *yaml.Node, depth int) (key string, line int) {
	if depth > 64 {
		return "", 0
	}
	if len(n.Content) == 0 {
		return "", 0
	}
	var seen map[string]bool
	if len(n.Content) > 2*fewKeys {
		seen = make(map[string]bool, len(n.Content)/2)
	}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && c.Kind == yaml.ScalarNode && c.Tag != "!!merge" {
			if seen[c.Value] || seen == nil && keyBefore(n.Content[:i], c.Value) {
				return c.Value, c.Line
			}
			if seen != nil {
				seen[c.Value] = true
			}
		}
		if key, line := doubledKey(c, depth+1); key != "" {
			return key, line
		}
	}
	return "", 0
}

// fewKeys are found sooner by looking at each than in a map.
const fewKeys = 12

func keyBefore(content []*yaml.Node, key string) bool {
	for i := 0; i < len(content); i += 2 {
		if c := content[i]; c.Value == key && c.Kind == yaml.ScalarNode && c.Tag != "!!merge" {
			return true
		}
	}
	return false
}

func joined(path []string) string { return strings.Join(path, "\x00") }

// found is an image on the way up through the charts that hold its owner.
type found struct {
	Image
	full   []string // path of the map in the values of the chart looked at
	prefix int      // leading elements of full that name subcharts
	open   bool     // below a dependency that the package does not hold

	appVersion string // of the chart that owns the image
}

// images lists the images of a chart and of the charts packed in it. left
// bounds them: one subchart may be used under many names, at each depth.
func (c *chart) images(left *int) []found {
	var out []found
	if *left--; *left < 0 {
		return nil
	}
	under := c.subKeys()
	for _, key := range slices.Sorted(maps.Keys(c.values)) {
		m := c.values[key]
		if !m.isImage() || len(m.path) > 0 && under[m.path[0]] {
			continue
		}
		*left--
		out = append(out, c.own(m))
	}
	taken := map[string]bool{}
	for _, use := range c.uses() {
		for _, f := range use.chart.images(left) {
			*left--
			f.full = append([]string{use.key}, f.full...)
			f.prefix++
			if m := c.values[joined(f.full)]; m != nil {
				f.override(m)
			}
			taken[joined(f.full)] = true
			out = append(out, f)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.values)) {
		m := c.values[key]
		if m.isImage() && len(m.path) > 0 && under[m.path[0]] && !taken[key] {
			f := c.own(m)
			f.Override, f.prefix, f.open = true, 1, true
			out = append(out, f)
		}
	}
	return out
}

func (c *chart) own(m *imageMap) found {
	f := found{full: m.path, appVersion: c.meta.AppVersion}
	f.site = site{m.file, m.path, maps.Clone(m.keys)}
	f.fill()
	return f
}

// override applies a wrapper's values over those of the chart that owns the
// image.
func (f *found) override(m *imageMap) {
	if !f.Override {
		f.Base = f.Repository
		if f.Tag != "" {
			f.Base += ":" + f.Tag
		}
	}
	keys := maps.Clone(f.site.keys)
	maps.Copy(keys, m.keys)
	f.site = site{m.file, m.path, keys}
	f.Override = true
	f.fill()
}

// fill reads the image from its scalars.
func (f *found) fill() {
	s := f.site
	f.File, f.Path, f.Problem = s.file, strings.Join(s.path, "."), ""
	name := s.keys["repository"].value
	if name == "" {
		name = s.keys["name"].value
	}
	if host := s.keys["registry"].value; host != "" {
		name = host + "/" + name
	}
	tag, digest, _ := strings.Cut(s.keys["tag"].value, "@")
	if d := s.keys["digest"].value; d != "" {
		digest = d
	}
	f.Repository, f.Tag, f.Digest = name, tag, digest
	if tag == "" && digest == "" {
		f.Tag = f.appVersion
	}
	r, err := ref.ParseRepository(name)
	if err == nil {
		f.Repository = r.String()
	}
	switch {
	case tag == placeholder || strings.Contains(name, placeholder):
		f.Problem = fmt.Sprintf("the tag is %q, which the chart's build has to replace", placeholder)
	case err != nil:
		f.Problem = firstLine(err)
	case f.Tag == "" && digest == "":
		f.Problem = "it has no tag, and the chart no appVersion"
	case f.Tag != "" && !ref.ValidTag(f.Tag):
		f.Problem = fmt.Sprintf("%q is not a tag", f.Tag)
	}
	if digest != "" && f.Problem == "" {
		if _, err := ref.ParseDigest(digest); err != nil {
			f.Problem = firstLine(err)
		}
	}
}

// role names the image: its path without a last "image".
func (f *found) role() string {
	path := f.full
	if len(path) > 0 && path[len(path)-1] == "image" {
		path = path[:len(path)-1]
	}
	if len(path) == 0 {
		return "main"
	}
	return strings.Join(path, ".")
}

// isHub: the hub image of the chart, of a chart packed in it, or of one it
// depends on.
func (f *found) isHub() bool {
	rest := f.full[f.prefix:]
	if f.open && len(rest) >= 2 {
		rest = rest[len(rest)-2:]
	}
	return joined(rest) == joined([]string{"hub", "image"}) || joined(rest) == "hub"
}

// assignRoles gives every image its role and marks the required one. Of
// several hub images the one with the fewest subcharts above it is "hub",
// then the first by path; the others keep their whole path.
func assignRoles(all []found) (images []Image, warnings []string) {
	slices.SortStableFunc(all, func(a, b found) int {
		return cmp.Or(cmp.Compare(a.prefix, b.prefix), cmp.Compare(len(a.full), len(b.full)), slices.Compare(a.full, b.full))
	})
	byRole := map[ref.Role]int{}
	for _, f := range all {
		name := f.role()
		if f.isHub() {
			if _, ok := byRole["hub"]; !ok {
				name = "hub"
			} else {
				warnings = append(warnings, fmt.Sprintf("several hub images: %s in %s is not the required one", f.Path, f.File))
			}
		}
		role, err := ref.ParseRole(name)
		if _, ok := byRole[role]; ok || err != nil {
			role, err = ref.ParseRole(strings.Join(f.full, "."))
		}
		if _, ok := byRole[role]; ok || err != nil {
			warnings = append(warnings, fmt.Sprintf("the image at %s in %s cannot be a role and is left out", f.Path, f.File))
			continue
		}
		f.Role, f.values = role, f.full
		byRole[role] = len(images)
		images = append(images, f.Image)
	}
	if i, ok := byRole["hub"]; ok {
		images[i].Required = true
	} else if i, ok := byRole["main"]; ok {
		images[i].Required = true
	}
	slices.SortFunc(images, func(a, b Image) int { return cmp.Compare(a.Role, b.Role) })
	return images, warnings
}
