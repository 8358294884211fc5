package archive

import (
	"maps"
	"slices"

	"go.yaml.in/yaml/v4"
)

// texts keeps the text of appVersion, and warns where Helm reads another one.
func (r *reader) texts(c *chart, file string, root *yaml.Node) {
	if n := get(root, "appVersion"); n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null" && n.Value != "" {
		if c.appVersion = n.Value; sanitize(n.Value) != c.meta.AppVersion {
			r.warn("%s: appVersion %s is not quoted, and Helm reads %s", file, n.Value, quote(c.meta.AppVersion))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.values)) {
		m := c.values[key]
		if tag, ok := m.keys["tag"]; ok && m.isImage() && tag.reads != "" {
			r.warn("%s line %d: the tag %s is not quoted, and Helm reads %s: quote the tag", m.file, tag.line, tag.value, tag.reads)
		}
	}
}
