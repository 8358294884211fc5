package yamledit

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
	"pgregory.net/rapid"
)

// target is a scalar of a file with the path to it.
type target struct {
	document int
	path     []string
	node     *yaml.Node
}

func targets(t interface{ Fatalf(string, ...any) }, doc []byte) []target {
	f, err := Parse(doc, Limits{})
	if err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
	var out []target
	var walk func(n *yaml.Node, d int, path []string)
	walk = func(n *yaml.Node, d int, path []string) {
		switch n.Kind {
		case yaml.ScalarNode:
			out = append(out, target{d, append([]string(nil), path...), n})
		case yaml.SequenceNode:
			for i, c := range n.Content {
				walk(c, d, append(path, strconv.Itoa(i)))
			}
		case yaml.MappingNode:
			for i := 0; i < len(n.Content); i += 2 {
				walk(n.Content[i+1], d, append(path, n.Content[i].Value))
			}
		}
	}
	for d, n := range f.Documents() {
		if n != nil {
			walk(n, d, nil)
		}
	}
	return out
}

// roundTrip sets one scalar and takes it back: only its bytes may change.
func roundTrip(t interface{ Fatalf(string, ...any) }, doc []byte, x target, value string) {
	s, err := FindIn(doc, x.document, x.path...)
	if err != nil {
		t.Fatalf("%q: %v\n%s", x.path, err, doc)
	}
	out, sp, err := SetIn(doc, x.document, x.path, value)
	if err != nil {
		t.Fatalf("%q = %q: %v\n%s", x.path, value, err, doc)
	}
	want := string(doc[:s.Start]) + sp.To + string(doc[s.End:])
	if string(out) != want {
		t.Fatalf("%q = %q: bytes beside the scalar changed\n%s", x.path, value, out)
	}
	now, err := FindIn(out, x.document, x.path...)
	if err != nil || now.Value != value {
		t.Fatalf("%q = %q reads as %q, %v\n%s", x.path, value, now.Value, err, out)
	}
	back, err := sp.Undo(out)
	if err != nil || !bytes.Equal(back, doc) {
		t.Fatalf("%q = %q: undo differs (%v)", x.path, value, err)
	}
	// A text that needed no other quotes comes back by Set as well.
	if s.Tag == "!!str" && now.Style == s.Style && s.Style != Double {
		if back, _, err := SetIn(out, x.document, x.path, s.Value); err != nil || !bytes.Equal(back, doc) {
			t.Fatalf("%q: set back to %q differs (%v)", x.path, s.Value, err)
		}
	}
}

func TestPropertySet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc := []byte(genFile(t))
		all := targets(t, doc)
		if len(all) == 0 {
			return
		}
		x := all[rapid.IntRange(0, len(all)-1).Draw(t, "target")]
		if x.node.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
			return
		}
		value := rapid.OneOf(rapid.String(), rapid.SampledFrom(awkward)).Draw(t, "value")
		if _, err := FindIn(doc, x.document, x.path...); err != nil && strings.Contains(err.Error(), ErrAlias.Error()) {
			if _, _, err := SetIn(doc, x.document, x.path, value); err == nil {
				t.Fatalf("a shared value was set")
			}
			return
		}
		roundTrip(t, doc, x, value)
	})
}

var awkward = []string{
	"1.10", "1e3", "no", "5.3894e+09", "2024-01-01", "", " ", "~", "null", "=", "<<", "a: b", "a #b", "- a", "? a", "&a", "*a",
	"!a", "|", ">", "%a", "@a", "`a", "'", "\"", "a'b", "a\"b", "{a}", "[a]", "a,b", "3.3.8@sha256:" + strings.Repeat("a", 64),
	"é", "\u2028", "\u0085", "\ufeff", "\x00", "\t", "a\tb", "a\nb", "...", "---", "x:", ":x", "-x", "😀", "0o7", "1_000", "1:30",
}

type gen struct {
	t       *rapid.T
	n       int
	anchors []string
	eol     string
}

// genFile makes a YAML file by hand, with what people write: comments, blank
// lines, flow maps, anchors, block scalars, lists that are not indented.
func genFile(t *rapid.T) string {
	g := &gen{t: t, eol: rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "eol")}
	var b strings.Builder
	if rapid.Bool().Draw(t, "bom") {
		b.WriteString("\ufeff")
	}
	docs := rapid.IntRange(1, 3).Draw(t, "documents")
	for d := range docs {
		if d > 0 {
			b.WriteString("---" + g.eol)
		}
		g.anchors = nil
		g.mapping(&b, 0, 3)
	}
	out := b.String()
	if rapid.Bool().Draw(t, "no final newline") {
		out = strings.TrimSuffix(out, g.eol)
	}
	return out
}

func (g *gen) key() string {
	g.n++
	return fmt.Sprintf(rapid.SampledFrom([]string{"k%d", "\"k %d\"", "'k%d'", "ключ%d"}).Draw(g.t, "key"), g.n)
}

func (g *gen) comment() string {
	return rapid.SampledFrom([]string{"", "", "", " # c", "   # ö: {"}).Draw(g.t, "comment")
}

func (g *gen) scalar() string {
	return rapid.SampledFrom([]string{
		"plain", "two words", "1.10", "12", "true", "~", "'single'", "'it''s'", `"double"`, `"a\"b\u00e9"`, "http://x/y:z#w",
		"ünï", "a'b", "3.3.8@sha256:ab", "-1", "'# no'", `""`, "''", "!!str 5", "&s%d t",
	}).Draw(g.t, "scalar")
}

func (g *gen) mapping(b *strings.Builder, indent, depth int) {
	pad := strings.Repeat(" ", indent)
	for range rapid.IntRange(1, 4).Draw(g.t, "keys") {
		b.WriteString(rapid.SampledFrom([]string{"", "", g.eol, pad + "# note" + g.eol}).Draw(g.t, "before"))
		b.WriteString(pad + g.key() + ":")
		kind := rapid.IntRange(0, 7).Draw(g.t, "kind")
		switch {
		case kind == 0 && depth > 0:
			b.WriteString(g.comment() + g.eol)
			g.mapping(b, indent+rapid.IntRange(1, 4).Draw(g.t, "indent"), depth-1)
		case kind == 1:
			b.WriteString(g.comment() + g.eol)
			for range rapid.IntRange(1, 3).Draw(g.t, "items") {
				b.WriteString(pad + "-" + strings.Repeat(" ", rapid.IntRange(1, 3).Draw(g.t, "gap")) + g.value() + g.comment() + g.eol)
			}
		case kind == 2:
			b.WriteString(" {a: " + g.value() + ", \"b\": [x, " + g.value() + "], c: }" + g.comment() + g.eol)
		case kind == 3:
			style := rapid.SampledFrom([]string{"|", ">", "|-", ">+"}).Draw(g.t, "block")
			b.WriteString(" " + style + g.eol + pad + "  text: x" + g.eol + g.eol + pad + "  # more" + g.eol)
		case kind == 4:
			b.WriteString(g.comment() + g.eol)
		case kind == 5 && len(g.anchors) > 0:
			b.WriteString(" *" + rapid.SampledFrom(g.anchors).Draw(g.t, "alias") + g.comment() + g.eol)
		case kind == 6:
			g.n++
			name := fmt.Sprintf("m%d", g.n)
			b.WriteString(" &" + name + " {x: " + g.value() + "}" + g.eol)
			g.anchors = append(g.anchors, name)
		default:
			b.WriteString(strings.Repeat(" ", rapid.IntRange(1, 3).Draw(g.t, "gap")) + g.value() + g.comment() + g.eol)
		}
	}
}

func (g *gen) value() string {
	s := g.scalar()
	if strings.Contains(s, "%d") {
		g.n++
		s = fmt.Sprintf(s, g.n)
		name, _, _ := strings.Cut(s[1:], " ")
		g.anchors = append(g.anchors, name)
	}
	return s
}

// Every scalar of the real deploy repo that stands on one line can be set.
func TestRealFiles(t *testing.T) {
	dir := os.Getenv("CHARTD_SHARED")
	if dir == "" {
		t.Skip("CHARTD_SHARED is not set")
	}
	files, scalars, shared := 0, 0, 0
	err := filepath.WalkDir(filepath.Join(dir, "data", "deploy-repo"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".yaml") && !strings.HasSuffix(path, ".yml") {
			return err
		}
		doc, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if _, err := Parse(doc, Limits{}); err != nil {
			t.Logf("%s: %v", path, err) // a Helm template
			return nil
		}
		files++
		for i, x := range targets(t, doc) {
			if x.node.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
				continue
			}
			if _, err := FindIn(doc, x.document, x.path...); err != nil {
				shared++
				if !strings.Contains(err.Error(), ErrAlias.Error()) && !strings.Contains(err.Error(), ErrMultiline.Error()) &&
					!strings.Contains(err.Error(), ErrDoubled.Error()) {
					t.Errorf("%s: %v", path, err)
				}
				continue
			}
			scalars++
			roundTrip(t, doc, x, "x")
			roundTrip(t, doc, x, awkward[i%len(awkward)])
		}
		return nil
	})
	if err != nil || files < 20 || scalars < 500 {
		t.Fatalf("%d scalars of %d files: %v", scalars, files, err)
	}
	t.Logf("%d files, %d scalars set, %d shared, doubled or over several lines", files, scalars, shared)
}
