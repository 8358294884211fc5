package yamledit

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Find returns the scalar at path in one document, from 0.
func (f *File) Find(document int, path ...string) (Scalar, error) {
	fail := func(line int, err error, format string, a ...any) (Scalar, error) {
		return Scalar{}, fmt.Errorf("find %s: line %d: %w: %s", strings.Join(path, "."), line, err, fmt.Sprintf(format, a...))
	}
	docs := f.Documents()
	if document < 0 || document >= len(docs) || docs[document] == nil || len(path) == 0 {
		return fail(1, ErrMissing, "the file has %d documents and the path %d elements", len(docs), len(path))
	}
	n, key, flow := docs[document], (*yaml.Node)(nil), false
	for _, elem := range path {
		if line, ok := f.shared[n]; ok {
			return fail(n.Line, ErrAlias, "line %d refers to it by an alias", line)
		}
		if n.Kind == yaml.AliasNode {
			return fail(n.Line, ErrAlias, "%q is an alias", "*"+n.Value)
		}
		flow = flow || n.Style&yaml.FlowStyle != 0
		next, k, err := step(n, elem)
		if err != nil {
			return fail(n.Line, err, "%q", elem)
		}
		n, key = next, k
	}
	if line, ok := f.shared[n]; ok {
		return fail(n.Line, ErrAlias, "line %d refers to it by an alias", line)
	}
	switch n.Kind {
	case yaml.AliasNode:
		return fail(n.Line, ErrAlias, "%q is an alias", "*"+n.Value)
	case yaml.ScalarNode:
	default:
		return fail(n.Line, ErrNotScalar, "it is a mapping or a sequence")
	}
	s, err := f.span(n, key)
	if err != nil {
		return fail(n.Line, err, "write it on one line")
	}
	s.flow = flow
	return s, nil
}

// step goes one element down, and returns the key's node in a mapping.
func step(n *yaml.Node, elem string) (value, key *yaml.Node, err error) {
	switch n.Kind {
	case yaml.SequenceNode:
		i, err := strconv.Atoi(elem)
		if err != nil || i < 0 || i >= len(n.Content) || strconv.Itoa(i) != elem {
			return nil, nil, ErrMissing
		}
		return n.Content[i], nil, nil
	case yaml.MappingNode:
	default:
		return nil, nil, ErrMissing
	}
	merged := false
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if k.Kind == yaml.AliasNode && k.Alias != nil && k.Alias.Value == elem {
			return nil, nil, ErrAlias
		}
		if k.Kind == yaml.ScalarNode && k.Tag == "!!merge" {
			merged = merged || inherits(n.Content[i+1], elem, 0)
			continue
		}
		if k.Kind != yaml.ScalarNode || k.Value != elem {
			continue
		}
		if key != nil {
			return nil, nil, ErrDoubled
		}
		key, value = k, n.Content[i+1]
	}
	switch {
	case key != nil:
		return value, key, nil
	case merged:
		return nil, nil, ErrMerged
	}
	return nil, nil, ErrMissing
}

// inherits reports whether a merge source has the key.
func inherits(src *yaml.Node, elem string, depth int) bool {
	if depth > 64 {
		return true
	}
	if src.Kind == yaml.AliasNode {
		src = src.Alias
	}
	if src.Kind == yaml.SequenceNode {
		for _, c := range src.Content {
			if inherits(c, elem, depth+1) {
				return true
			}
		}
		return false
	}
	if src.Kind != yaml.MappingNode {
		return false
	}
	for i := 0; i+1 < len(src.Content); i += 2 {
		k := src.Content[i]
		if k.Value == elem || k.Tag == "!!merge" && inherits(src.Content[i+1], elem, depth+1) {
			return true
		}
	}
	return false
}

// span finds the bytes of a scalar. key is that of its mapping, or nil.
func (f *File) span(n, key *yaml.Node) (Scalar, error) {
	s := Scalar{Value: n.Value, Tag: n.ShortTag(), Line: n.Line, node: n}
	at, ok := f.offset(n.Line, n.Column)
	if !ok {
		return s, ErrVerify
	}
	tagged := n.Anchor != "" || n.Style&yaml.TaggedStyle != 0
	props := at
	if tagged {
		at, props = f.afterProperties(at)
	}
	rest := f.doc[at:]
	switch style := n.Style &^ yaml.TaggedStyle; {
	case style&yaml.DoubleQuotedStyle != 0:
		s.Style, s.Start, s.End = Double, at, at+quotedLen(rest, '"')
	case style&yaml.SingleQuotedStyle != 0:
		s.Style, s.Start, s.End = Single, at, at+quotedLen(rest, '\'')
	case style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return s, ErrMultiline
	case n.Value == "":
		s.Style = Absent
		if !tagged {
			if key == nil {
				return s, ErrMissing
			}
			if props, ok = f.afterColon(key); !ok {
				return s, ErrMissing
			}
		}
		s.Start, s.End = props, props
		return s, nil
	default:
		s.Start, s.End = at, at+len(n.Value)
		if !bytes.HasPrefix(rest, []byte(n.Value)) {
			return s, ErrMultiline
		}
		return s, nil
	}
	if s.End == at || bytes.ContainsAny(f.doc[s.Start:s.End], "\n\r\u0085\u2028\u2029") {
		return s, ErrMultiline
	}
	return s, nil
}

// afterProperties skips anchors and tags at i, and the white space behind
// them. end is the offset right behind the last property.
func (f *File) afterProperties(i int) (value, end int) {
	end = i
	for i < len(f.doc) {
		switch c := f.doc[i]; {
		case c == '&' || c == '!':
			for i < len(f.doc) && !strings.ContainsRune(" \t\r\n,[]{}", rune(f.doc[i])) {
				i++
			}
			end = i
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			i++
		case c == '#':
			for i < len(f.doc) && f.doc[i] != '\n' && f.doc[i] != '\r' {
				i++
			}
		default:
			return i, end
		}
	}
	return i, end
}

// afterColon returns the offset behind the colon that ends a key.
func (f *File) afterColon(key *yaml.Node) (int, bool) {
	k, err := f.span(key, nil)
	if err != nil {
		return 0, false
	}
	i := k.End
	for i < len(f.doc) && (f.doc[i] == ' ' || f.doc[i] == '\t') {
		i++
	}
	return i + 1, i < len(f.doc) && f.doc[i] == ':'
}

// quotedLen is the length of a quoted scalar with its quotes, 0 if open.
func quotedLen(b []byte, quote byte) int {
	if len(b) == 0 || b[0] != quote {
		return 0
	}
	for i := 1; i < len(b); {
		switch {
		case quote == '"' && b[i] == '\\' && i+1 < len(b):
			_, w := utf8.DecodeRune(b[i+1:])
			i += 1 + w
		case b[i] != quote:
			i++
		case quote == '\'' && i+1 < len(b) && b[i+1] == quote:
			i += 2
		default:
			return i + 1
		}
	}
	return 0
}

// Below is the node under keys of mappings as a plain reader finds it, aliases
// followed but no merge keys, and the first of a doubled key; nil if there is
// none. It is only to look at: Find is for what is edited.
func Below(n *yaml.Node, keys ...string) *yaml.Node {
	for _, key := range keys {
		n = child(plain(n), key)
	}
	return plain(n)
}

func plain(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}
