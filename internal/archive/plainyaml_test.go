package archive

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
	sigs "sigs.k8s.io/yaml"

	"chartd.dev/chartd/internal/yamledit"
)

// tree is what of a node anything here looks at.
type tree struct {
	Kind  yaml.Kind
	Tag   string
	Value string
	Line  int
	Sub   []tree
}

// treeOf leaves the text of blocks out, and where a collection begins.
func treeOf(n *yaml.Node) tree {
	t := tree{Kind: n.Kind, Tag: n.ShortTag(), Value: n.Value}
	if n.Kind == yaml.ScalarNode {
		t.Line = n.Line
	}
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		t.Value = ""
	}
	for i, c := range n.Content {
		s := treeOf(c)
		if n.Kind != yaml.MappingNode || i%2 == 1 {
			s.Line = 0 // only the line of a key is ever said
		}
		t.Sub = append(t.Sub, s)
	}
	return t
}

// samePlain holds the quick reader to both full ones: what it reads, Helm
// takes, and it is the same tree.
func samePlain(t *testing.T, doc []byte) bool {
	t.Helper()
	root, nodes, ok := new(plainYAML).read(doc, DefaultLimits().YAMLNodes)
	if !ok {
		return false
	}
	into := map[string]any{}
	if err := sigs.Unmarshal(doc, &into); err != nil {
		t.Fatalf("read %q, and Helm does not: %v", doc, err)
	}
	f, err := yamledit.Parse(doc, yamledit.Limits{Depth: DefaultLimits().YAMLDepth, Nodes: DefaultLimits().YAMLNodes})
	if err != nil {
		t.Fatalf("read %q, and the full reader does not: %v", doc, err)
	}
	docs := f.Documents()
	if len(docs) != 1 {
		t.Fatalf("%q has %d documents", doc, len(docs))
	}
	if d := cmp.Diff(treeOf(docs[0]), treeOf(root)); d != "" {
		t.Fatalf("%q: full reader (-), quick reader (+):\n%s", doc, d)
	}
	if !sameTexts(root, into) {
		t.Fatalf("%q: Helm reads %#v, the quick reader %+v", doc, into, treeOf(root))
	}
	if f.Nodes() != nodes {
		t.Fatalf("%q has %d nodes, and %d were counted", doc, f.Nodes(), nodes)
	}
	return true
}

// sameTexts compares the texts with what Helm's decoder made of them.
func sameTexts(n *yaml.Node, v any) bool {
	switch n.Kind {
	case yaml.MappingNode:
		m, _ := v.(map[string]any)
		last := map[string]*yaml.Node{} // of a doubled key Helm takes the last
		for i := 0; i+1 < len(n.Content); i += 2 {
			last[n.Content[i].Value] = n.Content[i+1]
		}
		for key, c := range last {
			if !sameTexts(c, m[key]) {
				return false
			}
		}
		return true
	case yaml.SequenceNode:
		l, _ := v.([]any)
		for i, c := range n.Content {
			if !sameTexts(c, l[i]) {
				return false
			}
		}
		return true
	}
	text, is := v.(string)
	return (n.Tag == "!!str") == is && (!is || n.Value == text || n.Style == isBlock)
}

var plainSamples = []string{
	"list:\n- name: hub\n  image: quay.io/a/b:1.0\n- image: c/d:2\n",
	"hub:\n  image:\n    name: quay.io/a/b\n    tag: \"1.0\"\n  list:\n  - a\n  - b: 1\n    c: {}\n  -\n    - x\n",
	"a: |\n  text\nb: |-\n\n    text\n  \nc: |+\n  x\n\nd: |\n\ne: |\n  cut",
	"a: |\n  text\n   more # no comment\n\n  end\nb: >-\n  folded\n# c\nc: []  # none\n",
	"a:\nb: 'it is' # x\nc: 10\nd: true\ne: null\n",
	"a:\n  # comment\n  b: x\n# deeper\n  c: z\n",
	"a: 0.2\nb: 1.10\nc: 10Gi\nd: 1.2.3\ne: 100m\nf: 0\ng: [] \nh: [http, 'https', 80] # x\nk: 5ef8aa1\nl: 10.0.0.0/8\nm:\n- --ip=0.0.0.0\n0-first: x\nnn: claim-{a}{b}\no1: 1.2.3-beta.4\np: 8b04701\nq: 01eac78\nr: -10\ns: 0.8-7174419\nt: 0.1-5e3\n",
	"a:\n  - b\n  -   c: 1\n      d: 2\n",
}

func TestPlainYAML(t *testing.T) {
	for _, s := range plainSamples {
		if !samePlain(t, []byte(s)) {
			t.Errorf("%q was left to the full readers", s)
		}
	}
	for _, s := range []string{
		"", "# nothing\n", "- a\n", "- a\nb: c\n", "a: &x 1\n", "a: *x\n", "a: !!str 1\n", "<<: {}\n", "a: .nan\n", "a: 1.5.\n", "a: 1e5\n", "a: 1.2e3\n", "a: 05\n", "a: 1..2\n", "a: 1:30\n", "a: 2001-01-01\n",
		"a: [1, [2]]\n", "a: [,]\n", "a: [b,]\n", "a: [b: c]\n", "a: [\"b,c\"]\n", "a: [- b]\n", "1e5: a\n", "10: a\n", "a: 10e5\n", "a: 0x5f\n", "a: b\n  c\n", "a: yes\n", "yes: a\n", "a: \"\\n\"\n", "a: 'it''s'\n", "a:\tb\n", "a: b\r\n", "--- \na: b\n", "a: b\n---\n",
		"? a\n: b\n", "a: {b: c}\n", "a: b: c\n", "a: |2\n   x\n", "tag: |\n  x\n", "a: 012\n", "a: 1_000\n", "a: \ufeffb\n", "%YAML 1.1\n",
		"a: " + strings.Repeat("\n  a:", 1) + "\n b: 1\n", "a: -\n", "a: - b\n", "a: 'b'c\n", "a: 0x1\n", "a: ~\n",
	} {
		if samePlain(t, []byte(s)) {
			t.Errorf("%q was not left to the full readers", s)
		}
	}
}

// FuzzPlainYAML: what the quick reader takes, both full ones read alike.
func FuzzPlainYAML(f *testing.F) {
	for _, s := range plainSamples {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) { samePlain(t, doc) })
}
