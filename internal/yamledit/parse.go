package yamledit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// Limits bounds a parse. Zero fields take a generous default.
type Limits struct {
	Depth int // of nesting
	Nodes int // of all documents, aliases expanded
}

// File is a parsed YAML file.
type File struct {
	doc    []byte
	docs   []*yaml.Node
	lines  []int // offsets of the first byte of each line
	shared map[*yaml.Node]int
	nodes  int
}

// Parse reads all documents. Memory is bounded by the limits: the nodes that
// a text can have are counted before any is made.
func Parse(doc []byte, l Limits) (*File, error) {
	if l.Depth == 0 {
		l.Depth = 1000
	}
	if l.Nodes == 0 {
		l.Nodes = 1_000_000
	}
	// Three nodes a line (key, value, item) and one for each separator is
	// more than the text can make.
	if n := mostNodes(doc); n > l.Nodes {
		return nil, fmt.Errorf("read YAML: %w: more than %d nodes", ErrLimit, l.Nodes)
	}
	if !utf8.Valid(doc) {
		return nil, fmt.Errorf("read YAML: %w: not UTF-8", ErrSyntax)
	}
	deep := false
	load, err := yaml.NewLoader(bytes.NewReader(doc), yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthFunc(
		func(depth int, _ *yaml.DepthContext) error {
			if depth > l.Depth {
				deep = true
				return fmt.Errorf("nested deeper than %d", l.Depth)
			}
			return nil
		}))))
	if err != nil {
		return nil, fmt.Errorf("read YAML: %w", err)
	}
	f := &File{doc: doc, shared: map[*yaml.Node]int{}}
	for {
		n := new(yaml.Node)
		switch err := load.Load(n); {
		case errors.Is(err, io.EOF):
			f.lines = lineStarts(doc)
			return f, nil
		case deep:
			return nil, fmt.Errorf("read YAML: %w: nested deeper than %d", ErrLimit, l.Depth)
		case err != nil:
			return nil, fmt.Errorf("read YAML: %w: %s", ErrSyntax, oneLine(err))
		}
		if f.nodes += f.count(n, map[*yaml.Node]int{}, l.Nodes); f.nodes > l.Nodes {
			return nil, fmt.Errorf("read YAML: %w: more than %d nodes, aliases expanded", ErrLimit, l.Nodes)
		}
		f.docs = append(f.docs, n)
	}
}

// Documents returns the root node of each document; an empty one is nil.
func (f *File) Documents() []*yaml.Node {
	out := make([]*yaml.Node, len(f.docs))
	for i, d := range f.docs {
		if d.Kind == yaml.DocumentNode && len(d.Content) == 1 {
			out[i] = d.Content[0]
		}
	}
	return out
}

// Nodes is the number of nodes, aliases expanded.
func (f *File) Nodes() int { return f.nodes }

// count counts nodes with aliases expanded, each target once, and notes which
// nodes are alias targets. It stops counting beyond most.
func (f *File) count(n *yaml.Node, seen map[*yaml.Node]int, most int) int {
	if n.Kind == yaml.AliasNode {
		f.shared[n.Alias] = n.Line
		if c, ok := seen[n.Alias]; ok {
			return c
		}
		return 1 // an alias to a node that holds it
	}
	total := 1
	for _, c := range n.Content {
		if total > most {
			return total
		}
		total += f.count(c, seen, most)
	}
	if n.Anchor != "" {
		seen[n] = total
	}
	return total
}

func mostNodes(doc []byte) int {
	n, blank, comment := 3, true, false
	for i, c := range doc {
		switch c {
		case '\n', '\r':
			blank, comment = true, false
			continue
		case ',', '[', '{':
			n++
		case '-', '?', ':':
			if !comment && (i+1 == len(doc) || doc[i+1] <= ' ') {
				n++
			}
		}
		if c == ' ' || c == '\t' {
			continue
		}
		if blank {
			blank, comment = false, c == '#'
			if !comment {
				n += 3
			}
		}
	}
	return n
}

// lineStarts cuts lines as YAML 1.1 does: LF, CRLF, CR, NEL, LS, PS.
func lineStarts(doc []byte) []int {
	out := []int{0}
	for i := 0; i < len(doc); {
		r, w := utf8.DecodeRune(doc[i:])
		i += w
		switch r {
		case '\r':
			if i < len(doc) && doc[i] == '\n' {
				i++
			}
			out = append(out, i)
		case '\n', 0x85, 0x2028, 0x2029:
			out = append(out, i)
		}
	}
	return out
}

// offset turns a node's line and column (in characters, from 1) into bytes.
func (f *File) offset(line, column int) (int, bool) {
	if line < 1 || line > len(f.lines) {
		return 0, false
	}
	i := f.lines[line-1]
	if line == 1 && bytes.HasPrefix(f.doc, []byte("\ufeff")) {
		i += 3
	}
	for c := 1; c < column; c++ {
		if i >= len(f.doc) {
			return 0, false
		}
		_, w := utf8.DecodeRune(f.doc[i:])
		i += w
	}
	return i, i <= len(f.doc)
}

func oneLine(err error) string {
	s := err.Error()
	if i := bytes.IndexByte([]byte(s), '\n'); i >= 0 {
		s = s[:i]
	}
	if len(s) > 300 {
		s = s[:300] + "…"
	}
	return s
}
