package yamledit

import "go.yaml.in/yaml/v4"

// verify parses an edited file and compares it node by node with f: target
// must hold value and every other node must be what it was.
func (f *File) verify(edited []byte, target *yaml.Node, value string) error {
	g, err := Parse(edited, Limits{})
	if err != nil {
		return err
	}
	if len(f.docs) != len(g.docs) {
		return ErrVerify
	}
	for i := range f.docs {
		if !same(f.docs[i], g.docs[i], target, value) {
			return ErrVerify
		}
	}
	return nil
}

func same(a, b, target *yaml.Node, value string) bool {
	if a == target {
		text := b.Kind == yaml.ScalarNode && b.Value == value && b.Anchor == a.Anchor
		return text && (b.ShortTag() == "!!str" || a.Style&yaml.TaggedStyle != 0 && a.Tag == b.Tag)
	}
	if a.Kind != b.Kind || a.Tag != b.Tag || a.Value != b.Value || a.Anchor != b.Anchor || len(a.Content) != len(b.Content) {
		return false
	}
	for i := range a.Content {
		if !same(a.Content[i], b.Content[i], target, value) {
			return false
		}
	}
	return true
}
