package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/yamledit"
	"go.yaml.in/yaml/v4"
)

// Parse reads .chartctl.yaml. It is strict: what it does not know, it refuses
// with the line.
func Parse(data []byte) (Config, error) {
	if len(data) > MaxSize {
		return Config{}, &SyntaxError{1, fmt.Sprintf("the file has %d bytes, and %d are the most", len(data), MaxSize)}
	}
	y, err := yamledit.Parse(data, yamledit.Limits{Depth: 32, Nodes: 1_000_000})
	if err != nil {
		return Config{}, &SyntaxError{1, err.Error()}
	}
	docs := y.Documents()
	if len(docs) != 1 || docs[0] == nil {
		return Config{}, &SyntaxError{1, "want one YAML document that starts with version: 1"}
	}
	p := &parser{}
	c := p.config(docs[0])
	if p.err != nil {
		return Config{}, p.err
	}
	return c, nil
}

// parser keeps the first error.
type parser struct {
	err *SyntaxError

	setLines map[string]int
}

func (p *parser) fail(n *yaml.Node, format string, a ...any) {
	if p.err == nil {
		p.err = &SyntaxError{n.Line, fmt.Sprintf(format, a...)}
	}
}

// pair is one key of a mapping.
type pair struct{ key, value *yaml.Node }

// mapping returns the pairs of a mapping, in order.
func (p *parser) mapping(n *yaml.Node, what string) []pair {
	if n.Kind != yaml.MappingNode {
		p.fail(n, "%s: want a mapping", what)
		return nil
	}
	var out []pair
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		switch {
		case k.Kind != yaml.ScalarNode || k.Anchor != "":
			p.fail(k, "%s: a key is no plain word; anchors and aliases are not taken here", what)
		case seen[k.Value]:
			p.fail(k, "%s: %q is given twice", what, k.Value)
		default:
			seen[k.Value] = true
			out = append(out, pair{k, n.Content[i+1]})
		}
	}
	return out
}

// text returns a scalar that stands for itself.
func (p *parser) text(f pair) string {
	n := f.value
	if n.Kind != yaml.ScalarNode || n.Anchor != "" || n.Tag == "!!null" {
		p.fail(n, "%s: want one value; anchors, aliases and lists are not taken here", f.key.Value)
		return ""
	}
	return n.Value
}

func (p *parser) texts(f pair) []string {
	if f.value.Kind != yaml.SequenceNode {
		p.fail(f.value, "%s: want a list such as [hub]", f.key.Value)
		return nil
	}
	var out []string
	for _, n := range f.value.Content {
		s := p.text(pair{f.key, n})
		if slices.Contains(out, s) {
			p.fail(n, "%s: %q is given twice", f.key.Value, s)
		}
		out = append(out, s)
	}
	return out
}

func (p *parser) config(n *yaml.Node) Config {
	c := Config{Flow: Pin, Sites: map[string][]site.Site{}, Environments: map[string]Environment{}}
	p.setLines = map[string]int{}
	version := false
	var envs, policies *pair
	for _, f := range p.mapping(n, Name) {
		switch f.key.Value {
		case "version":
			version = true
			if p.text(f) != "1" {
				p.fail(f.value, "version %q is not known to this chartctl; want 1", f.value.Value)
			}
		case "server":
			c.Server = p.server(f)
		case "flow":
			c.Flow = Flow(p.text(f))
			if c.Flow != Pin && c.Flow != Review {
				p.fail(f.value, "flow %q is neither pin nor review", c.Flow)
			}
		case "branches":
			c.Branches = p.branches(f)
		case "sites":
			p.sets(f, &c)
		case "environments":
			envs = &f
		case "policies":
			policies = &f
		default:
			p.fail(f.key, "unknown field %q; want version, server, flow, branches, sites, environments, policies", f.key.Value)
		}
	}
	switch {
	case p.err != nil:
	case !version:
		p.fail(n, "version is missing; want version: 1")
	case c.Server == "":
		p.fail(n, "server is missing; want server: and the address, such as https://charts.example.edu")
	case envs == nil:
		p.fail(n, "environments is missing")
	default:
		p.environments(*envs, &c)
		if policies != nil {
			p.policies(*policies, &c)
		}
	}
	return c
}

func (p *parser) server(f pair) string {
	s := p.text(f)
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		p.fail(f.value, "server %q is no address such as https://charts.example.edu", s)
	}
	return strings.TrimRight(s, "/")
}

func (p *parser) branches(f pair) map[string]string {
	out := map[string]string{}
	for _, b := range p.mapping(f.value, "branches") {
		stage := p.text(b)
		switch _, err := ref.ParseEnv("x/" + stage); {
		case !goodBranch(b.key.Value):
			p.fail(b.key, "branches: %q is no name of a branch", b.key.Value)
		case err != nil:
			p.fail(b.value, "branches: stage %q of branch %q: want lower-case letters, digits and dashes", stage, b.key.Value)
		}
		out[b.key.Value] = stage
	}
	if len(out) == 0 {
		p.fail(f.value, "branches: none is given; remove the field, or write branch: stage")
	}
	return out
}

// goodBranch takes what git takes for a branch, roughly, and no option.
func goodBranch(s string) bool {
	return s != "" && len(s) <= 250 && s[0] != '-' && !strings.HasSuffix(s, "/") && !strings.HasPrefix(s, "/") &&
		!strings.Contains(s, "..") && !strings.ContainsAny(s, " ~^:?*[\\\x7f") && strings.IndexFunc(s, func(r rune) bool { return r < ' ' }) < 0
}

func (p *parser) environments(f pair, c *Config) {
	used := map[string]bool{}
	for _, e := range p.mapping(f.value, "environments") {
		env := p.environment(e, c)
		for _, name := range env.Sites {
			used[name] = true
		}
		c.Environments[e.key.Value] = env
	}
	if len(c.Environments) == 0 {
		p.fail(f.value, "environments: none is given")
	}
	for name, line := range p.setLines {
		if !used[name] && (p.err == nil || p.err.Line > line) {
			p.err = &SyntaxError{line, fmt.Sprintf("sites: no environment uses the set %q; remove it, or name it under sites of an environment", name)}
		}
	}
}

func (p *parser) environment(e pair, c *Config) Environment {
	env, key := Environment{}, e.key.Value
	p.key(e.key, c.ByBranch())
	for _, f := range p.mapping(e.value, "environment "+key) {
		switch f.key.Value {
		case "chart":
			env.Chart = p.text(f)
			if _, err := ref.ParseImported(env.Chart, "1.0.0"); err != nil {
				p.fail(f.value, "%v", err)
			}
		case "sites":
			env.Sites = p.texts(f)
			for i, name := range env.Sites {
				if _, ok := c.Sites[name]; !ok && i < len(f.value.Content) {
					p.fail(f.value.Content[i], "environment %s: there is no set of sites named %q", key, name)
				}
			}
		case "wrapper":
			env.Wrapper = p.text(f)
			if why := badPath(env.Wrapper); why != "" && env.Wrapper != "." {
				p.fail(f.value, "wrapper %q %s", env.Wrapper, why)
			}
		case "prefix":
			env.Prefix = p.text(f)
			if _, err := ref.ParseImported(env.Prefix, "1.0.0"); err != nil {
				p.fail(f.value, "prefix %q is no name or alias of a dependency", env.Prefix)
			}
		case "kept":
			env.KeptBy = p.kept(f)
		default:
			p.fail(f.key, "unknown field %q; want chart, sites, wrapper, prefix, kept", f.key.Value)
		}
	}
	switch {
	case env.Chart == "":
		p.fail(e.key, "environment %s: chart is missing", key)
	case len(env.Sites) == 0 && env.KeptBy == "":
		p.fail(e.key, "environment %s: it has no sites; want sites: [NAME]", key)
	case env.Prefix != "" && env.Wrapper == "":
		p.fail(e.key, "environment %s: prefix says nothing without wrapper", key)
	}
	return env
}

// kept says where a half is that no site names.
func (p *parser) kept(f pair) string {
	where := ""
	for _, k := range p.mapping(f.value, "kept") {
		if where = p.text(k); k.key.Value != "chart" || where != HelmRepository {
			p.fail(k.key, "kept: %s: %q; want chart: %s", k.key.Value, where, HelmRepository)
		}
	}
	if where == "" {
		p.fail(f.value, "kept: want {chart: %s}", HelmRepository)
	}
	return where
}

// key checks the name of an environment.
func (p *parser) key(n *yaml.Node, byBranch bool) {
	text := n.Value
	if byBranch {
		text += "/x"
	}
	if _, err := ref.ParseEnv(text); err == nil {
		return
	}
	if byBranch {
		p.fail(n, "environment %q: with branches, the key is the hub alone, in lower-case letters, digits and dashes", n.Value)
		return
	}
	p.fail(n, "environment %q: want HUB/STAGE in lower-case letters, digits and dashes; a hub alone needs branches", n.Value)
}
