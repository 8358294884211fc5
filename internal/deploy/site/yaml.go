package site

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"chartd.dev/chartd/internal/yamledit"
	"go.yaml.in/yaml/v4"
)

// place is where a site was found, and what can be written there.
type place struct {
	value    Value
	document int
	path     []string // of the mapping, of the scalar for image-ref
	keys     map[string]yamledit.Scalar
	spans    map[string]span // of from and marker, by what they hold
	mark     mark            // of marker
}

// span is a run of bytes.
type span struct{ start, end int }

// places finds a site; there are as many as its count says.
func (s Site) places(one *file) ([]place, error) {
	var all []place
	var err error
	switch s.Kind {
	case Dependency, HelmLock:
		all, err = s.dependencies(one)
	case Image, ImageRef:
		all, err = s.images(one)
	case From:
		all, err = s.stages(one)
	case Marker:
		all, err = s.marks(one)
	default:
		return nil, s.fail(0, ErrForm, "is a site of the unknown kind %q", s.Kind)
	}
	if err != nil {
		return nil, err
	}
	switch n := s.count(); {
	case len(all) == 0:
		return nil, s.missing()
	case len(all) > n:
		return nil, s.fail(all[n].value.Line, ErrDoubled, "%s is found %d times, first in line %d; one place was asked for%s",
			s.subject(), len(all), all[0].value.Line, s.hint(len(all)))
	case len(all) < n:
		return nil, s.fail(all[0].value.Line, ErrMissing, "%s is found %d times, and count says %d", s.subject(), len(all), n)
	}
	return all, nil
}

func (s Site) hint(n int) string {
	if s.Kind == Dependency || s.Kind == HelmLock {
		return ""
	}
	return "; if all of them are to move together, give the site count: " + strconv.Itoa(n)
}

// subject names what is looked for.
func (s Site) subject() string {
	switch s.Kind {
	case Dependency, HelmLock:
		return "dependency " + strconv.Quote(s.Name)
	case From:
		return "FROM " + s.Repository
	case Marker:
		if s.Name != "" {
			return "the comment \"chartctl: " + s.Path + " @" + s.Name + "\""
		}
		return "the comment \"chartctl: " + s.Path + "\""
	}
	if s.Repository != "" {
		return s.Path + " from " + s.Repository
	}
	return s.Path
}

func (s Site) missing() error {
	return s.fail(0, ErrMissing, "%s is not there; correct the site in .chartctl.yaml or the file", s.subject())
}

// parse returns the YAML of a file, once.
func (s Site) parse(one *file) (*yamledit.File, error) {
	if one.yaml != nil {
		return one.yaml, nil
	}
	y, err := yamledit.Parse(one.now, yamledit.Limits{Depth: 200, Nodes: 500_000})
	if err != nil {
		if line := lineWith(one.now, "{{"); line > 0 {
			return nil, s.fail(line, ErrTemplate, "holds {{, so it is a template, and what it is rendered to cannot be edited")
		}
		return nil, s.fail(0, errors.Join(ErrSyntax, err), "%v", err)
	}
	if line := templateComment(one.now); line > 0 {
		return nil, s.fail(line, ErrTemplate, "holds {{ in a comment, so it is a template, and what it is rendered to cannot be edited")
	}
	one.yaml = y
	return y, nil
}

// find returns a scalar, with this package's errors.
func (s Site) find(one *file, document int, path ...string) (yamledit.Scalar, error) {
	y, err := s.parse(one)
	if err != nil {
		return yamledit.Scalar{}, err
	}
	v, err := y.Find(document, path...)
	if err == nil && !strings.Contains(v.Value, "{{") {
		return v, nil
	}
	line := v.Line
	if err != nil {
		line = lineOf(y, document, path)
	}
	at := joinPath(path)
	reason := ErrForm
	switch {
	case err == nil || bytes.Contains(lineAt(one.now, line), []byte("{{")):
		return v, s.fail(line, ErrTemplate, "%s is written by a template ({{), and what it is rendered to cannot be edited", at)
	case errors.Is(err, yamledit.ErrMissing):
		reason = ErrMissing
	case errors.Is(err, yamledit.ErrDoubled):
		reason = ErrDoubled
	case errors.Is(err, yamledit.ErrAlias), errors.Is(err, yamledit.ErrMerged):
		reason = ErrShared
	}
	return v, s.fail(line, reason, "%s: %s", at, why(err))
}

// lineOf is the line of the deepest node on a path.
func lineOf(y *yamledit.File, document int, path []string) int {
	n, line := y.Documents()[document], 1
	for _, e := range path {
		if n == nil {
			break
		}
		line = n.Line
		n = childOf(n, e)
	}
	if n != nil {
		line = n.Line
	}
	return line
}

// why is the last part of yamledit's error, which names path and line already.
func why(err error) string {
	for _, e := range []error{yamledit.ErrMissing, yamledit.ErrDoubled, yamledit.ErrAlias, yamledit.ErrMerged, yamledit.ErrNotScalar, yamledit.ErrMultiline} {
		if errors.Is(err, e) {
			return e.Error()
		}
	}
	return err.Error()
}

// expand returns the paths that a pattern stands for in a document: a star is
// every item of a sequence. What it cannot follow it returns as it is, for
// find to refuse.
func expand(n *yaml.Node, pattern, done []string) [][]string {
	if len(pattern) == 0 {
		return [][]string{append([]string(nil), done...)}
	}
	if n == nil || n.Kind == yaml.AliasNode {
		if n != nil && !hasStar(pattern) {
			return [][]string{append(append([]string(nil), done...), plain(pattern)...)}
		}
		return nil
	}
	if pattern[0] == star {
		var out [][]string
		if n.Kind == yaml.SequenceNode {
			for i, item := range n.Content {
				out = append(out, expand(item, pattern[1:], append(done, strconv.Itoa(i)))...)
			}
		}
		return out
	}
	key := plain(pattern[:1])[0]
	if child := childOf(n, key); child != nil {
		return expand(child, pattern[1:], append(done, key))
	}
	if n.Kind == yaml.MappingNode && merges(n) && !hasStar(pattern) {
		return [][]string{append(append([]string(nil), done...), plain(pattern)...)}
	}
	return nil
}

func hasStar(pattern []string) bool {
	for _, p := range pattern {
		if p == star {
			return true
		}
	}
	return false
}

func merges(n *yaml.Node) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag == "!!merge" {
			return true
		}
	}
	return false
}

func childOf(n *yaml.Node, key string) *yaml.Node {
	switch n.Kind {
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i]
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if k := n.Content[i]; k.Kind == yaml.ScalarNode && k.Value == key {
				return n.Content[i+1]
			}
		}
	}
	return nil
}

// lineWith is the number of the first line that holds text, 0 if none does.
func lineWith(doc []byte, text string) int {
	i := bytes.Index(doc, []byte(text))
	if i < 0 {
		return 0
	}
	return 1 + bytes.Count(doc[:i], []byte("\n"))
}

// lineAt returns a line by its number.
func lineAt(doc []byte, line int) []byte {
	for n := 1; ; n++ {
		one, rest, more := bytes.Cut(doc, []byte("\n"))
		if n == line {
			return one
		}
		if !more {
			return nil
		}
		doc = rest
	}
}

// templateComment is the number of the first line that is a comment and starts
// with {{: a template that also parses as YAML.
func templateComment(doc []byte) int {
	if !bytes.Contains(doc, []byte("{{")) {
		return 0
	}
	n := 0
	for line := range bytes.Lines(doc) {
		n++
		text := bytes.TrimLeft(line, " \t")
		if bytes.HasPrefix(text, []byte("#")) && bytes.HasPrefix(bytes.TrimLeft(text, "# \t"), []byte("{{")) {
			return n
		}
	}
	return 0
}
