package verify

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"

	"chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/ref"
)

// said is what a mapping of values says of an image.
type said struct {
	line  int
	texts []string // "tag 2026.1", what differs from the locked image
	weak  bool     // a tag alone, without the locked digest
}

// saidBy compares a mapping with the locked image; what it leaves out stays as
// the other values files have it.
func saidBy(n *yaml.Node, is lockfile.Image) said {
	var out said
	get := func(key string) (string, *yaml.Node) {
		all := valuesAt(n, key)
		if len(all) == 0 {
			return "", nil
		}
		last := all[len(all)-1]
		if last.Tag == "!!null" {
			return "", last
		}
		return last.Value, last
	}
	differs := func(key, value string, at *yaml.Node) {
		if out.line == 0 || at.Line < out.line {
			out.line = at.Line
		}
		out.texts = append(out.texts, strings.TrimSpace(key+" "+quoted(value)))
	}
	host, hostNode := get("registry")
	named := false
	for _, key := range []string{"name", "repository"} {
		value, node := get(key)
		if node == nil {
			continue
		}
		named = true
		if !sameImage(host, value, is.Repository) {
			differs(key, value, node)
		}
	}
	if hostNode != nil && !named && host != is.Repository.Host() {
		differs("registry", host, hostNode)
	}
	text, tag := get("tag")
	digest, digestNode := get("digest")
	text, inTag, _ := strings.Cut(text, "@")
	if digest == "" {
		digest = inTag
	}
	switch {
	case tag != nil && text != is.Tag && is.Tag != "":
		differs("tag", text, tag)
	case digest != "" && digest != is.Digest.String() && digestNode != nil:
		differs("digest", digest, digestNode)
	case digest != "" && digest != is.Digest.String():
		differs("tag", text+"@"+digest, tag)
	case digest == "" && tag != nil:
		out.weak = len(out.texts) == 0
		differs("tag", text, tag)
	case digest == "" && digestNode != nil:
		differs("digest", digest, digestNode)
	}
	return out
}

func quoted(s string) string {
	if s == "" || strings.ContainsAny(s, " \t\r\n{}\"'") {
		return fmt.Sprintf("%q", shortened(s))
	}
	return shortened(s)
}

func sameImage(host, name string, is ref.Repository) bool {
	if host != "" {
		name = host + "/" + name
	}
	r, err := ref.ParseRepository(name)
	return err == nil && r == is
}

// overridden tells of values beside the sites that are not the locked image.
func (v *verification) overridden(s subject, file, at string, n *yaml.Node, is lockfile.Image) {
	locked := fmt.Sprintf("%s:%s@%s", is.Repository, bare(is.Tag), brief(is.Digest))
	want := s.image(is.Role)
	f := Finding{Kind: DriftOverride, Place: Place{file, n.Line}, Want: want.String(),
		Mend: fmt.Sprintf("remove it, or name it as a site of the role %s in %s, so that it moves with the others", is.Role, config.Name)}
	why := "it is no site, and a deployment that is given this file does not run the locked image"
	switch n.Kind {
	case yaml.ScalarNode:
		r, err := ref.ParseReference(n.Value)
		if err == nil && r.Repository == is.Repository && r.Digest == is.Digest && (r.Tag == is.Tag || r.Tag == "") {
			return
		}
		f.Found = quoted(n.Value)
		if n.Tag == "!!null" {
			f.Found = "null"
		}
	case yaml.MappingNode:
		is := saidBy(n, is)
		if len(is.texts) == 0 {
			return
		}
		f.Line, f.Found = is.line, strings.Join(is.texts, ", ")
		if is.weak {
			why = "it is no site, and the tag alone does not say which image runs"
		}
	default:
		f.Found = "a list"
	}
	f.Message = fmt.Sprintf("%s says %s, locked is %s: %s", at, f.Found, locked, why)
	v.add(s, f)
}
