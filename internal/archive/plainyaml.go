package archive

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Most values files use a small part of YAML: block mappings and sequences,
// one-line scalars, text blocks, empty collections. plainYAML reads that part
// in one pass, many times faster than the two full readers that a file needs
// otherwise (ours for positions, Helm's for what it takes). Whatever is the
// least unusual is left to those: it never refuses, it only declines.
type plainYAML struct {
	lines []plainLine
	at    int
	nodes int
	fail  bool
	made  []*[64]yaml.Node // used again, with the room in their Content
	used  int              // of made
}

var plainReaders = sync.Pool{New: func() any { return new(plainYAML) }}

// mostKept is how many nodes, and lines, a reader keeps for the next file.
const mostKept = 8 << 10

// free ends the use of all that read returned.
func (p *plainYAML) free() {
	if p.used > mostKept || len(p.lines) > mostKept {
		return
	}
	for i := range p.used {
		n := &p.made[i/64][i%64]
		*n = yaml.Node{Content: n.Content[:0]}
	}
	clear(p.lines)
	*p = plainYAML{lines: p.lines[:0], made: p.made}
	plainReaders.Put(p)
}

// plainLine is a line that is neither blank nor a comment, or one of a text
// block.
type plainLine struct {
	indent int
	text   string // without indentation
	number int
}

// isBlock marks a text block, whose text is not in the tree.
const isBlock = yaml.LiteralStyle

// plainDepth is far below any limit of nesting that is in force.
const plainDepth = 24

// read returns the tree of a mapping and the number of its nodes, as the full
// reader counts them; a text that could have more than limit is left to that
// one. A mapping in which a text block could say something about an image is
// declined. The tree is good until p is free.
func (p *plainYAML) read(data []byte, limit int) (root *yaml.Node, nodes int, ok bool) {
	if most, ok := plainText(data); !ok || most > limit {
		return nil, 0, false
	}
	p.nodes, p.lines = 1, slices.Grow(p.lines[:0], bytes.Count(data, []byte("\n"))+1)
	text := string(data)
	for number := 1; text != ""; number++ {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		rest := strings.TrimLeft(line, " ")
		p.lines = append(p.lines, plainLine{len(line) - len(rest), rest, number})
	}
	l, ok := p.peek()
	if !ok || l.indent != 0 {
		return nil, 0, false
	}
	root = p.mapping(0, 0)
	if _, more := p.peek(); more || p.fail {
		return nil, 0, false
	}
	return root, p.nodes, true
}

// plainText: no control characters, no separators of lines but LF, nothing
// that readers may take for another encoding. It returns how many nodes the
// text can have at most.
func plainText(data []byte) (most int, ok bool) {
	most = 6
	for i := 0; i < len(data); {
		c := data[i]
		if c < utf8.RuneSelf {
			switch c {
			case '\n':
				most += 3
			case ',', '[', '{', '-', '?', ':':
				most++
			case 0x7f:
				return 0, false
			default:
				if c < ' ' {
					return 0, false
				}
			}
			i++
			continue
		}
		r, w := utf8.DecodeRune(data[i:])
		if w == 1 || r < 0xa0 || r >= 0x2028 && r <= 0x2029 || r >= 0xd7ff {
			return 0, false
		}
		i += w
	}
	return most, !bytes.HasPrefix(data, []byte("%"))
}

// peek returns the next line that says something.
func (p *plainYAML) peek() (plainLine, bool) {
	for ; p.at < len(p.lines); p.at++ {
		if t := p.lines[p.at].text; t != "" && t[0] != '#' {
			return p.lines[p.at], !p.fail
		}
	}
	return plainLine{}, false
}

func (p *plainYAML) decline() *yaml.Node {
	p.fail = true
	return nil
}

func (p *plainYAML) node(kind yaml.Kind, tag, value string, line int) *yaml.Node {
	p.nodes++
	if p.used == 64*len(p.made) {
		p.made = append(p.made, new([64]yaml.Node))
	}
	n := &p.made[p.used/64][p.used%64]
	p.used++
	n.Kind, n.Tag, n.Value, n.Line = kind, tag, value, line
	return n
}

// mapping reads the keys that stand at an indentation.
func (p *plainYAML) mapping(indent, depth int) *yaml.Node {
	l, _ := p.peek()
	n := p.node(yaml.MappingNode, "!!map", "", l.number)
	for {
		l, ok := p.peek()
		if !ok || l.indent < indent {
			return n
		}
		key, rest, isKey := plainKey(l.text)
		if l.indent != indent || !isKey || depth > plainDepth {
			return p.decline()
		}
		p.at++
		n.Content = append(n.Content, p.node(yaml.ScalarNode, "!!str", key, l.number))
		value := p.value(rest, l, depth, true)
		if p.fail {
			return nil
		}
		if value.Style == isBlock && slices.Contains(imageKeys[:], key) {
			return p.decline()
		}
		n.Content = append(n.Content, value)
	}
}

// sequence reads the items that stand at an indentation.
func (p *plainYAML) sequence(indent, depth int) *yaml.Node {
	l, _ := p.peek()
	n := p.node(yaml.SequenceNode, "!!seq", "", l.number)
	for {
		l, ok := p.peek()
		item := ok && (l.text == "-" || strings.HasPrefix(l.text, "- "))
		if !ok || l.indent < indent || l.indent == indent && !item {
			return n
		}
		if l.indent != indent || depth > plainDepth {
			return p.decline()
		}
		var value *yaml.Node
		rest := strings.TrimLeft(l.text[1:], " ")
		if _, _, isKey := plainKey(rest); isKey {
			// The item is a mapping that begins on this line.
			p.lines[p.at] = plainLine{indent + len(l.text) - len(rest), rest, l.number}
			value = p.mapping(p.lines[p.at].indent, depth+1)
		} else {
			p.at++
			value = p.value(rest, l, depth, false)
		}
		if p.fail {
			return nil
		}
		n.Content = append(n.Content, value)
	}
}

// value reads what stands behind a key or a dash, on its line or below it.
func (p *plainYAML) value(rest string, l plainLine, depth int, keyed bool) *yaml.Node {
	if rest != "" && rest[0] != '#' {
		return p.inline(rest, l)
	}
	next, ok := p.peek()
	dash := ok && (next.text == "-" || strings.HasPrefix(next.text, "- "))
	switch {
	case ok && dash && (next.indent > l.indent || keyed && next.indent == l.indent):
		return p.sequence(next.indent, depth+1)
	case ok && next.indent > l.indent:
		return p.mapping(next.indent, depth+1)
	case p.fail:
		return nil
	}
	return p.node(yaml.ScalarNode, "!!null", "", l.number)
}

// inline reads a value that stands on the line of its key or dash.
func (p *plainYAML) inline(s string, l plainLine) *yaml.Node {
	if s[0] == '|' || s[0] == '>' {
		return p.block(s, l)
	}
	var n *yaml.Node
	kind, tag, value, rest := plainScalar(s)
	switch {
	case kind != 0:
		n = p.node(kind, tag, value, l.number)
		if s[0] == '"' || s[0] == '\'' {
			n.Style = yaml.DoubleQuotedStyle
		}
	case s[0] == '[':
		n, rest = p.plainList(s, l)
	}
	if n == nil {
		return p.decline()
	}
	if text := strings.TrimLeft(rest, " "); text != "" && (text[0] != '#' || len(text) == len(rest)) {
		return p.decline() // not a comment
	}
	// A line further in would go on with the scalar.
	if next, ok := p.peek(); ok && next.indent > l.indent {
		return p.decline()
	}
	return n
}

// block passes over a text block: nobody asks for its text.
func (p *plainYAML) block(s string, l plainLine) *yaml.Node {
	if s = s[1:]; s != "" && s != "-" && s != "+" {
		return p.decline()
	}
	n := p.node(yaml.ScalarNode, "!!str", "", l.number)
	n.Style = isBlock
	inner := 0
	for ; p.at < len(p.lines); p.at++ {
		b := p.lines[p.at]
		switch {
		case b.text == "" && b.indent > max(inner, l.indent):
			return p.decline() // blanks further in than the text
		case b.text == "":
		case b.indent <= l.indent:
			if b.text[0] == '#' && b.indent > 0 {
				return p.decline() // a comment that could be text to some
			}
			return n
		case inner == 0:
			inner = b.indent
		case b.indent < inner:
			return p.decline()
		}
	}
	return n
}

// plainList reads a list of words on one line.
func (p *plainYAML) plainList(s string, l plainLine) (*yaml.Node, string) {
	end := strings.IndexByte(s, ']')
	if end < 0 || strings.ContainsAny(s[1:end], "[{}#:&*!|>?%@`\\") {
		return nil, ""
	}
	n := p.node(yaml.SequenceNode, "!!seq", "", l.number)
	for item := range strings.SplitSeq(s[1:end], ",") {
		item = strings.Trim(item, " ")
		if item == "" || item[0] == '-' {
			return nil, ""
		}
		kind, tag, value, rest := plainScalar(item)
		if kind == 0 || rest != "" {
			return nil, ""
		}
		n.Content = append(n.Content, p.node(kind, tag, value, l.number))
	}
	return n, s[end+1:]
}
