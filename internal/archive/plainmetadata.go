package archive

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// plainMetadata is what a plain Chart.yaml says. It declines, as readPlain
// does, wherever Helm's decoder does more than to take a text as it stands:
// numbers, nulls, doubled keys, keys in other capitals, dependencies.
func plainMetadata(root *yaml.Node) (*metadata, bool) {
	m := new(metadata)
	if key, _ := doubledKey(root, 0); key != "" || root.Kind != yaml.MappingNode {
		return nil, false
	}
	texts := map[string]*string{
		"name": &m.Name, "home": &m.Home, "version": &m.Version, "description": &m.Description, "icon": &m.Icon,
		"apiVersion": &m.APIVersion, "condition": &m.Condition, "tags": &m.Tags, "appVersion": &m.AppVersion,
		"kubeVersion": &m.KubeVersion, "type": &m.Type,
	}
	ok := plainFields(root, chartFields, func(key string, v *yaml.Node) (ok bool) {
		switch key {
		case "keywords":
			m.Keywords, ok = plainTexts(v)
		case "sources":
			m.Sources, ok = plainTexts(v)
		case "maintainers":
			m.Maintainers, ok = plainPeople(v)
		case "annotations":
			m.Annotations, ok = plainMap(v)
		case "deprecated":
			m.Deprecated, ok = v.Value == "true", v.Tag == "!!bool" && (v.Value == "true" || v.Value == "false")
		case "dependencies":
		default:
			*texts[key], ok = plainString(v)
		}
		return ok
	})
	if m.APIVersion == "" {
		m.APIVersion = "v1"
	}
	return m, ok
}

// plainFields calls each for the keys that are in the table.
func plainFields(n *yaml.Node, table map[string]string, each func(key string, v *yaml.Node) bool) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		if _, ok := table[key]; !ok {
			for known := range table {
				if strings.EqualFold(known, key) {
					return false
				}
			}
			continue
		}
		if !each(key, n.Content[i+1]) {
			return false
		}
	}
	return true
}

func plainString(n *yaml.Node) (string, bool) {
	return n.Value, n.Kind == yaml.ScalarNode && n.Tag == "!!str" && n.Value != unread
}

func plainTexts(n *yaml.Node) (out []string, ok bool) {
	for _, item := range n.Content {
		s, ok := plainString(item)
		if !ok {
			return nil, false
		}
		out = append(out, s)
	}
	return out, n.Kind == yaml.SequenceNode && len(out) > 0
}

func plainMap(n *yaml.Node) (map[string]string, bool) {
	out := make(map[string]string, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		s, ok := plainString(n.Content[i+1])
		if !ok {
			return nil, false
		}
		out[n.Content[i].Value] = s
	}
	return out, n.Kind == yaml.MappingNode && len(out) > 0
}

func plainPeople(n *yaml.Node) (out []*maintainer, ok bool) {
	for _, item := range n.Content {
		p := new(maintainer)
		texts := map[string]*string{"name": &p.Name, "email": &p.Email, "url": &p.URL}
		if item.Kind != yaml.MappingNode || !plainFields(item, personFields, func(key string, v *yaml.Node) (ok bool) {
			*texts[key], ok = plainString(v)
			return ok
		}) {
			return nil, false
		}
		out = append(out, p)
	}
	return out, n.Kind == yaml.SequenceNode && len(out) > 0
}
