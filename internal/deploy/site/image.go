package site

import (
	"strings"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/yamledit"
	"go.yaml.in/yaml/v4"
)

// images finds image and image-ref sites.
func (s Site) images(one *file) ([]place, error) {
	pattern, err := SplitPath(s.Path)
	if err != nil {
		return nil, s.fail(0, ErrForm, "%v", err)
	}
	y, err := s.parse(one)
	if err != nil {
		return nil, err
	}
	var out []place
	var other place // the last one with another repository
	for d, root := range y.Documents() {
		for _, path := range expand(root, pattern, nil) {
			p, err := s.image(one, d, path)
			if err != nil {
				if hasStar(pattern) && !s.mentioned(nodeAt(y, d, path)) {
					continue // another item, of another repository
				}
				return nil, err
			}
			if s.Repository != "" && !sameRepository(s.Repository, p.value.Repository) {
				other = p
				continue
			}
			out = append(out, p)
		}
	}
	if len(out) == 0 && other.value.Line > 0 && !hasStar(pattern) {
		return nil, s.fail(other.value.Line, ErrMissing, "%s names the repository %q, and the site is for %q", s.Path, other.value.Repository, s.Repository)
	}
	return out, nil
}

// mentioned reports whether a node that could not be read has to do with the
// repository that is looked for.
func (s Site) mentioned(n *yaml.Node) bool {
	if n == nil {
		return false
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, barePath(s.Repository)) {
		return true
	}
	for _, c := range n.Content {
		if c.Kind == yaml.ScalarNode && strings.Contains(c.Value, barePath(s.Repository)) {
			return true
		}
	}
	return false
}

func (s Site) image(one *file, d int, path []string) (place, error) {
	if s.Kind == ImageRef {
		return s.imageRef(one, d, path)
	}
	p := place{document: d, path: path, keys: map[string]yamledit.Scalar{}}
	n := nodeAt(one.yaml, d, path)
	if n != nil && n.Kind == yaml.ScalarNode {
		return p, s.fail(n.Line, ErrForm, "%s is one value; a site of the kind image wants a mapping with name or repository, and tag (else use image-ref)", joinPath(path))
	}
	for _, key := range []string{"tag", "name", "repository", "registry", "digest"} {
		at := append(append([]string(nil), path...), key)
		if key != "tag" && nodeAt(one.yaml, d, at) == nil && !(n != nil && merges(n)) {
			continue
		}
		v, err := s.find(one, d, at...)
		if err != nil {
			if key != "tag" && strings.Contains(err.Error(), yamledit.ErrMissing.Error()) {
				continue
			}
			return p, err
		}
		p.keys[key] = v
	}
	name := p.keys["repository"].Value
	if name == "" {
		name = p.keys["name"].Value
	}
	tag := p.keys["tag"]
	if name == "" {
		return p, s.fail(tag.Line, ErrForm, "%s has a tag and neither name nor repository: write the repository as well, so that nobody has to guess it", joinPath(path))
	}
	if host := p.keys["registry"].Value; host != "" {
		name = host + "/" + name
	}
	text, digest, _ := strings.Cut(tag.Value, "@")
	if d := p.keys["digest"].Value; d != "" {
		digest = d
	}
	p.value = Value{Line: tag.Line, Start: tag.Start, End: tag.End, Repository: name, Tag: text}
	return p, s.reference(&p.value, digest)
}

func (s Site) imageRef(one *file, d int, path []string) (place, error) {
	p := place{document: d, path: path}
	v, err := s.find(one, d, path...)
	if err != nil {
		return p, err
	}
	p.keys = map[string]yamledit.Scalar{"": v}
	name, digest, _ := strings.Cut(v.Value, "@")
	tag := ""
	if i := strings.LastIndexByte(name, ':'); i >= 0 && !strings.Contains(name[i:], "/") {
		name, tag = name[:i], name[i+1:]
	}
	p.value = Value{Line: v.Line, Start: v.Start, End: v.End, Repository: name, Tag: tag}
	return p, s.reference(&p.value, digest)
}

// reference checks a repository, tag and digest, and fills the text.
func (s Site) reference(v *Value, digest string) error {
	text := v.Repository
	if v.Tag != "" {
		text += ":" + v.Tag
	}
	if digest != "" {
		text += "@" + digest
	}
	v.Text = text
	r, err := ref.ParseReference(text)
	if err != nil {
		return s.fail(v.Line, ErrForm, "%v", err)
	}
	v.Digest = r.Digest
	return nil
}

// imageEdits is what brings an image mapping to want.
func (s Site) imageEdits(p place, want Named) ([]scalarEdit, error) {
	var out []scalarEdit
	add := func(key, value string) {
		if !holds(p.keys[key], value) {
			out = append(out, scalarEdit{key, value})
		}
	}
	if !sameRepository(want.Repository.String(), p.value.Repository) {
		if s.Repository != "" {
			return nil, s.otherRepository(p, want)
		}
		key := "repository"
		if p.keys[key].Value == "" {
			key = "name"
		}
		if p.keys["registry"].Value != "" {
			add("registry", want.Repository.Host())
			add(key, want.Repository.Path())
		} else {
			add(key, want.Repository.String())
		}
	}
	tag := want.Tag
	if tag == "" {
		tag = p.value.Tag
	}
	if p.keys["digest"].Value != "" && want.Digest.IsZero() {
		return nil, s.fail(p.value.Line, ErrForm, "names the digest %s, and the pair has no digest for %q", p.value.Digest, want.Repository)
	}
	if _, ok := p.keys["digest"]; ok && !want.Digest.IsZero() {
		add("tag", tag)
		add("digest", want.Digest.String())
		return out, nil
	}
	if !want.Digest.IsZero() {
		tag += "@" + want.Digest.String()
	}
	add("tag", tag)
	return out, nil
}

func (s Site) otherRepository(p place, want Named) error {
	return s.fail(p.value.Line, ErrForm, "the site is for images from %q, and the pair's image is %q: change repository of this site in .chartctl.yaml if that is meant", s.Repository, want.Repository)
}

// refEdits is what brings one scalar to want.
func (s Site) refEdits(p place, want Named) ([]scalarEdit, error) {
	name := p.value.Repository
	if !sameRepository(want.Repository.String(), name) {
		if s.Repository != "" {
			return nil, s.otherRepository(p, want)
		}
		name = want.Repository.String()
	}
	text := reference(name, want, p.value.Tag)
	if holds(p.keys[""], text) {
		return nil, nil
	}
	return []scalarEdit{{"", text}}, nil
}

// reference writes an image under a repository as it is spelled already.
func reference(name string, want Named, tag string) string {
	if want.Tag != "" {
		tag = want.Tag
	}
	if tag != "" {
		name += ":" + tag
	}
	if !want.Digest.IsZero() {
		name += "@" + want.Digest.String()
	}
	return name
}

// sameRepository compares two names of a repository as engines read them. A
// name that was given without a host is that path at any registry.
func sameRepository(given, found string) bool {
	r, err := ref.ParseRepository(found)
	if err != nil {
		return given == found
	}
	if g, err := ref.ParseRepository(given); err == nil && g == r {
		return true
	}
	return !hasHost(given) && barePath(given) == barePath(found)
}

func hasHost(name string) bool {
	host, _, ok := strings.Cut(name, "/")
	return ok && (strings.ContainsAny(host, ".:") || host == "localhost")
}

// barePath is a repository's name without its host.
func barePath(name string) string {
	if hasHost(name) {
		_, name, _ = strings.Cut(name, "/")
	}
	return strings.TrimPrefix(name, "library/")
}

// SamePath reports whether two repositories have one path, at any registry.
func SamePath(a, b string) bool { return barePath(a) == barePath(b) }

// Path is a repository's name without its registry.
func Path(repository string) string { return barePath(repository) }
