package yamledit

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Add writes value as a string at a path of mappings that is not there yet, in
// the first document: one line before the first key of the innermost mapping
// that is there, or one pair within its braces. Nothing else changes. A path
// through an alias, a merged mapping or a sequence is refused, and so is one
// that ends at something that is there.
func Add(doc []byte, path []string, value string) ([]byte, Splice, error) {
	fail := func(err error) ([]byte, Splice, error) {
		return nil, Splice{}, fmt.Errorf("add %s: %w", strings.Join(path, "."), err)
	}
	f, err := Parse(doc, Limits{})
	if err != nil {
		return nil, Splice{}, err
	}
	if len(path) == 0 {
		return fail(ErrMissing)
	}
	at, key, rest, err := f.innermost(path)
	if err != nil {
		return fail(err)
	}
	sp, err := f.addition(at, key, chain(rest, value))
	if err != nil {
		return fail(err)
	}
	out, err := sp.Apply(doc)
	if err != nil {
		return fail(err)
	}
	g, err := Parse(out, Limits{})
	if err != nil {
		return fail(err)
	}
	if !g.holdsAddition(f, at, rest, value) {
		return fail(ErrVerify)
	}
	return out, sp, nil
}

// innermost finds the last node of a path that is there, the key that it is
// under, and what of the path is missing.
func (f *File) innermost(path []string) (at, key *yaml.Node, rest []string, err error) {
	if docs := f.Documents(); len(docs) > 0 {
		at = docs[0]
	}
	for i, elem := range path {
		if at == nil || at.Kind == yaml.ScalarNode && at.ShortTag() == "!!null" {
			return at, key, path[i:], nil
		}
		_, shared := f.shared[at]
		switch {
		case shared || at.Kind == yaml.AliasNode:
			return nil, nil, nil, fmt.Errorf("%w: at %q, line %d", ErrAlias, elem, at.Line)
		case at.Kind != yaml.MappingNode:
			return nil, nil, nil, fmt.Errorf("%w: %q, line %d, stands in no mapping", ErrMissing, elem, at.Line)
		}
		for k := 0; k < len(at.Content); k += 2 {
			if at.Content[k].Tag == "!!merge" {
				return nil, nil, nil, fmt.Errorf("%w: at %q, line %d", ErrMerged, elem, at.Line)
			}
		}
		next, k, e := step(at, elem)
		if errors.Is(e, ErrMissing) {
			return at, key, path[i:], nil
		}
		if e != nil {
			return nil, nil, nil, e
		}
		at, key = next, k
	}
	return nil, nil, nil, fmt.Errorf("%w: line %d has a value", ErrDoubled, at.Line)
}

// chain is a path and its value as pairs of one line.
func chain(path []string, value string) string {
	text := doubleQuoted(value)
	for i := len(path) - 1; i >= 0; i-- {
		key := path[i]
		if !plainHolds(key, true) || Typed(key) {
			key = doubleQuoted(key)
		}
		text = key + ": " + text
		if i > 0 {
			text = "{" + text + "}"
		}
	}
	return text
}

// addition is the splice that writes a pair into a node: a mapping, a null
// value, or nil for a file that holds nothing.
func (f *File) addition(at, key *yaml.Node, pair string) (Splice, error) {
	if at == nil || key == nil && at.Kind == yaml.ScalarNode {
		end := ""
		if n := len(f.doc); n > 0 && f.doc[n-1] != '\n' {
			end = "\n"
		}
		return Splice{len(f.doc), "", end + pair + "\n"}, nil
	}
	if at.Kind == yaml.ScalarNode {
		s, err := f.span(at, key)
		if err != nil {
			return Splice{}, err
		}
		lead := ""
		if s.Style == Absent {
			lead = " "
		}
		return Splice{s.Start, string(f.doc[s.Start:s.End]), lead + "{" + pair + "}"}, nil
	}
	if at.Style&yaml.FlowStyle != 0 || len(at.Content) == 0 {
		i, ok := f.offset(at.Line, at.Column)
		if ok && i < len(f.doc) && f.doc[i] != '{' {
			i, _ = f.afterProperties(i)
		}
		if !ok || i >= len(f.doc) || f.doc[i] != '{' {
			return Splice{}, ErrVerify
		}
		if len(at.Content) > 0 {
			pair += ", "
		}
		return Splice{i + 1, "", pair}, nil
	}
	first := at.Content[0]
	i, ok := f.offset(first.Line, first.Column)
	if !ok {
		return Splice{}, ErrVerify
	}
	start := f.lines[first.Line-1]
	if first.Line == 1 && bytes.HasPrefix(f.doc, []byte("\ufeff")) {
		start += 3
	}
	indent := string(f.doc[start:i])
	if strings.Trim(indent, " ") != "" {
		return Splice{}, fmt.Errorf("%w: line %d begins with %q", ErrVerify, first.Line, indent)
	}
	return Splice{start, "", indent + pair + f.lineEnd(i)}, nil
}

// lineEnd is how the line ends that an offset is on.
func (f *File) lineEnd(i int) string {
	if n := bytes.IndexByte(f.doc[i:], '\n'); n > 0 && f.doc[i+n-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// holdsAddition: g is f, and the pair in one of its nodes.
func (g *File) holdsAddition(f *File, at *yaml.Node, rest []string, value string) bool {
	old, now := f.Documents(), g.Documents()
	if at == nil {
		return len(now) > 0 && len(now) == max(1, len(old)) && isChain(now[0], rest, value)
	}
	if len(old) != len(now) {
		return false
	}
	for i := range old {
		if !sameBut(old[i], now[i], at, rest, value) {
			return false
		}
	}
	return true
}

func sameBut(a, b, at *yaml.Node, rest []string, value string) bool {
	if a == nil || b == nil {
		return a == b
	}
	added := 0
	switch {
	case a == at && a.Kind == yaml.ScalarNode:
		return isChain(b, rest, value)
	case a == at:
		added = 2
		if len(b.Content) < 2 || b.Content[0].Value != rest[0] || !isValue(b.Content[1], rest[1:], value) {
			return false
		}
	}
	if a.Kind != b.Kind || a.Tag != b.Tag || a.Value != b.Value || a.Anchor != b.Anchor || len(a.Content)+added != len(b.Content) {
		return false
	}
	for i := range a.Content {
		if !sameBut(a.Content[i], b.Content[i+added], at, rest, value) {
			return false
		}
	}
	return true
}

// isChain: mappings of one pair each, down to the value.
func isChain(n *yaml.Node, path []string, value string) bool {
	return n.Kind == yaml.MappingNode && len(n.Content) == 2 && n.Content[0].Value == path[0] && isValue(n.Content[1], path[1:], value)
}

func isValue(n *yaml.Node, path []string, value string) bool {
	if len(path) > 0 {
		return isChain(n, path, value)
	}
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" && n.Value == value
}
