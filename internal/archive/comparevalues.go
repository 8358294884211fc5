package archive

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"chartd.dev/chartd/internal/ref"
	"go.yaml.in/yaml/v4"
)

// says: a text is the image's digest, or a part of its reference with or
// without the digest behind it.
func (i SealImage) says(text string) bool {
	if text == i.Digest.String() || text == i.Digest.Hex() {
		return true
	}
	head, digest, pinned := strings.Cut(text, "@")
	if pinned && digest != i.Digest.String() {
		return false
	}
	name := head
	if k := strings.LastIndexByte(head, ':'); k > strings.LastIndexByte(head, '/') {
		name = head[:k] // without its tag
	}
	return pinned && ref.ValidTag(head) || head == i.Tag && head != "" || i.names(head) || i.names(name)
}

// names: a text is whole elements of the image's repository.
func (i SealImage) names(text string) bool {
	text = strings.Trim(text, "/")
	if r, err := ref.ParseRepository(text); err == nil && r == i.Repository {
		return true
	}
	return text != "" && strings.Contains("/"+i.Repository.String()+"/", "/"+text+"/")
}

// values explains the difference of two values files by scalars that may
// differ.
func (c *comparer) values(file string, from, to []byte) error {
	f, err := c.b[0].parseYAML(file, from)
	if err != nil {
		return err
	}
	g, err := c.b[1].parseYAML(file, to)
	if err != nil {
		return err
	}
	w := scalarWalk{file: file}
	if len(g.Documents()) > 0 {
		var before *yaml.Node
		if len(f.Documents()) > 0 {
			before = f.Documents()[0]
		}
		w.walk(before, g.Documents()[0], nil)
	}
	for i, e := range w.edits {
		if !c.may(e, w.added[i]) {
			return differs("%s differs in more than the images it names: %s is %s", quote(file), strings.Join(e.Path, "."), quote(e.Value))
		}
	}
	return c.explained(file, [2][]byte{from, to}, w.edits)
}

// explained: the edits, and nothing else, make one file of the other.
func (c *comparer) explained(file string, data [2][]byte, edits []Edit) error {
	now, splices, err := applied(file, data[0], edits)
	if err != nil {
		return differs("%s: %s", quote(file), err)
	}
	if !bytes.Equal(now, data[1]) {
		return differs("%s differs in more than the images it names", quote(file))
	}
	c.found.Splices = append(c.found.Splices, splices...)
	return nil
}

// scalarWalk lists the scalars that a YAML document has otherwise than, or more
// than, another.
type scalarWalk struct {
	file  string
	edits []Edit
	added []bool // whether the edit of that index adds its scalar
}

func (w *scalarWalk) walk(a, b *yaml.Node, path []string) {
	if b == nil {
		return
	}
	isNull := a == nil || a.Kind == yaml.ScalarNode && a.ShortTag() == "!!null"
	switch {
	case b.Kind == yaml.ScalarNode && (a == nil || a.Kind == yaml.ScalarNode):
		if a == nil || scalarText(a) != scalarText(b) {
			w.edits = append(w.edits, Edit{w.file, slices.Clone(path), b.Value})
			w.added = append(w.added, a == nil)
		}
	case b.Kind == yaml.MappingNode && (isNull || a.Kind == yaml.MappingNode):
		before := map[string]*yaml.Node{}
		for i := 0; !isNull && i+1 < len(a.Content); i += 2 {
			before[a.Content[i].Value] = a.Content[i+1]
		}
		for i := 0; i+1 < len(b.Content); i += 2 {
			key := b.Content[i].Value
			w.walk(before[key], b.Content[i+1], append(path, key))
		}
	case b.Kind == yaml.SequenceNode && a != nil && a.Kind == yaml.SequenceNode:
		for i := range min(len(a.Content), len(b.Content)) {
			w.walk(a.Content[i], b.Content[i], append(path, strconv.Itoa(i)))
		}
	}
}

// scalarText is a scalar's text, "" for null.
func scalarText(n *yaml.Node) string {
	if n.ShortTag() == "!!null" {
		return ""
	}
	return n.Value
}
