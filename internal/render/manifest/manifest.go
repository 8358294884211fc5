// Package manifest reads rendered Kubernetes documents: their scalars by
// path, the image references among them, and what two of them differ in.
//
// Invariants: a document is read as Helm and kubectl read it, by JSON's rules;
// the same text gives the same leaves in the same order; nothing here renders,
// and nothing but its arguments is read.
package manifest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// Document is one rendered object.
type Document struct {
	Template string // as helm template says after "# Source:"
	Kind     string
	Name     string
	Hook     bool
	Leaves   []Leaf // sorted by path
}

// Leaf is one scalar of a document, or an empty list or map.
type Leaf struct {
	Path  []string // keys, and indices of lists
	Type  Type
	Value string // as JSON writes it; a string as it is
}

// Type is the JSON type of a leaf.
type Type byte

// Types of a leaf.
const (
	String Type = 's'
	Number Type = 'n'
	Bool   Type = 'b'
	Null   Type = '0'
	Empty  Type = 'e' // {} or []
)

// Key is the path as one string.
func (l Leaf) Key() string { return strings.Join(l.Path, "\x00") }

// Last is the last element of the path.
func (l Leaf) Last() string {
	if len(l.Path) == 0 {
		return ""
	}
	return l.Path[len(l.Path)-1]
}

// Parse reads one document. One that holds nothing, comments for instance, has
// no leaves.
func Parse(template, text string) (Document, error) {
	d := Document{Template: template}
	var root any
	if err := yaml.Unmarshal([]byte(text), &root, useNumber); err != nil {
		return d, fmt.Errorf("read a document of %s: %w", template, err)
	}
	if root == nil {
		return d, nil
	}
	d.Leaves = Flatten(root)
	top, _ := root.(map[string]any)
	d.Kind, _ = top["kind"].(string)
	meta, _ := top["metadata"].(map[string]any)
	d.Name, _ = meta["name"].(string)
	notes, _ := meta["annotations"].(map[string]any)
	_, d.Hook = notes["helm.sh/hook"]
	return d, nil
}

func useNumber(d *json.Decoder) *json.Decoder {
	d.UseNumber()
	return d
}

// Flatten lists the leaves of a decoded value, sorted by path.
func Flatten(v any) []Leaf {
	var out []Leaf
	flatten(v, nil, &out)
	slices.SortFunc(out, func(a, b Leaf) int { return slices.Compare(a.Path, b.Path) })
	return out
}

func flatten(v any, path []string, out *[]Leaf) {
	add := func(t Type, value string) { *out = append(*out, Leaf{slices.Clone(path), t, value}) }
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 {
			add(Empty, "{}")
		}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			flatten(v[k], append(path, k), out)
		}
	case []any:
		if len(v) == 0 {
			add(Empty, "[]")
		}
		for i, item := range v {
			flatten(item, append(path, strconv.Itoa(i)), out)
		}
	case string:
		add(String, v)
	case bool:
		add(Bool, strconv.FormatBool(v))
	case nil:
		add(Null, "null")
	default:
		add(Number, fmt.Sprint(v))
	}
}

// containers are the lists whose items have an image, wherever they are: in a
// workload of any kind, a list of them, or a template in a custom resource.
var containers = []string{"containers", "initContainers", "ephemeralContainers"}

// IsContainerImage: the leaf is the image of a container, or of a volume that
// is one.
func (l Leaf) IsContainerImage() bool {
	p := l.Path
	n := len(p)
	switch {
	case l.Type != String:
		return false
	case n >= 3 && p[n-1] == "image" && isIndex(p[n-2]):
		return slices.Contains(containers, p[n-3])
	case n >= 4 && p[n-1] == "reference" && p[n-2] == "image" && isIndex(p[n-3]):
		return p[n-4] == "volumes"
	}
	return false
}

func isIndex(s string) bool {
	_, err := strconv.Atoi(s)
	return err == nil
}
