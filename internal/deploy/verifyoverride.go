package deploy

import (
	"bytes"
	"cmp"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/yamledit"
)

// maxFiles bounds the search of a checkout for values files.
const maxFiles = 100_000

// valuesFile is one that says something about images.
type valuesFile struct {
	config.ValuesFile
	doc []byte
}

// tree is a parsed file.
type tree struct {
	docs []*yaml.Node
	err  error
}

// overrides looks for the locked images in every values file that a deployment
// of the environment may be given, besides the sites: what stands there has
// the last word.
func (v *verification) overrides(r *Repo, s subject, conf config.Environment) error {
	if err := v.loadValues(r); err != nil {
		return err
	}
	var all [][]string
	for _, image := range s.entry.Images {
		paths := v.imagePaths(s, conf, image.Role)
		all = append(all, paths...)
		for _, keys := range paths {
			for _, f := range v.values {
				if !f.For(s.full, v.o.AnyStage) || !v.reaches(r, s, f) {
					continue
				}
				v.override(r, s, f, keys, image)
			}
		}
	}
	for _, at := range s.sites {
		v.read(s, at, all)
	}
	for _, text := range v.passed {
		v.note(s, "values files that may name another image were not all read: %s", text)
	}
	return nil
}

// loadValues reads the values files that name an image at all, once.
func (v *verification) loadValues(r *Repo) error {
	if v.loaded {
		return nil
	}
	v.loaded = true
	names, left, err := r.root.Files(maxFiles)
	if err != nil {
		return err
	}
	for _, l := range left {
		if strings.Contains(l, "and all after it") || strings.HasSuffix(l, "permission denied") {
			v.passed = append(v.passed, l)
		}
	}
	read := 0
	for _, f := range r.conf.ValuesFiles(filepath.Base(r.root.Dir()), names) {
		doc, err := r.root.Read(f.File, config.MaxValues)
		if err != nil {
			v.passed = append(v.passed, err.Error())
			continue
		}
		if read += len(doc); read > config.MaxAllValues {
			v.passed = append(v.passed, fmt.Sprintf("%q and all after it: more than %d MiB", f.File, config.MaxAllValues>>20))
			return nil
		}
		if bytes.Contains(doc, []byte("image")) {
			v.values = append(v.values, &valuesFile{ValuesFile: f, doc: doc})
		}
	}
	return nil
}

// reaches reports whether a file that lies in a chart is one of this
// environment's: a file that is clearly for its hub is, wherever it lies.
func (v *verification) reaches(r *Repo, s subject, f *valuesFile) bool {
	if f.Hub != "" || f.Chart == "" || slices.Contains(s.dirs, f.Chart) {
		return true
	}
	if f.Chart != "." {
		return false // another release's chart
	}
	for _, e := range r.conf.Environments {
		if slices.Contains(chartDirs(e.Wrapper, r.Sites(e.Key)), f.Chart) {
			return false
		}
	}
	return true
}

// imagePaths are where values name the image of a role.
func (v *verification) imagePaths(s subject, conf config.Environment, role ref.Role) [][]string {
	keys := []string{"image"}
	if role != "main" {
		keys = append(strings.Split(string(role), "."), "image")
	}
	inner := [][]string{keys}
	if role == "hub" && s.entry.Chart.Name != "jupyterhub" {
		inner = append(inner, append([]string{"jupyterhub"}, keys...))
	}
	prefixes := v.valueKeys(s)
	if len(prefixes) == 0 && (conf.Prefix != "" || conf.Wrapper != "") {
		prefixes = []string{cmp.Or(conf.Prefix, s.entry.Chart.Name)}
	}
	if len(prefixes) == 0 {
		return inner
	}
	var out [][]string
	for _, p := range prefixes {
		for _, keys := range inner {
			out = append(out, append([]string{p}, keys...))
		}
	}
	return out
}

// valueKeys are the keys under which the charts around the locked one hand
// values down to it.
func (v *verification) valueKeys(s subject) []string {
	var out []string
	for _, dir := range s.dirs {
		for _, name := range []string{"Chart.yaml", "requirements.yaml"} {
			list := v.dependencies(s, path.Join(dir, name))
			if list == nil {
				continue
			}
			for _, item := range list.Content {
				if name := below(item, "name"); name == nil || name.Value != s.entry.Chart.Name {
					continue
				}
				key := s.entry.Chart.Name
				if alias := below(item, "alias"); alias != nil && alias.Value != "" {
					key = alias.Value
				}
				if !slices.Contains(out, key) {
					out = append(out, key)
				}
			}
		}
	}
	return out
}

// override compares what one file says of one image.
func (v *verification) override(r *Repo, s subject, f *valuesFile, keys []string, image lockfile.Image) {
	for _, key := range keys {
		if !bytes.Contains(f.doc, []byte(key)) {
			return
		}
	}
	at := site.JoinPath(keys, nil)
	if claimed(r, s, f, at) {
		return
	}
	docs, err := v.tree(f.File, f.doc)
	if err != nil {
		v.note(s, "%s could not be searched for another %s: %v", f.File, at, err)
		return
	}
	if len(docs) == 0 {
		return
	}
	for _, node := range valuesAt(docs[0], keys, 0) {
		if !v.marked(s, f.File, node) {
			v.overridden(s, f.File, at, node, image)
		}
	}
}

// claimed reports whether a place is a site, and so compared as one. One of
// another environment is that one's, unless the file is this one's for sure.
func claimed(r *Repo, s subject, f *valuesFile, at string) bool {
	is := func(p site.Site) bool { return p.File == f.File && p.Path == at && p.Kind != site.Marker }
	if slices.ContainsFunc(s.sites, is) {
		return true
	}
	sure := f.Hub != "" || path.Base(f.File) == "values.yaml" && slices.Contains(s.dirs, path.Dir(f.File))
	for key := range r.conf.Environments {
		if !sure && slices.ContainsFunc(r.Sites(key), is) {
			return true
		}
	}
	return false
}

// marked reports whether a comment makes a line of a mapping a site.
func (v *verification) marked(s subject, file string, n *yaml.Node) bool {
	for _, p := range s.sites {
		if p.Kind != site.Marker || p.File != file {
			continue
		}
		is, err := v.files.Value(p)
		if err == nil && slices.ContainsFunc(n.Content, func(c *yaml.Node) bool { return c.Line == is.Line }) {
			return true
		}
	}
	return false
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
		for _, node := range valuesAt(doc, keys, 0) {
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
	name, repository := below(n, "name"), below(n, "repository")
	if name == nil || repository == nil || name.Value == repository.Value || name.Value == "" || repository.Value == "" {
		return
	}
	want, _ := lockedImage(s, at.Role)
	v.add(s, Finding{Kind: DriftSite, Place: Place{at.File, name.Line}, Found: cutText(name.Value), Want: want.Repository.String(),
		Message: fmt.Sprintf("%s has the name %s and the repository %s: JupyterHub reads the name, other charts the repository", at.Path, quoted(name.Value), quoted(repository.Value)),
		Mend:    "keep the one that the chart reads, with " + want.Repository.String()})
}

// valuesAt is what stands under keys as a reader of YAML finds it, aliases and
// merge keys followed; each of several where a key is doubled.
func valuesAt(n *yaml.Node, keys []string, depth int) []*yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n == nil || len(keys) == 0 {
		return slices.DeleteFunc([]*yaml.Node{n}, func(n *yaml.Node) bool { return n == nil })
	}
	if n.Kind != yaml.MappingNode || depth > 100 {
		return nil
	}
	var own, merged []*yaml.Node
	found := false
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Tag == "!!merge":
			from := []*yaml.Node{value}
			if value.Kind == yaml.SequenceNode {
				from = value.Content
			}
			for _, m := range from {
				merged = append(merged, valuesAt(m, keys, depth+1)...)
			}
		case key.Value == keys[0]:
			found = true
			own = append(own, valuesAt(value, keys[1:], depth+1)...)
		}
	}
	if found {
		return own
	}
	return merged
}
