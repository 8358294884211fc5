// Command roundtrip sets scalars of YAML files the usual ways: the file is
// parsed, the tree changed, and the whole of it printed again. The page on
// byte-exact edits compares what that does to the rest of the file. It reads
// one JSON array of edits and writes one of results.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"go.yaml.in/yaml/v4"
	"sigs.k8s.io/kustomize/kyaml/kio"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

type edit struct {
	Doc   []byte   `json:"doc"`
	Path  []string `json:"path"`
	Value string   `json:"value"`
}

// result is the document behind an edit, or why there is none.
type result struct {
	Doc   []byte `json:"doc,omitempty"`
	Error string `json:"error,omitempty"`
}

type results struct {
	YAML  result `json:"yaml"`
	Kyaml result `json:"kyaml"`
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "roundtrip:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	var edits []edit
	if err := json.NewDecoder(in).Decode(&edits); err != nil {
		return err
	}
	all := make([]results, 0, len(edits))
	for _, e := range edits {
		all = append(all, results{YAML: tried(viaNodes, e), Kyaml: tried(viaKyaml, e)})
	}
	return json.NewEncoder(out).Encode(all)
}

func tried(set func(edit) ([]byte, error), e edit) result {
	doc, err := set(e)
	if err != nil {
		return result{Error: err.Error()}
	}
	return result{Doc: doc}
}

// viaNodes goes through the nodes of yaml v4, which keep comments, with the
// indent of two that most files have.
func viaNodes(e edit) ([]byte, error) {
	dec := yaml.NewDecoder(bytes.NewReader(e.Doc))
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	for first := true; ; first = false {
		var doc yaml.Node
		if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
			return out.Bytes(), enc.Close()
		} else if err != nil {
			return nil, err
		}
		if first {
			if err := setNode(&doc, e.Path, e.Value); err != nil {
				return nil, err
			}
		}
		if err := enc.Encode(&doc); err != nil {
			return nil, err
		}
	}
}

func setNode(n *yaml.Node, path []string, value string) error {
	for n.Kind == yaml.DocumentNode || n.Kind == yaml.AliasNode {
		if n.Kind == yaml.AliasNode {
			n = n.Alias
			continue
		}
		n = n.Content[0]
	}
	if len(path) == 0 {
		style := n.Style
		n.SetString(value)
		n.Style |= style & (yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle)
		return nil
	}
	switch n.Kind {
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(path[0]); err == nil && i >= 0 && i < len(n.Content) {
			return setNode(n.Content[i], path[1:], value)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == path[0] {
				return setNode(n.Content[i+1], path[1:], value)
			}
		}
	}
	return fmt.Errorf("no %q at line %d", path[0], n.Line)
}

// viaKyaml goes the way of kustomize and of the functions that edit files in
// place, which notes the style of sequences and writes it again.
func viaKyaml(e edit) ([]byte, error) {
	var out bytes.Buffer
	rw := &kio.ByteReadWriter{
		Reader: bytes.NewReader(e.Doc), Writer: &out,
		PreserveSeqIndent: true, WrapBareSeqNode: true, NoWrap: true,
	}
	nodes, err := rw.Read()
	if err != nil {
		return nil, err
	}
	if len(nodes) == 0 {
		return nil, errors.New("no document")
	}
	if err := setRNode(nodes[0], e.Path, e.Value); err != nil {
		return nil, err
	}
	if err := rw.Write(nodes); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// setRNode changes nothing of the node but its value, so that what else
// changes comes from printing.
func setRNode(n *kyaml.RNode, path []string, value string) error {
	y := n.YNode()
	if bare := n.Field(kyaml.BareSeqNodeWrappingKey); bare != nil {
		y = bare.Value.YNode()
	}
	for len(path) > 0 || y.Kind == kyaml.AliasNode {
		var next *kyaml.Node
		switch y.Kind {
		case kyaml.AliasNode:
			y = y.Alias
			continue
		case kyaml.SequenceNode:
			if i, err := strconv.Atoi(path[0]); err == nil && i >= 0 && i < len(y.Content) {
				next = y.Content[i]
			}
		case kyaml.MappingNode:
			for i := 0; i+1 < len(y.Content) && next == nil; i += 2 {
				if y.Content[i].Value == path[0] {
					next = y.Content[i+1]
				}
			}
		}
		if next == nil {
			return fmt.Errorf("no %q at line %d", path[0], y.Line)
		}
		y, path = next, path[1:]
	}
	y.Kind, y.Tag, y.Value = kyaml.ScalarNode, kyaml.NodeTagString, value
	y.Style &= kyaml.SingleQuotedStyle | kyaml.DoubleQuotedStyle
	return nil
}
