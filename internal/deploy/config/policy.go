package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"chartd.dev/chartd/internal/advice"

	"go.yaml.in/yaml/v4"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/yamledit"
)

// MaxPolicy bounds a file that holds one policy, in bytes.
const MaxPolicy = 64 << 10

// ParsePolicy reads a file that holds one policy, as strictly as the policies
// in .chartctl.yaml: a key that nobody reads would be a rule that nobody keeps.
// A *SyntaxError has the line.
func ParsePolicy(data []byte) (api.Policy, error) {
	if len(data) > MaxPolicy {
		return api.Policy{}, &SyntaxError{1, fmt.Sprintf("it has %d bytes, and %d are the most", len(data), MaxPolicy)}
	}
	y, err := yamledit.Parse(data, yamledit.Limits{Depth: 32})
	if err != nil {
		return api.Policy{}, &SyntaxError{1, err.Error()}
	}
	docs := y.Documents()
	switch {
	case len(docs) > 1:
		return api.Policy{}, &SyntaxError{1, "there is a second document in it"}
	case len(docs) == 0 || docs[0] == nil || docs[0].Tag == "!!null":
		return api.Policy{}, &SyntaxError{1, "it is empty: for the defaults write {}"}
	}
	p := &parser{}
	out := p.policy(docs[0], "policy")
	if p.err != nil {
		return api.Policy{}, p.err
	}
	return out, nil
}

// Policy is what the file asks for in an environment: the policy of that one,
// else of its stage.
func (c Config) Policy(env ref.Env) (api.Policy, bool) {
	if p, ok := c.Policies[env.String()]; ok {
		return p, true
	}
	p, ok := c.Policies[env.Stage()]
	return p, ok
}

// policies is read after the environments: a policy of none of them is a
// mistake.
func (p *parser) policies(f pair, c *Config) {
	c.Policies = map[string]api.Policy{}
	envs := c.Envs()
	for _, one := range p.mapping(f.value, "policies") {
		key := one.key.Value
		full := key
		if !strings.Contains(key, "/") {
			full = "x/" + key
		}
		_, err := ref.ParseEnv(full)
		switch {
		case err != nil:
			p.fail(one.key, "policies: %q is neither a stage nor HUB/STAGE, in lower-case letters, digits and dashes", key)
		case !slices.ContainsFunc(envs, func(e ref.Env) bool { return e.Stage() == key || e.String() == key }):
			p.fail(one.key, "policies: %q is no environment of this file, and no stage of one", key)
		}
		c.Policies[key] = p.policy(one.value, "policy of "+key)
	}
	if len(c.Policies) == 0 {
		p.fail(f.value, "policies: none is given; remove the field, or write a stage and what it asks for")
	}
}

func (p *parser) policy(n *yaml.Node, what string) api.Policy {
	var out api.Policy
	if n.Tag == "!!null" {
		p.fail(n, "%s: it is empty: for the defaults write {}", what)
	}
	for _, f := range p.mapping(n, what) {
		switch f.key.Value {
		case "accept":
			out.Accept = p.accept(f)
		case "upstream":
			out.Upstream = p.upstream(f)
		case "soak":
			out.Soak = p.duration(f)
		case "approvals":
			count, err := strconv.Atoi(p.text(f))
			if err != nil || count < 0 {
				p.fail(f.value, "approvals %q is no number such as 1", f.value.Value)
			}
			out.Approvals = count
		case "freeze":
			out.Freeze = p.freezes(f)
		case "halt":
			out.Halt = oneOf(p, f, model.Scopes())
		case "deadline":
			out.Deadline = p.duration(f)
		case "overdue":
			out.Overdue = oneOf(p, f, model.Overdues())
		case "seal":
			out.Seal = oneOf(p, f, model.Seals())
		default:
			p.fail(f.key, "%s: unknown field %q; want accept, upstream, soak, approvals, freeze, halt, deadline, overdue, seal", what, f.key.Value)
		}
	}
	return out
}

func (p *parser) accept(f pair) []model.Evidence {
	var out []model.Evidence
	for i := range p.texts(f) {
		out = append(out, oneOf(p, pair{f.key, f.value.Content[i]}, model.ImageEvidence()))
	}
	return out
}

func (p *parser) upstream(f pair) []string {
	out := p.texts(f)
	for i, s := range out {
		if !strings.Contains(s, "/") {
			s = "x/" + s
		}
		if _, err := ref.ParseEnv(s); err != nil {
			p.fail(f.value.Content[i], "upstream %q is neither a stage nor HUB/STAGE", out[i])
		}
	}
	return out
}

func (p *parser) freezes(f pair) []api.Freeze {
	if f.value.Kind != yaml.SequenceNode {
		p.fail(f.value, "freeze: want a list of windows, each {cron: …, zone: …, for: …}")
		return nil
	}
	var out []api.Freeze
	for _, n := range f.value.Content {
		out = append(out, p.freeze(n))
	}
	return out
}

func (p *parser) freeze(n *yaml.Node) api.Freeze {
	var out api.Freeze
	for _, f := range p.mapping(n, "freeze") {
		switch f.key.Value {
		case "cron":
			out.Cron = p.text(f)
		case "zone":
			out.Zone = p.text(f)
		case "for":
			out.For = p.duration(f)
		case "reason":
			out.Reason = p.text(f)
		default:
			p.fail(f.key, "freeze: unknown field %q; want cron, zone, for, reason", f.key.Value)
		}
	}
	for _, missing := range []struct{ key, value string }{{"cron", out.Cron}, {"zone", out.Zone}, {"for", out.For}} {
		if missing.value == "" {
			p.fail(n, "freeze: %s is missing", missing.key)
		}
	}
	return out
}

// duration checks a duration and leaves it as it is written.
func (p *parser) duration(f pair) string {
	s := p.text(f)
	if d, err := time.ParseDuration(s); err != nil || d < 0 {
		p.fail(f.value, "%s %q is no duration: write it as 24h, 90m or 1h30m", f.key.Value, s)
	}
	return s
}

func oneOf[T ~string](p *parser, f pair, known []T) T {
	s := T(p.text(f))
	if !slices.Contains(known, s) {
		p.fail(f.value, "%s %q is not known; want %s", f.key.Value, s, model.Join(known, ", "))
	}
	return s
}

// printPolicies is empty where the file sets none.
func (c Config) printPolicies() string {
	if len(c.Policies) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\npolicies: # by stage or HUB/STAGE; applied by " + string(advice.EnvSetFromRepo) + "\n")
	for _, key := range slices.Sorted(maps.Keys(c.Policies)) {
		lines := policyLines(c.Policies[key])
		if len(lines) == 0 {
			fmt.Fprintf(&b, "  %s: {}\n", quote(key, false))
			continue
		}
		fmt.Fprintf(&b, "  %s:\n", quote(key, false))
		for _, line := range lines {
			b.WriteString("    " + line + "\n")
		}
	}
	return b.String()
}

func policyLines(p api.Policy) []string {
	var out []string
	list := func(key string, values []string) {
		quoted := make([]string, len(values))
		for i, v := range values {
			quoted[i] = quote(v, true)
		}
		if len(values) > 0 {
			out = append(out, key+": ["+strings.Join(quoted, ", ")+"]")
		}
	}
	one := func(key, value string) {
		if value != "" {
			out = append(out, key+": "+quote(value, false))
		}
	}
	list("accept", model.Texts(p.Accept))
	list("upstream", p.Upstream)
	one("soak", p.Soak)
	if p.Approvals > 0 {
		out = append(out, "approvals: "+strconv.Itoa(p.Approvals))
	}
	if len(p.Freeze) > 0 {
		out = append(out, "freeze:")
	}
	for _, f := range p.Freeze {
		reason := ""
		if f.Reason != "" {
			reason = ", reason: " + quote(f.Reason, true)
		}
		out = append(out, fmt.Sprintf("  - {cron: %s, zone: %s, for: %s%s}", quote(f.Cron, true), quote(f.Zone, true), quote(f.For, true), reason))
	}
	one("halt", string(p.Halt))
	one("deadline", p.Deadline)
	one("overdue", string(p.Overdue))
	if p.Seal != model.SealGuarded { // which is what an old server has, too
		one("seal", string(p.Seal))
	}
	return out
}
