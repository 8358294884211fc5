package config

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/ref"
	"go.yaml.in/yaml/v4"
)

func (p *parser) sets(f pair, c *Config) {
	for _, set := range p.mapping(f.value, "sites") {
		name := set.key.Value
		if !goodName(name) {
			p.fail(set.key, "sites: %q: a set is named by letters, digits, dots, dashes and underscores", name)
		}
		if set.value.Kind != yaml.SequenceNode || len(set.value.Content) == 0 {
			p.fail(set.value, "sites: %s: want a list of at least one site", name)
			continue
		}
		for _, n := range set.value.Content {
			s := p.site(n)
			if slices.ContainsFunc(c.Sites[name], s.Same) {
				p.fail(n, "sites: %s: the same place is given twice", name)
			}
			c.Sites[name] = append(c.Sites[name], s)
		}
		p.setLines[name] = set.key.Line
	}
}

func goodName(s string) bool {
	_, err := ref.ParseRole(strings.ReplaceAll(s, "/", "."))
	return err == nil
}

func (p *parser) site(n *yaml.Node) site.Site {
	var s site.Site
	for _, f := range p.mapping(n, "site") {
		switch f.key.Value {
		case "kind":
			s.Kind = site.Kind(p.text(f))
		case "file":
			s.File = p.text(f)
			if why := badPath(s.File); why != "" {
				p.fail(f.value, "file %q %s", s.File, why)
			}
		case "role":
			role, err := ref.ParseRole(p.text(f))
			if err != nil {
				p.fail(f.value, "%v", err)
			}
			s.Role = role
		case "name":
			s.Name = p.text(f)
		case "path":
			s.Path = p.text(f)
		case "repository":
			s.Repository = p.text(f)
			if r, err := ref.ParseReference(s.Repository); err != nil || r.Tag != "" || !r.Digest.IsZero() {
				p.fail(f.value, "repository %q is no image repository without a tag, such as quay.io/jupyterhub/k8s-hub", s.Repository)
			}
		case "count":
			count, err := strconv.Atoi(p.text(f))
			if err != nil || count < 1 || count > 1000 {
				p.fail(f.value, "count %q is no number from 1 to 1000", f.value.Value)
			}
			s.Count = count
		default:
			p.fail(f.key, "unknown field %q; want kind, file, name, path, repository, role, count", f.key.Value)
		}
	}
	if err := s.Validate(); err != nil {
		p.fail(n, "%v", err)
	}
	return s
}

// badPath says why a path is none in the repo.
func badPath(s string) string {
	switch {
	case s == "" || len(s) > 1024:
		return "is empty or longer than 1024 bytes"
	case path.IsAbs(s) || strings.Contains(s, "\\") || len(s) > 1 && s[1] == ':':
		return "is not relative to the repo, with slashes"
	case path.Clean(s) != s || s == "." || s == ".." || strings.HasPrefix(s, "../"):
		return "is not a plain path in the repo: no . and no .. in it"
	case s == ".git" || strings.HasPrefix(strings.ToLower(s), ".git/"):
		return "belongs to git"
	case strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0:
		return "has a control character in it"
	}
	return ""
}
