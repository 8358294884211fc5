package config

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/yamledit"
	"go.yaml.in/yaml/v4"
)

// findWrappers finds the charts of the repo that depend on others.
func (f *finder) findWrappers() {
	for _, name := range f.Files {
		base := path.Base(name)
		if base != "requirements.yaml" && base != "Chart.yaml" || f.passedOver(name) {
			continue
		}
		doc := f.get(name, maxYAML)
		y, err := yamledit.Parse(doc, yamledit.Limits{Depth: 100, Nodes: 50_000})
		if err != nil || doc == nil {
			continue // a template, or nothing Helm reads
		}
		for d, root := range y.Documents() {
			list := below(root, "dependencies")
			if list == nil {
				continue
			}
			if d > 0 {
				f.ignored(name, list.Line, "dependencies", d)
				continue
			}
			for _, item := range list.Content {
				f.wrapper(name, item)
			}
		}
	}
}

// exact is a version that is one, in any form that charts have had.
var exact = regexp.MustCompile(`^v?[0-9]+\.[0-9]+\.[0-9]+([-+].*)?$`)

// dropRanges leaves out charts that take the pinned one at a range of versions:
// a bump would have nothing to write in its place, and Helm takes any of them.
func (f *finder) dropRanges() {
	files := site.NewFiles(func(name string) ([]byte, error) { return f.Read(name, maxYAML) })
	f.wrappers = slices.DeleteFunc(f.wrappers, func(w wrapper) bool {
		if exact.MatchString(w.version) {
			return false
		}
		write := "write the version that runs"
		for _, name := range []string{"Chart.lock", "requirements.lock"} {
			at := site.Site{Kind: site.HelmLock, File: path.Join(w.dir, name), Name: w.chart}
			if v, err := files.Value(at); err == nil {
				write = fmt.Sprintf("%s has %s: write that", at.File, v.Version)
			}
		}
		f.leave(fmt.Sprintf("%s:%d", w.dependency.File, w.evidence.Line), "%q is a range of versions of %q, and a pin is of one; %s", w.version, w.chart, write)
		return true
	})
}

// dropDoubled leaves out a chart that depends on the pinned one twice: one pair
// cannot say two.
func (f *finder) dropDoubled() {
	first := map[string]wrapper{}
	twice := map[string]bool{}
	for _, w := range f.wrappers {
		was, ok := first[w.dir]
		if !ok {
			first[w.dir] = w
			continue
		}
		if !twice[w.dir] && was.prefix != w.prefix {
			f.leave(fmt.Sprintf("%s:%d", w.dependency.File, w.line), "the chart %q is a dependency twice, as %q and as %q, and one pair cannot say two", w.chart, was.prefix, w.prefix)
			twice[w.dir] = true
		}
	}
	f.wrappers = slices.DeleteFunc(f.wrappers, func(w wrapper) bool { return twice[w.dir] })
}

func (f *finder) wrapper(file string, item *yaml.Node) {
	chart, version, alias := below(item, "name"), below(item, "version"), below(item, "alias")
	if chart == nil || chart.Kind != yaml.ScalarNode || version == nil || version.Kind != yaml.ScalarNode {
		return
	}
	w := wrapper{dir: path.Dir(file), prefix: chart.Value, chart: chart.Value, line: item.Line, version: version.Value}
	if alias != nil && alias.Kind == yaml.ScalarNode && alias.Value != "" {
		w.prefix = alias.Value
	}
	w.dependency = site.Site{Kind: site.Dependency, File: file, Name: chart.Value}
	w.evidence = Evidence{file, version.Line, chart.Value + " " + version.Value, "the chart that " + path.Base(w.dir) + " wraps"}
	if w.dir == "." {
		w.evidence.Why = "the chart that the one at the top wraps"
	}
	f.wrappers = append(f.wrappers, w)
}

// texts are endings of files that a marker may stand in.
var texts = []string{".sh", ".bash", ".py", ".tf", ".hcl", ".json", ".toml", ".env", ".mk", ".cfg", ".ini", ".conf", ".jsonnet", ".nix", ".txt", ".envrc", ".properties"}

func isDockerfile(base string) bool {
	return base == "Dockerfile" || base == "Containerfile" || strings.HasPrefix(base, "Dockerfile.") ||
		strings.HasSuffix(strings.ToLower(base), ".dockerfile")
}

// lookAt finds the sites of one file.
func (f *finder) lookAt(name string) {
	base := path.Base(name)
	_, isYAML := yamlName(name)
	switch {
	case isDockerfile(base):
		if doc := f.get(name, maxText); doc != nil {
			f.froms(name, doc)
			f.marks(name, doc)
		}
	case isYAML:
		doc := f.get(name, maxYAML)
		if bytes.Contains(doc, []byte("image")) && !strings.HasPrefix(name, ".github/") {
			f.values(name, doc)
		}
		f.marks(name, doc)
	case base == "Makefile" || base == "Jenkinsfile" || base == "justfile" || slices.Contains(texts, path.Ext(base)) || path.Ext(base) == "":
		if doc := f.get(name, maxText); doc != nil {
			f.marks(name, doc)
		}
	}
}

// froms takes the FROMs that name the chart's own image.
func (f *finder) froms(name string, doc []byte) {
	for _, v := range site.FromImages(doc) {
		for role, own := range f.images {
			if own == "" {
				own = "jupyterhub/k8s-" + string(role)
			}
			if !site.SamePath(own, v.Repository) {
				continue
			}
			f.take(site.Site{Kind: site.From, File: name, Repository: site.Path(v.Repository), Role: role}, v.Line, v.Text,
				"an image built on the chart's own image for "+strconv.Quote(string(role)))
		}
	}
}

func (f *finder) marks(name string, doc []byte) {
	if !bytes.Contains(doc, []byte("chartctl:")) {
		return
	}
	for _, m := range site.Marks(doc) {
		f.take(site.Site{Kind: site.Marker, File: name, Path: m.Key, Name: m.Label}, m.Line, m.Key, "a line that a comment marks")
	}
}

// take proposes a site; a second one at the same place counts.
func (f *finder) take(s site.Site, line int, text, why string) {
	at := f.layout.scopeOf(s.File)
	key := s
	key.Role = ""
	if i, ok := f.index[key]; ok {
		p := &f.places[i]
		p.site.Count = max(p.site.Count, 1) + 1
		f.evidence(s.File, line, text, why+", once more")
		return
	}
	if len(f.places) >= maxSites {
		if !f.full {
			f.note("stopped looking at %q: %d places are found so far", s.File, maxSites)
		}
		f.full = true
		return
	}
	f.index[key] = len(f.places)
	f.places = append(f.places, placed{s, at})
	f.evidence(s.File, line, text, why)
}

// image is what a values file says of an image.
type image struct {
	kind       site.Kind
	keys       []string
	items      []bool // which keys are numbers of items
	repository string
	text       string
	line       int
}

// values takes the images of a values file that belong to a pair: those of
// the chart's roles, and the ones that users get.
func (f *finder) values(name string, doc []byte) {
	y, err := yamledit.Parse(doc, yamledit.Limits{Depth: 100, Nodes: 200_000})
	if err != nil {
		if !bytes.Contains(doc, []byte("{{")) {
			f.pass(name, "%v", err)
		}
		return
	}
	var all []image
	for d, root := range y.Documents() {
		for _, i := range appendImages(nil, root, nil, nil) {
			if d > 0 && f.inValues(name, i.keys) {
				f.ignored(name, i.line, site.JoinPath(i.keys, nil), d)
				continue
			}
			all = append(all, i)
		}
	}
	for _, i := range all {
		if role, ok := f.roleOf(i.keys); ok {
			s := site.Site{Kind: i.kind, File: name, Path: site.JoinPath(i.keys, nil), Role: role}
			f.take(s, i.line, i.text, "the image for "+strconv.Quote(string(role)))
			continue
		}
		if isUsers(name, i.keys) {
			f.user(name, i)
		}
	}
}

// ignored tells of a place that Helm does not read, so that editing it would
// change nothing.
func (f *finder) ignored(name string, line int, what string, document int) {
	f.leave(fmt.Sprintf("%s in %s:%d", what, name, line), "it stands in YAML document %d, and Helm reads only the first; make the file one document", document+1)
}

// inValues reports whether Helm looks for an image at this path of a values
// file. One further down may be in the values of another tool's object.
func (f *finder) inValues(name string, keys []string) bool {
	if path.Base(name) == "hubploy.yaml" || len(keys) == 0 {
		return false
	}
	if len(f.wrappers) > 0 {
		if !slices.ContainsFunc(f.wrappers, func(w wrapper) bool { return w.prefix == keys[0] }) {
			return false
		}
		keys = keys[1:]
	}
	if len(keys) > 2 && keys[0] == "jupyterhub" {
		keys = keys[1:]
	}
	at := strings.Join(keys, ".")
	for role := range f.images {
		if at == strings.TrimPrefix(string(role)+".image", "main.") {
			return true
		}
	}
	return strings.HasPrefix(at, "singleuser.") && isUsers(name, keys)
}

// user takes an image that users get. The first one of a hub is "singleuser",
// others are named after their repository.
func (f *finder) user(name string, i image) {
	at := f.layout.scopeOf(name)
	role := ref.Role("singleuser")
	if len(f.users[at.hub]) > 0 {
		role = ref.Role("singleuser." + setName(path.Base(i.repository)))
	}
	for _, n := range f.users[at.hub] {
		if f.places[n].site.Repository == i.repository {
			role = f.places[n].site.Role
		}
	}
	before := len(f.places)
	s := site.Site{Kind: i.kind, File: name, Path: site.JoinPath(i.keys, func(n int) bool { return i.items[n] }), Repository: i.repository, Role: role}
	f.take(s, i.line, i.text, "an image that users get; pinned where a pair names "+strconv.Quote(string(role)))
	if len(f.places) > before {
		f.users[at.hub] = append(f.users[at.hub], before)
	}
}

// roleOf is the chart's role of an image at a path of the values.
func (f *finder) roleOf(keys []string) (ref.Role, bool) {
	inner := keys
	if len(f.wrappers) > 0 {
		if len(keys) < 2 || !slices.ContainsFunc(f.wrappers, func(w wrapper) bool { return w.prefix == keys[0] }) {
			return "", false
		}
		inner = keys[1:]
	}
	for role := range f.images {
		want := []string{"image"}
		if role != "main" {
			want = append(strings.Split(string(role), "."), "image")
		}
		if slices.Equal(inner, want) || role == "hub" && len(inner) > 2 && slices.Equal(inner[len(inner)-2:], want) {
			return role, true
		}
	}
	return "", false
}

// isUsers: hubploy's list of images, and what the hub starts for a user.
func isUsers(file string, keys []string) bool {
	n := len(keys)
	if path.Base(file) == "hubploy.yaml" {
		return slices.Equal(keys, []string{"images", "image_name"}) ||
			n == 4 && keys[0] == "images" && keys[1] == "images" && keys[3] == "name"
	}
	return n >= 2 && keys[n-1] == "image" && (keys[n-2] == "kubespawner_override" || keys[n-2] == "singleuser")
}

// appendImages walks down to what may be an image. Aliases are not followed:
// what they share cannot be a site.
func appendImages(out []image, n *yaml.Node, keys []string, items []bool) []image {
	if n == nil {
		return out
	}
	down := func(c *yaml.Node, key string, item bool) {
		out = appendImages(out, c, append(slices.Clip(keys), key), append(slices.Clip(items), item))
	}
	switch n.Kind {
	case yaml.SequenceNode:
		for i, c := range n.Content {
			down(c, strconv.Itoa(i), true)
		}
	case yaml.MappingNode:
		if i, ok := imageMap(n); ok {
			i.keys, i.items = keys, items
			return append(out, i)
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			down(n.Content[i+1], n.Content[i].Value, false)
		}
	case yaml.ScalarNode:
		if len(keys) == 0 {
			return out
		}
		switch keys[len(keys)-1] {
		case "image", "image_name", "name":
			r, err := ref.ParseReference(n.Value)
			if err == nil && (r.Tag != "" || !r.Digest.IsZero()) {
				name, _, _ := strings.Cut(n.Value, "@")
				out = append(out, image{site.ImageRef, keys, items, strings.TrimSuffix(name, ":"+r.Tag), n.Value, n.Line})
			}
		}
	}
	return out
}

func imageMap(n *yaml.Node) (image, bool) {
	tag, name := below(n, "tag"), below(n, "repository")
	if name == nil || name.Value == "" {
		name = below(n, "name")
	}
	if tag == nil || tag.Kind != yaml.ScalarNode || name == nil || name.Kind != yaml.ScalarNode {
		return image{}, false
	}
	repository := name.Value
	if host := below(n, "registry"); host != nil && host.Value != "" {
		repository = host.Value + "/" + repository
	}
	if _, err := ref.ParseRepository(repository); err != nil {
		return image{}, false
	}
	return image{kind: site.Image, repository: repository, text: repository + ":" + tag.Value, line: tag.Line}, true
}
