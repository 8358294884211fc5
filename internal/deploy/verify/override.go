package verify

import (
	"bytes"
	"cmp"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/yamledit"
)

// valuesFile is one that says something about images.
type valuesFile struct {
	config.ValuesFile
	doc []byte
}

// overrides looks for the locked images in every values file that a deployment
// of the environment may be given, besides the sites: what stands there has
// the last word.
func (v *verification) overrides(s subject) error {
	if err := v.loadValues(); err != nil {
		return err
	}
	var all [][]string
	for _, image := range s.entry.Images {
		paths := v.imagePaths(s, image.Role)
		all = append(all, paths...)
		for _, keys := range paths {
			for _, f := range v.values {
				if !f.For(s.full, v.o.AnyStage) || !v.reaches(s, f) {
					continue
				}
				v.override(s, f, keys, image)
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
func (v *verification) loadValues() error {
	if v.loaded {
		return nil
	}
	v.loaded = true
	names, left, err := v.repo.Root().Files(deploy.MaxFiles)
	if err != nil {
		return err
	}
	for _, l := range left {
		if strings.Contains(l, "and all after it") || strings.HasSuffix(l, "permission denied") {
			v.passed = append(v.passed, l)
		}
	}
	read := 0
	for _, f := range v.conf.ValuesFiles(filepath.Base(v.repo.Root().Dir()), names) {
		doc, err := v.repo.Root().Read(f.File, config.MaxValues)
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
func (v *verification) reaches(s subject, f *valuesFile) bool {
	if f.Hub != "" || f.Chart == "" || slices.Contains(s.dirs, f.Chart) {
		return true
	}
	if f.Chart != "." {
		return false // another release's chart
	}
	for _, e := range v.conf.Environments {
		if slices.Contains(chartDirs(e.Wrapper, v.repo.Sites(e.Key)), f.Chart) {
			return false
		}
	}
	return true
}

// imagePaths are where values name the image of a role.
func (v *verification) imagePaths(s subject, role ref.Role) [][]string {
	keys := []string{"image"}
	if role != "main" {
		keys = append(strings.Split(string(role), "."), "image")
	}
	inner := [][]string{keys}
	if role == "hub" && s.entry.Chart.Name != "jupyterhub" {
		inner = append(inner, append([]string{"jupyterhub"}, keys...))
	}
	prefixes := v.valueKeys(s)
	if len(prefixes) == 0 && (s.conf.Prefix != "" || s.conf.Wrapper != "") {
		prefixes = []string{cmp.Or(s.conf.Prefix, s.entry.Chart.Name)}
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
				if name := yamledit.Below(item, "name"); name == nil || name.Value != s.entry.Chart.Name {
					continue
				}
				key := s.entry.Chart.Name
				if alias := yamledit.Below(item, "alias"); alias != nil && alias.Value != "" {
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
func (v *verification) override(s subject, f *valuesFile, keys []string, image lockfile.Image) {
	if slices.ContainsFunc(keys, func(key string) bool { return !hasKey(f.doc, key) }) {
		return
	}
	at := site.JoinPath(keys, nil)
	if v.claimed(s, f, at) {
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
	for _, node := range valuesAt(docs[0], keys...) {
		if !v.marked(s, f.File, node) {
			v.overridden(s, f.File, at, node, image)
		}
	}
}

// hasKey reports whether a text may have a key in a mapping: most have not, and
// parsing takes much longer.
func hasKey(doc []byte, key string) bool {
	for {
		_, rest, found := bytes.Cut(doc, []byte(key))
		if !found {
			return false
		}
		if bytes.HasPrefix(bytes.TrimLeft(rest, "\"' \t\r\n"), []byte(":")) {
			return true
		}
		doc = rest
	}
}

// claimed reports whether a place is a site, and so compared as one. One of
// another environment is that one's, unless the file is this one's for sure.
func (v *verification) claimed(s subject, f *valuesFile, at string) bool {
	is := func(p site.Site) bool { return p.File == f.File && p.Path == at && p.Kind != site.Marker }
	if slices.ContainsFunc(s.sites, is) {
		return true
	}
	sure := f.Hub != "" || path.Base(f.File) == "values.yaml" && slices.Contains(s.dirs, path.Dir(f.File))
	for key := range v.conf.Environments {
		if !sure && slices.ContainsFunc(v.repo.Sites(key), is) {
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
