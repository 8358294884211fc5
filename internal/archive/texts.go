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
		if tag, ok := m.keys["tag"]; ok && m.isImage() && tag.loose {
			r.warn("%s: the tag %s is not quoted, and Helm may read another number", m.file, tag.value)
		}
	}
}

// tarBytes reads the current file byte by byte as well, so that a
// decompressor on top of it takes no more than it needs.
type tarBytes struct {
	t    *tarReader
	buf  [4096]byte
	n, i int
	err  error
}

func (b *tarBytes) fill() bool {
	if b.i == b.n && b.err == nil {
		b.i = 0
		b.n, b.err = b.t.Read(b.buf[:])
	}
	return b.i < b.n
}

func (b *tarBytes) Read(p []byte) (int, error) {
	if !b.fill() {
		return 0, b.err
	}
	n := copy(p, b.buf[b.i:b.n])
	b.i += n
	return n, nil
}

func (b *tarBytes) ReadByte() (byte, error) {
	if !b.fill() {
		return 0, b.err
	}
	b.i++
	return b.buf[b.i-1], nil
}
