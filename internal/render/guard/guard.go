// Package guard writes the template that a sealed package carries: it refuses
// to render where values put another image in the place of a bound one.
//
// Invariants: the text is a function of its Image alone; it prints nothing; it
// fails only where an image of the bound repository, or at the place of the
// bound role, is not the bound digest. What is not rendered, because its
// component is off, is no fault.
package guard

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Name is the guard's file below templates/ of the chart that owns the image.
// Several roles have a file each.
func Name(role string) string {
	return "chartd-guard-" + strings.ToLower(regexp.MustCompile(`[^A-Za-z0-9]+`).ReplaceAllString(role, "-")) + ".yaml"
}

// Image is what is guarded.
type Image struct {
	Role         string   `json:"role"`
	Repositories []string `json:"repositories"`    // of the image as templates may write it, the canonical one first
	Digest       string   `json:"digest"`          // sha256:…
	Chart        string   `json:"chart,omitempty"` // path of the owning chart below the top one, such as "charts/hub"; "" for the top one
	Places       []Place  `json:"places"`
	Advice       string   `json:"advice"` // how to move the image; the end of the sentence
}

// Place is where the image is rendered.
type Place struct {
	Template  string   `json:"template"`            // below the chart's templates/, such as "hub/deployment.yaml"
	Kind      string   `json:"kind,omitempty"`      // of the object; "" where only the text is looked at
	List      []string `json:"list,omitempty"`      // path of the list of containers
	Container string   `json:"container,omitempty"` // name of the container
}

// Text is the template.
func Text(i Image) []byte {
	var b strings.Builder
	line := func(format string, a ...any) { fmt.Fprintf(&b, "{{- "+format+" -}}\n", a...) }
	line("/* chartd guard 1 for the image of role %s. It prints nothing. */", strings.ReplaceAll(i.Role, "*/", ""))
	line("$bound := %s", strconv.Quote(i.Repositories[0]+"@"+i.Digest))
	line("$sentence := %s", strconv.Quote("the "+i.Role+" image is %s, and this package is bound to %s: "+i.Advice))
	if i.Chart != "" {
		line("if hasSuffix %s .Template.BasePath", strconv.Quote("/"+path.Join(i.Chart, "templates")))
	}
	for _, template := range i.templates() {
		line("$text := include (print .Template.BasePath %s) .", strconv.Quote("/"+template))
		for _, r := range i.Repositories {
			line("range $found := regexFindAll %s $text -1", strconv.Quote(`(?:^|[^A-Za-z0-9._/:@-])`+regexp.QuoteMeta(r)+`[:@][A-Za-z0-9._:@-]+`))
			line("if not (hasSuffix %s $found)", strconv.Quote("@"+i.Digest))
			line("fail (printf $sentence (trimAll %s $found) $bound)", strconv.Quote(" \t\n\"'=,;()[]{}"))
			line("end")
			line("end")
		}
		i.containers(template, line)
	}
	if i.Chart != "" {
		line("end")
	}
	return []byte(b.String())
}

// containers writes what looks at the role's containers in a template.
func (i Image) containers(template string, line func(string, ...any)) {
	for _, p := range i.Places {
		if p.Template != template || p.Kind == "" {
			continue
		}
		keys := make([]string, 0, len(p.List))
		for _, k := range p.List {
			keys = append(keys, strconv.Quote(k))
		}
		line("range $document := regexSplit %s $text -1", strconv.Quote(`(?m)^---`))
		line("$at := fromYaml $document")
		line("if eq (toString $at.kind) %s", strconv.Quote(p.Kind))
		line(`range $key := list %s`, strings.Join(keys, " "))
		line(`if kindIs "map" $at`)
		line(`$at = index $at $key`)
		line("end")
		line("end")
		line(`if kindIs "slice" $at`)
		line("range $container := $at")
		line(`if kindIs "map" $container`)
		line(`if and (eq (toString $container.name) %s) (not (regexMatch %s (toString $container.image)))`, strconv.Quote(p.Container), strconv.Quote(i.allowed()))
		line("fail (printf $sentence (toString $container.image) $bound)")
		for range 6 {
			line("end")
		}
	}
}

// allowed matches the bound image by its digest, with any tag.
func (i Image) allowed() string {
	names := make([]string, 0, len(i.Repositories))
	for _, r := range i.Repositories {
		names = append(names, regexp.QuoteMeta(r))
	}
	return `^(?:` + strings.Join(names, "|") + `)(?::[A-Za-z0-9._-]+)?@` + i.Digest + `$`
}

func (i Image) templates() []string {
	var out []string
	for _, p := range i.Places {
		if !slices.Contains(out, p.Template) {
			out = append(out, p.Template)
		}
	}
	slices.Sort(out)
	return out
}
