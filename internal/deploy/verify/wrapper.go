package verify

import (
	"cmp"
	"fmt"
	"path"
	"strings"

	"go.yaml.in/yaml/v4"

	"chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/yamledit"
)

// wrapped compares how a chart depends on the locked one with what the sites
// take for granted: that there is one list of dependencies, and under which key
// Helm hands the values down. Helm drops values under any other without a word,
// and the chart's own image runs.
func (v *verification) wrapped(s subject) {
	for _, dir := range s.dirs {
		var lists []*yaml.Node
		var files []string
		for _, name := range []string{"Chart.yaml", "requirements.yaml"} {
			file := path.Join(dir, name)
			if list := v.dependencies(s, file); list != nil {
				lists, files = append(lists, list), append(files, file)
			}
		}
		if len(lists) == 2 {
			v.add(s, Finding{Kind: DriftSite, Place: Place{files[1], lists[1].Line}, Found: "dependencies", Want: "none",
				Message: fmt.Sprintf("it has dependencies, and %s:%d has some too: Helm takes those of %s", files[0], lists[0].Line, path.Base(files[1])),
				Mend:    "keep one of the two lists"})
		}
		if len(lists) != 1 || s.conf.Wrapper == "" || path.Clean(s.conf.Wrapper) != path.Clean(dir) {
			continue
		}
		for _, item := range lists[0].Content {
			if name := yamledit.Below(item, "name"); name != nil && name.Value == s.entry.Chart.Name {
				v.prefix(s, files[0], item)
			}
		}
	}
}

// prefix compares the key of a dependency's values with that of the sites.
func (v *verification) prefix(s subject, file string, item *yaml.Node) {
	chart := s.entry.Chart.Name
	prefix := cmp.Or(s.conf.Prefix, chart)
	key, line := chart, item.Line
	if alias := yamledit.Below(item, "alias"); alias != nil && alias.Value != "" {
		key, line = alias.Value, alias.Line
	}
	if key != prefix {
		v.add(s, Finding{Kind: DriftSite, Place: Place{file, line}, Found: key, Want: prefix,
			Message: fmt.Sprintf("Helm hands %s its values under %q, and the prefix in %s is %q: under that they are ignored, and the chart's own image runs", chart, key, config.Name, prefix),
			Mend:    fmt.Sprintf("name and alias in %s, prefix and paths of sites in %s, and the keys of the values have to be one", file, config.Name)})
		return
	}
	for _, at := range s.sites {
		if (at.Kind == site.Image || at.Kind == site.ImageRef) && key != chart && strings.HasPrefix(at.Path, chart+".") {
			v.add(s, Finding{Kind: DriftSite, Place: Place{File: at.File}, Found: chart, Want: key,
				Message: fmt.Sprintf("%s is not read: Helm hands %s its values under %q", at.Path, chart, key),
				Mend:    fmt.Sprintf("move the values in %s under %q, and the path of the site in %s", at.File, key, config.Name)})
		}
	}
}

// dependencies is a chart's list of them; nil where it has none, or none that
// can be read: the site itself says that.
func (v *verification) dependencies(s subject, file string) *yaml.Node {
	b, err := v.files.Bytes(file)
	if err != nil {
		return nil
	}
	docs, err := v.tree(file, b)
	if err != nil || len(docs) == 0 {
		return nil
	}
	if n := len(docs); n > 1 {
		v.add(s, Finding{Kind: DriftSite, Place: Place{File: file}, Found: fmt.Sprint(n), Want: "1",
			Message: fmt.Sprintf("it is %d YAML documents, and Helm reads one", n), Mend: "make it one document"})
	}
	list := yamledit.Below(docs[0], "dependencies")
	if list == nil || list.Kind != yaml.SequenceNode || len(list.Content) == 0 {
		return nil
	}
	return list
}
