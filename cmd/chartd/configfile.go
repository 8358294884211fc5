package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v4"
)

// readConfigFile reads "name: value" lines, where a value may be a list. An
// unknown or doubled name is refused.
func readConfigFile(file string) (map[string][]string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%w: read configuration: %w", errUsage, err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("%w: read configuration %s: %w", errUsage, file, err)
	}
	out := map[string][]string{}
	if len(doc.Content) == 0 {
		return out, nil
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%w: %s:%d: want a mapping of option names to values", errUsage, file, root.Line)
	}
	known := map[string]option{}
	for _, o := range new(Config).options() {
		known[o.name] = o
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, val := root.Content[i], root.Content[i+1]
		o, ok := known[key.Value]
		if !ok {
			return nil, fmt.Errorf("%w: %s:%d: unknown option %q", errUsage, file, key.Line, key.Value)
		}
		if _, twice := out[key.Value]; twice {
			return nil, fmt.Errorf("%w: %s:%d: option %q is there twice", errUsage, file, key.Line, key.Value)
		}
		values, err := scalars(val, o.many())
		if err != nil {
			return nil, fmt.Errorf("%w: %s:%d: option %q: %w", errUsage, file, val.Line, key.Value, err)
		}
		out[key.Value] = values
	}
	return out, nil
}

func scalars(n *yaml.Node, many bool) ([]string, error) {
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode && many {
		nodes = n.Content
	}
	out := []string{}
	for _, e := range nodes {
		if e.Kind != yaml.ScalarNode {
			return nil, errors.New("want a plain value")
		}
		out = append(out, e.Value)
	}
	return out, nil
}

// print writes the configuration as a file that can be read back.
func (c Config) print(w io.Writer) error {
	root := &yaml.Node{Kind: yaml.MappingNode}
	for _, o := range c.options() {
		var val yaml.Node
		if err := val.Encode(o.plain()); err != nil {
			return err
		}
		root.Content = append(root.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: o.name}, &val)
	}
	out, err := yaml.Marshal(root)
	if err != nil {
		return err
	}
	_, err = w.Write(out)
	return err
}
