package archive

import (
	"errors"
	"iter"

	"chartd.dev/chartd/internal/yamledit"
	"go.yaml.in/yaml/v4"
)

// parseYAML reads a YAML file under the shared budget.
func (b *budget) parseYAML(file string, data []byte) (*yamledit.File, error) {
	f, err := yamledit.Parse(data, yamledit.Limits{Depth: b.l.YAMLDepth, Nodes: max(1, b.l.YAMLNodes-b.nodes)})
	switch {
	case errors.Is(err, yamledit.ErrLimit):
		return nil, refused("yaml-limit", "%s: %s", file, firstLine(err))
	case err != nil:
		return nil, refused("yaml", "%s: %s", file, firstLine(err))
	}
	b.nodes += f.Nodes()
	return f, nil
}

// get returns a key's value.
func get(n *yaml.Node, key string) *yaml.Node {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return &yaml.Node{}
}

// doubledKey finds a key that stands twice in one mapping, where it stands last
// and where it stood before. Helm takes the last one without a word.
func doubledKey(n *yaml.Node) (key, first *yaml.Node) {
	for key, first := range doubledKeys(n) {
		return key, first
	}
	return nil, nil
}

// doubledKeys finds all of them.
func doubledKeys(n *yaml.Node) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(key, first *yaml.Node) bool) { eachDoubled(n, yield) }
}

func eachDoubled(n *yaml.Node, yield func(key, first *yaml.Node) bool) bool {
	var seen map[string]*yaml.Node
	if n.Kind == yaml.MappingNode {
		seen = make(map[string]*yaml.Node, len(n.Content)/2)
	}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && c.Kind == yaml.ScalarNode && c.Tag != "!!merge" {
			if first := seen[c.Value]; first != nil && !yield(c, first) {
				return false
			}
			seen[c.Value] = c
		}
		if !eachDoubled(c, yield) {
			return false
		}
	}
	return true
}
