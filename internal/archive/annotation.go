package archive

import (
	"slices"
	"strings"

	"chartd.dev/chartd/internal/ref"
	yamlv4 "go.yaml.in/yaml/v4"
	"sigs.k8s.io/yaml"
)

// crossCheck compares the images with what the annotation says.
func (r *reader) crossCheck(annotation string, images []Image) {
	if annotation == "" {
		return
	}
	list, ok := r.listed([]byte(annotation))
	if !ok {
		r.warn("the annotation artifacthub.io/images is not a list of images")
		return
	}
	for _, i := range images {
		var named []string
		for _, l := range list {
			at, err := ref.ParseReference(l)
			if err == nil && at.Repository.String() == i.Repository {
				named = append(named, at.Tag)
			}
		}
		if len(named) > 0 && !slices.Contains(named, i.Tag) {
			r.warn("the values name %s:%s, the annotation artifacthub.io/images the tag %s", i.Repository, i.Tag, quote(named[0]))
		}
	}
}

// listed reads the images of the annotation.
func (r *reader) listed(annotation []byte) ([]string, bool) {
	if root, nodes, ok := readPlain(annotation, r.b.l.YAMLNodes-r.b.nodes); ok {
		if list, ok := plainListed(root); ok {
			r.b.nodes += nodes
			return list, true
		}
	}
	var list []struct {
		Image string `json:"image"`
	}
	if f, err := r.b.parseYAML("artifacthub.io/images", annotation); err != nil || f == nil ||
		yaml.Unmarshal(annotation, &list) != nil {
		return nil, false
	}
	var out []string
	for _, l := range list {
		out = append(out, l.Image)
	}
	return out, true
}

// plainListed reads a list of mappings with one image each, and nothing more
// unusual than that.
func plainListed(root *yamlv4.Node) (out []string, ok bool) {
	if root.Kind != yamlv4.SequenceNode {
		return nil, false
	}
	for _, item := range root.Content {
		n := len(out)
		for i := 0; i+1 < len(item.Content) && item.Kind == yamlv4.MappingNode; i += 2 {
			if v := item.Content[i+1]; item.Content[i].Value == "image" && v.Tag == "!!str" && v.Style&isBlock == 0 {
				out = append(out, v.Value)
			} else if strings.EqualFold(item.Content[i].Value, "image") {
				return nil, false
			}
		}
		if len(out) != n+1 {
			return nil, false
		}
	}
	return out, true
}
