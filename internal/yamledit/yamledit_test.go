package yamledit

import (
	"errors"
	"strings"
	"testing"
)

const sample = `# top
hub:
  image: # the hub
    name: quay.io/jupyterhub/k8s-hub   # repo
    tag: '3.3.7'
  flow: {name: a, "tag": "1.0", empty: , "json":[1,2]}
  none:
  nothing: ~ # null
  typed: !!str 12
  later: &anch
    # between
    9.9
anchors:
  base: &base
    tag: x
  use: *base
  merged:
    <<: *base
    name: y
double: 1
double: 2
multi: foo
  bar
quoted: "a
  b"
block: |
  text
list:
- a
-  tag: v1
   é: ü # ö
`

func TestFind(t *testing.T) {
	for _, c := range []struct {
		path, value, source string
		err                 error
	}{
		{"hub.image.name", "quay.io/jupyterhub/k8s-hub", "quay.io/jupyterhub/k8s-hub", nil},
		{"hub.image.tag", "3.3.7", "'3.3.7'", nil},
		{"hub.flow.tag", "1.0", `"1.0"`, nil},
		{"hub.flow.empty", "", "", nil},
		{"hub.flow.json.1", "2", "2", nil},
		{"hub.none", "", "", nil},
		{"hub.nothing", "~", "~", nil},
		{"hub.typed", "12", "12", nil},
		{"hub.later", "9.9", "9.9", nil},
		{"list.0", "a", "a", nil},
		{"list.1.tag", "v1", "v1", nil},
		{"list.1.é", "ü", "ü", nil},
		{"hub.missing", "", "", ErrMissing},
		{"hub.image", "", "", ErrNotScalar},
		{"hub.image.tag.x", "", "", ErrMissing},
		{"list.2", "", "", ErrMissing},
		{"anchors.base.tag", "", "", ErrAlias},
		{"anchors.use.tag", "", "", ErrAlias},
		{"anchors.merged.tag", "", "", ErrMerged},
		{"anchors.merged.name", "y", "y", nil},
		{"double", "", "", ErrDoubled},
		{"multi", "", "", ErrMultiline},
		{"quoted", "", "", ErrMultiline},
		{"block", "", "", ErrMultiline},
	} {
		for _, doc := range []string{sample, "\ufeff" + sample, strings.ReplaceAll(sample, "\n", "\r\n"), strings.TrimSuffix(sample, "\n")} {
			s, err := Find([]byte(doc), strings.Split(c.path, ".")...)
			if !errors.Is(err, c.err) || err == nil && (s.Value != c.value || doc[s.Start:s.End] != c.source) {
				t.Errorf("%s: %+v, %v; want %q, %v", c.path, s, err, c.source, c.err)
			}
			if err != nil && !strings.Contains(err.Error(), "line ") {
				t.Errorf("%s: %v names no line", c.path, err)
			}
		}
	}
}

func TestSet(t *testing.T) {
	for _, c := range []struct{ path, value, from, to string }{
		{"hub.image.name", "docker.io/a/b", "quay.io/jupyterhub/k8s-hub   # repo", "docker.io/a/b   # repo"},
		{"hub.image.tag", "4.0.0@sha256:ab", "'3.3.7'", "'4.0.0@sha256:ab'"},
		{"hub.image.tag", "it's", "'3.3.7'", "'it''s'"},
		{"hub.image.tag", "a\nb", "'3.3.7'", `"a\nb"`},
		{"hub.flow.tag", "x", `"1.0"`, `"x"`},
		{"hub.flow.empty", "x", "empty: ,", "empty: x ,"},
		{"hub.flow.empty", "a, b", "empty: ,", `empty: "a, b" ,`},
		{"hub.none", "3.8", "none:\n", "none: \"3.8\"\n"},
		{"hub.none", "3.8.1", "none:\n", "none: 3.8.1\n"},
		{"hub.nothing", "x", "~ # null", "x # null"},
		{"list.0", "1.10", "- a", `- "1.10"`},
		{"list.0", "1e3", "- a", `- "1e3"`},
		{"list.0", "no", "- a", `- "no"`},
		{"list.0", "5.3894e+09", "- a", `- "5.3894e+09"`},
		{"list.0", "2024-05-09", "- a", `- "2024-05-09"`},
		{"list.0", "0x1f", "- a", `- "0x1f"`},
		{"list.0", "1:30", "- a", `- "1:30"`},
		{"list.0", "", "- a", `- ""`},
		{"list.0", "- x", "- a", `- "- x"`},
		{"list.0", "a #b", "- a", `- "a #b"`},
		{"list.0", "a, b", "- a", `- a, b`},
		{"list.0", "3.3.8-0.dev", "- a", `- 3.3.8-0.dev`},
		{"list.1.é", "x", "é: ü # ö", "é: x # ö"},
	} {
		for _, crlf := range []bool{false, true} {
			from, doc, to := c.from, sample, c.to
			if crlf {
				from, doc, to = strings.ReplaceAll(from, "\n", "\r\n"), strings.ReplaceAll(doc, "\n", "\r\n"), strings.ReplaceAll(to, "\n", "\r\n")
			}
			got, sp, err := Set([]byte(doc), strings.Split(c.path, "."), c.value)
			if want := strings.Replace(doc, from, to, 1); err != nil || string(got) != want {
				t.Errorf("%s = %q: %v, spliced %+v", c.path, c.value, err, sp)
				continue
			}
			if back, err := sp.Undo(got); err != nil || string(back) != doc {
				t.Errorf("%s = %q: undo: %v", c.path, c.value, err)
			}
		}
	}
	if _, _, err := Set([]byte("a: b\n"), []string{"a"}, "\xff"); err == nil {
		t.Error("a value that is not UTF-8 was written")
	}
	if _, err := (Splice{3, "x", "y"}).Apply([]byte("abc")); err == nil {
		t.Error("a splice outside the file was applied")
	}
}

func TestSetInDocuments(t *testing.T) {
	doc := []byte("a: 1\n---\n# second\na: two\n---\n")
	got, _, err := SetIn(doc, 1, []string{"a"}, "x")
	if err != nil || string(got) != "a: 1\n---\n# second\na: x\n---\n" {
		t.Errorf("%q, %v", got, err)
	}
	for _, n := range []int{-1, 2, 3} {
		if _, err := FindIn(doc, n, "a"); !errors.Is(err, ErrMissing) {
			t.Errorf("document %d: %v", n, err)
		}
	}
}

func TestLimits(t *testing.T) {
	for doc, want := range map[string]error{
		strings.Repeat("[", 100):                                          ErrLimit,
		strings.Repeat("[a,b],", 100):                                     ErrLimit,
		"a: &a [1,2,3]\nb: &b [*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b]\n": ErrLimit,
		"a: [\n":     ErrSyntax,
		"a: \xff\n":  ErrSyntax,
		"a: &a [*a]": nil,
	} {
		if _, err := Parse([]byte(doc), Limits{Depth: 20, Nodes: 100}); !errors.Is(err, want) {
			t.Errorf("%.20q: %v, want %v", doc, err, want)
		}
	}
}
