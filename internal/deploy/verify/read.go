package verify

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v4"

	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/yamledit"
)

// tree is a parsed file.
type tree struct {
	docs []*yaml.Node
	err  error
}

// tree parses a file once.
func (v *verification) tree(file string, doc []byte) ([]*yaml.Node, error) {
	t, ok := v.trees[file]
	if !ok {
		y, err := yamledit.Parse(doc, yamledit.Limits{Depth: 200, Nodes: 500_000})
		if t.err = err; err == nil {
			t.docs = y.Documents()
		}
		v.trees[file] = t
	}
	return t.docs, t.err
}

// read compares how Helm and the chart read a site with how it was compared:
// of a values file Helm reads the first document alone, and of name and
// repository a chart reads one.
func (v *verification) read(s subject, at site.Site, paths [][]string) {
	doc, err := v.files.Bytes(at.File)
	keys, bad := site.SplitPath(at.Path)
	if err != nil || bad != nil || at.Kind != site.Image && at.Kind != site.ImageRef {
		return // told as unreadable, or no values
	}
	docs, err := v.tree(at.File, doc)
	if err != nil {
		return
	}
	helms := slices.ContainsFunc(paths, func(p []string) bool { return slices.Equal(p, keys) })
	for n, doc := range docs {
		for _, node := range valuesAt(doc, keys...) {
			if n > 0 && helms {
				v.add(s, Finding{Kind: DriftSite, Place: Place{at.File, node.Line}, Found: fmt.Sprintf("YAML document %d", n+1), Want: "YAML document 1",
					Message: fmt.Sprintf("%s stands in YAML document %d, and Helm reads only the first of a values file: this is ignored, and the chart's own image runs", at.Path, n+1),
					Mend:    "make the file one document"})
			}
			v.oneName(s, at, node)
		}
	}
}

// oneName wants name and repository of an image to be one.
func (v *verification) oneName(s subject, at site.Site, n *yaml.Node) {
	name, repository := yamledit.Below(n, "name"), yamledit.Below(n, "repository")
	if name == nil || repository == nil || name.Value == repository.Value || name.Value == "" || repository.Value == "" {
		return
	}
	want := s.image(at.Role)
	v.add(s, Finding{Kind: DriftSite, Place: Place{at.File, name.Line}, Found: shortened(name.Value), Want: want.Repository.String(),
		Message: fmt.Sprintf("%s has the name %s and the repository %s: JupyterHub reads the name, other charts the repository", at.Path, quoted(name.Value), quoted(repository.Value)),
		Mend:    "keep the one that the chart reads, with " + want.Repository.String()})
}

// valuesAt is what stands under keys as a reader of YAML finds it, aliases and
// merge keys followed; each of several where a key is doubled.
func valuesAt(n *yaml.Node, keys ...string) []*yaml.Node { return descent{}.at(n, keys) }

// descent goes down a tree, to each node once: aliases may make it endless.
type descent map[step]bool

type step struct {
	node *yaml.Node
	left int // keys
}

func (d descent) at(n *yaml.Node, keys []string) []*yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n == nil || d[step{n, len(keys)}] {
		return nil
	}
	d[step{n, len(keys)}] = true
	if len(keys) == 0 {
		return []*yaml.Node{n}
	}
	if n.Kind != yaml.MappingNode {
		return nil
	}
	var out, merges []*yaml.Node
	found := false
	for i := 0; i+1 < len(n.Content); i += 2 {
		switch key, value := n.Content[i], n.Content[i+1]; {
		case key.Tag == "!!merge" && value.Kind == yaml.SequenceNode:
			merges = append(merges, value.Content...)
		case key.Tag == "!!merge":
			merges = append(merges, value)
		case key.Value == keys[0]:
			found = true
			out = append(out, d.at(value, keys[1:])...)
		}
	}
	if found {
		return out // it hides what is merged
	}
	for _, m := range merges {
		out = append(out, d.at(m, keys)...)
	}
	return out
}
