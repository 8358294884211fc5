package rendered

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/deploy/verify"
	"chartd.dev/chartd/internal/render/manifest"
	"chartd.dev/chartd/internal/yamledit"
)

// source is a values file that names an image, as far as it can be read.
type source struct {
	name string
	skip int // of the keys, which are not in the file
	doc  *yaml.Node
}

// named is the value that makes an image what it is.
type named struct {
	place verify.Place
	says  string // hub.image.tag is 2026.2
}

// valueOf finds the value by which an image that was rendered is not the pinned
// one: of the scalars that name the image the one that has the last word, else
// any that holds the image, else the chart's own.
func (r *Render) valueOf(l look, w wrong) named {
	sources := r.sources(l)
	others := otherValues(sources, l.inside, w.image)
	for _, o := range others {
		if o.node.Kind == yaml.ScalarNode && o.node.Value != "" && strings.Contains(w.text, o.node.Value) {
			return o.says()
		}
	}
	if len(others) > 0 {
		return others[0].says()
	}
	for _, s := range slices.Backward(sources) {
		if n, keys := holding(s.doc, manifest.Split(w.text), w.text, nil); n != nil {
			return value{s, n, keys}.says()
		}
	}
	if n := argument(l.as.args, w.text); n != "" {
		return named{verify.Place{File: "--helm-arg"}, "the argument " + n + " says so"}
	}
	return named{l.inside.place, "no values file names it, it is the chart's own"}
}

// value is what a values file says under some keys.
type value struct {
	source
	node *yaml.Node
	keys []string
}

// otherValues are those with the last word that name another image than the
// given one.
func otherValues(sources []source, in inside, i lockfile.Image) (out []value) {
	tree, err := overlayOf(in, i)
	if err != nil {
		return nil
	}
	scalars(tree, nil, func(keys []string, want string) {
		n, s := lastOf(sources, keys)
		if n != nil && !equal(keys[len(keys)-1], n, want) {
			out = append(out, value{s, n, keys})
		}
	})
	return out
}

// equal: a part of an image is what it has to be.
func equal(key string, n *yaml.Node, want string) bool {
	if n.Kind != yaml.ScalarNode {
		return false
	}
	if key == "name" || key == "repository" {
		return manifest.Canonical(n.Value) == manifest.Canonical(want)
	}
	return n.Value == want
}

func (v value) says() named {
	text := v.node.Value
	if v.node.Kind != yaml.ScalarNode {
		text = "no text"
	} else if text == "" {
		text = `""`
	}
	return named{verify.Place{File: v.name, Line: v.node.Line}, fmt.Sprintf("%s is %s", strings.Join(v.keys, "."), text)}
}

// sources are the values of a rendering, the last one on top.
func (r *Render) sources(l look) []source {
	var out []source
	add := func(name string, skip int, data []byte, err error) {
		if err != nil {
			return
		}
		y, err := yamledit.Parse(data, yamledit.Limits{Depth: 200, Nodes: 500_000})
		if err == nil && len(y.Documents()) > 0 {
			out = append(out, source{name, skip, y.Documents()[0]})
		}
	}
	for _, s := range l.chart.said {
		data, err := r.repo.Root().Read(s.file, config.MaxValues)
		add(s.file, s.skip, data, err)
	}
	for _, s := range l.given {
		data, err := readFile(s.path)
		add(s.name, 0, data, err)
	}
	for i, a := range l.as.args {
		if (a == "-f" || a == "--values") && i+1 < len(l.as.args) {
			data, err := readFile(l.as.args[i+1])
			add(l.as.args[i+1], 0, data, err)
		}
	}
	return out
}

// lastOf is what the last file that has a value under the keys says there.
func lastOf(sources []source, keys []string) (*yaml.Node, source) {
	for _, s := range slices.Backward(sources) {
		if s.skip > len(keys) {
			continue
		}
		if n := yamledit.Below(s.doc, keys[s.skip:]...); n != nil {
			return n, s
		}
	}
	return nil, source{}
}

// scalars calls f for each scalar of a tree, the name of an image first.
func scalars(tree any, keys []string, f func(keys []string, value string)) {
	m, ok := tree.(map[string]any)
	if !ok {
		f(slices.Clone(keys), fmt.Sprint(tree))
		return
	}
	for _, k := range []string{"registry", "name", "repository", "digest", "tag"} {
		if v, ok := m[k]; ok {
			scalars(v, append(keys, k), f)
		}
	}
	for k, v := range m {
		if !slices.Contains([]string{"registry", "name", "repository", "digest", "tag"}, k) {
			scalars(v, append(keys, k), f)
		}
	}
}

// holding finds a scalar below a key for images that is the whole reference, or
// its digest, tag or repository.
func holding(n *yaml.Node, r manifest.Reference, whole string, keys []string) (*yaml.Node, []string) {
	if n == nil || len(keys) > 100 {
		return nil, nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if at, path := holding(n.Content[i+1], r, whole, append(slices.Clone(keys), n.Content[i].Value)); at != nil {
				return at, path
			}
		}
	case yaml.SequenceNode:
		for i, c := range n.Content {
			if at, path := holding(c, r, whole, append(slices.Clone(keys), fmt.Sprint(i))); at != nil {
				return at, path
			}
		}
	case yaml.ScalarNode:
		if v := n.Value; v == whole || len(v) > 2 && (v == r.Digest || v == r.Tag || v == r.Repository() || v == r.Host) || strings.Contains(v, whole) {
			return n, keys
		}
	}
	return nil, nil
}

// argument is the one of Helm's that holds a part of the image.
func argument(args []string, text string) string {
	r := manifest.Split(text)
	for _, a := range args {
		if r.Tag != "" && strings.Contains(a, r.Tag) || strings.Contains(a, r.Path) {
			return a
		}
	}
	return ""
}

// encrypted: the file is one that nobody but its owner can read.
func encrypted(data []byte) bool {
	return bytes.HasPrefix(data, []byte("\x00GITCRYPT")) || bytes.HasPrefix(data, []byte("$ANSIBLE_VAULT")) ||
		bytes.Contains(data, []byte("\nsops:")) && bytes.Contains(data, []byte("ENC["))
}

// object: the file is one of Kubernetes or its tools, and no values.
func object(data []byte) bool {
	y, err := yamledit.Parse(data, yamledit.Limits{Depth: 200, Nodes: 500_000})
	if err != nil || len(y.Documents()) == 0 {
		return false
	}
	top := y.Documents()[0]
	return yamledit.Below(top, "apiVersion") != nil && yamledit.Below(top, "kind") != nil
}

func readFile(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, api.Errorf(api.CodeLocalIO, "%v", err)
	}
	return data, nil
}
