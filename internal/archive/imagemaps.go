package archive

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"chartd.dev/chartd/internal/yamledit"
	"go.yaml.in/yaml/v4"
	helmyaml "sigs.k8s.io/yaml"
)

// place is one scalar of an image map.
type place struct {
	file  string
	path  []string
	value string
	line  int
	reads string // what Helm reads in place of it, where it is not quoted and no text to YAML
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
		p := place{c.file, append(slices.Clone(path), key), v.Value, v.Line, reads(v)}
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

// reads is what Helm reads of a scalar without quotes that is a number, a word
// or a date to YAML; "" where it is a text.
func reads(n *yaml.Node) string {
	if n.Style&^yaml.FlowStyle != 0 || n.ShortTag() == "!!null" || !yamledit.Typed(n.Value) {
		return ""
	}
	return asText(n.Value)
}

// textOf is the text that Helm reads of a scalar without quotes in a field of
// Chart.yaml.
func textOf(source string) string {
	var v struct{ Text string }
	if helmyaml.Unmarshal([]byte("Text: "+source), &v) != nil {
		return source
	}
	return v.Text
}

// asText is how Helm prints a scalar without quotes.
func asText(source string) string {
	var v any
	if helmyaml.Unmarshal([]byte(source), &v) != nil || v == nil {
		return source
	}
	return fmt.Sprint(v)
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
