package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"chartd.dev/chartd/internal/advice"

	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/yamledit"
)

var head = `# Which environments this repo deploys, and where their charts and images are
# written. Made by ` + string(advice.Init) + `; yours to edit. Check with: ` + string(advice.VerifyOffline) + "\n"

// Bytes prints the file in its canonical form.
func (c Config) Bytes() []byte {
	var b strings.Builder
	b.WriteString(head + "version: 1\nserver: " + quote(c.Server, false) + "\n")
	b.WriteString("flow: " + string(c.Flow) + "\n")
	if c.ByBranch() {
		b.WriteString("\nbranches: # branch: stage\n")
		for _, name := range slices.Sorted(maps.Keys(c.Branches)) {
			fmt.Fprintf(&b, "  %s: %s\n", quote(name, false), quote(c.Branches[name], false))
		}
	}
	if len(c.Sites) > 0 {
		b.WriteString("\nsites: # places that move together\n")
		for _, name := range slices.Sorted(maps.Keys(c.Sites)) {
			fmt.Fprintf(&b, "  %s:\n", quote(name, false))
			for _, s := range c.Sites[name] {
				b.WriteString("    - " + printSite(s) + "\n")
			}
		}
	}
	b.WriteString("\nenvironments:\n")
	for _, key := range c.Keys() {
		b.WriteString(printEnvironment(key, c.Environments[key]))
	}
	b.WriteString(c.printPolicies())
	return []byte(b.String())
}

func printEnvironment(key string, e Environment) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  %s:\n    chart: %s\n", quote(key, false), quote(e.Chart, false))
	names := make([]string, len(e.Sites))
	for i, s := range e.Sites {
		names[i] = quote(s, true)
	}
	if len(names) > 0 {
		fmt.Fprintf(&b, "    sites: [%s]\n", strings.Join(names, ", "))
	}
	if e.KeptBy != "" {
		fmt.Fprintf(&b, "    kept: {chart: %s}\n", e.KeptBy)
	}
	if e.Wrapper != "" {
		fmt.Fprintf(&b, "    wrapper: %s\n", quote(e.Wrapper, false))
	}
	if e.Prefix != "" {
		fmt.Fprintf(&b, "    prefix: %s\n", quote(e.Prefix, false))
	}
	return b.String()
}

func printSite(s site.Site) string {
	var out []string
	add := func(key, value string) {
		if value != "" {
			out = append(out, key+": "+quote(value, true))
		}
	}
	add("kind", string(s.Kind))
	add("file", s.File)
	add("name", s.Name)
	add("path", s.Path)
	add("repository", s.Repository)
	add("role", string(s.Role))
	if s.Count > 1 {
		out = append(out, "count: "+strconv.Itoa(s.Count))
	}
	return "{" + strings.Join(out, ", ") + "}"
}

// bare is what needs no quotes in any place, and with a colon outside braces.
var (
	bare      = regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9_./+*-]*$`)
	bareColon = regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9_./+*:-]*[A-Za-z0-9/]$`)
)

// quote writes a string so that every reader of YAML reads a string.
func quote(s string, flow bool) string {
	if (bare.MatchString(s) || !flow && bareColon.MatchString(s)) && !yamledit.Typed(s) && !strings.HasPrefix(s, "...") {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteRune('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 || r == 0xfeff:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
