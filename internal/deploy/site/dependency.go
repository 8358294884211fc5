package site

import (
	"strings"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/yamledit"
	"go.yaml.in/yaml/v4"
)

// dependencies finds the items of "dependencies" with the site's name.
func (s Site) dependencies(one *file) ([]place, error) {
	y, err := s.parse(one)
	if err != nil {
		return nil, err
	}
	var out []place
	for d, root := range y.Documents() {
		for _, path := range expand(root, []string{"dependencies", star, "name"}, nil) {
			name, err := y.Find(d, path...)
			if err != nil || name.Value != s.Name {
				if err != nil && nodeValue(root, path) == s.Name {
					_, err := s.find(one, d, path...)
					return nil, err
				}
				continue
			}
			p, err := s.dependency(one, d, path[:2])
			if err != nil {
				return nil, err
			}
			out = append(out, p)
		}
	}
	if len(out) == 0 && len(y.Documents()) > 0 {
		// An alias on the way is no missing dependency.
		if list := childOfMapping(y.Documents()[0], "dependencies"); list != nil && list.Kind == yaml.AliasNode {
			return nil, s.fail(list.Line, ErrShared, "dependencies is an alias")
		}
	}
	return out, nil
}

func childOfMapping(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	return childOf(n, key)
}

// nodeValue is the value of a scalar that cannot be edited.
func nodeValue(n *yaml.Node, path []string) string {
	for _, e := range path {
		if n == nil {
			return ""
		}
		if n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		n = childOf(n, e)
	}
	if n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n == nil {
		return ""
	}
	return n.Value
}

func (s Site) dependency(one *file, d int, path []string) (place, error) {
	p := place{document: d, path: path, keys: map[string]yamledit.Scalar{}}
	v, err := s.find(one, d, append(path, "version")...)
	if err != nil {
		return p, err
	}
	p.keys["version"] = v
	p.value = Value{Text: v.Value, Version: v.Value, Line: v.Line, Start: v.Start, End: v.End}
	if nodeAt(one.yaml, d, append(path, "repository")) != nil {
		r, err := s.find(one, d, append(path, "repository")...)
		if err != nil {
			return p, err
		}
		p.keys["repository"] = r
		p.value.Repository = r.Value
	}
	return p, nil
}

func nodeAt(y *yamledit.File, d int, path []string) *yaml.Node {
	n := y.Documents()[d]
	for _, e := range path {
		if n == nil {
			return nil
		}
		n = childOf(n, e)
	}
	return n
}

// scalarEdit is one scalar to write.
type scalarEdit struct{ key, value string }

// setKeys writes scalars of a place's mapping, each found anew.
func (s Site) setKeys(one *file, p place, edits []scalarEdit) ([]byte, error) {
	doc := one.now
	for _, e := range edits {
		path := p.path
		if e.key != "" {
			path = append(append([]string(nil), p.path...), e.key)
		}
		out, _, err := yamledit.SetIn(doc, p.document, path, e.value)
		if err != nil {
			return nil, s.fail(p.value.Line, ErrForm, "%s cannot be set to %q: %v", joinPath(path), e.value, err)
		}
		doc = out
	}
	return doc, nil
}

// holds reports whether a scalar is the text want for every reader of YAML.
func holds(v yamledit.Scalar, want string) bool {
	return v.Value == want && (v.Style != yamledit.Plain || !yamledit.Typed(want))
}

func (s Site) dependencyEdits(p place, w Want) ([]scalarEdit, error) {
	var out []scalarEdit
	if w.Version != "" && !holds(p.keys["version"], w.Version) {
		out = append(out, scalarEdit{"version", w.Version})
	}
	if w.Source != "" && !SameSource(p.value.Repository, w.Source) {
		if _, ok := p.keys["repository"]; !ok {
			return nil, s.fail(p.value.Line, ErrMissing, "dependency %q has no repository; write repository: %s below its version", s.Name, w.Source)
		}
		out = append(out, scalarEdit{"repository", w.Source})
	}
	return out, nil
}

// SameSource reports whether two addresses of a chart repository are one.
func SameSource(a, b string) bool { return strings.TrimRight(a, "/") == strings.TrimRight(b, "/") }

// isRange reports whether a dependency's version names no single version.
func isRange(version string) bool {
	_, err := ref.ParseImported("x", version)
	return err != nil
}
