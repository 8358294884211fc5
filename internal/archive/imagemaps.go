package archive

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

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

var imageKeys = [...]string{"tag", "name", "repository", "registry", "digest"}

const (
	maxMaps = 5_000 // image maps of one values file
	maxPath = 512   // bytes of a path in the values; a role has 255
)

// collector gathers the image maps of one values file.
type collector struct {
	file string
	out  map[string]*imageMap
	left int // nodes to visit yet: an alias may hold itself
}

// imageMaps collects the image maps of a values file.
func (b *budget) imageMaps(file string, root *yaml.Node) (map[string]*imageMap, error) {
	c := &collector{file, map[string]*imageMap{}, b.l.YAMLNodes}
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

func joined(path []string) string { return strings.Join(path, "\x00") }
