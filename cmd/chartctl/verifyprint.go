package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"chartd.dev/chartd/internal/deploy/move"
	"chartd.dev/chartd/internal/deploy/verify"
)

// printVerified prints the differences: the lines, the whole as JSON or YAML,
// or GitHub's annotations.
func (a *app) printVerified(co *move.Checkout, out verify.Answer) error {
	if a.output == "github" {
		_, err := a.out.Write([]byte(annotations(out, a.inWorkspace(co.Repo.Root().Dir()))))
		if err != nil {
			return localIO("write output: %v", err)
		}
		return nil
	}
	return a.print(out, func(w *writer) {
		for _, f := range out.Findings {
			w.line("%s", f)
		}
		for _, n := range out.Notes {
			w.line("note: %s", n)
		}
		for _, r := range out.Rendered {
			w.line("rendered %s: %s", r.Environment, renderedWith(r))
		}
		for _, v := range out.Gate {
			if v.Pass {
				w.line("%s: %s %s is not pinned yet, and the gate would pass it", v.Env, v.Name, v.Version)
			}
		}
		if out.OK {
			w.line("%s: no difference (compared: %s)", plural(len(out.Environments), "environment"), strings.Join(out.Checked, ", "))
		}
	})
}

// renderedWith is what Helm was given.
func renderedWith(r verify.Rendering) string {
	if len(r.Values) == 0 {
		return r.Chart + " without values files"
	}
	return r.Chart + " with " + strings.Join(r.Values, ", ")
}

// inWorkspace is the path of the deploy repo in a GitHub workspace, where
// annotations are placed from; "" at its top or outside of it.
func (a *app) inWorkspace(dir string) string {
	top := a.getenv("GITHUB_WORKSPACE")
	if top == "" {
		return ""
	}
	real := func(p string) string {
		if r, err := filepath.EvalSymlinks(p); err == nil {
			return r
		}
		return p
	}
	rel, err := filepath.Rel(real(top), real(dir))
	if err != nil || !filepath.IsLocal(rel) || rel == "." {
		return ""
	}
	return filepath.ToSlash(rel) + "/"
}

func annotations(out verify.Answer, prefix string) string {
	var b strings.Builder
	for _, f := range out.Findings {
		b.WriteString(annotation("error", prefix, f))
	}
	for _, n := range out.Notes {
		fmt.Fprintf(&b, "::notice title=chartctl verify::%s\n", escapeData(clean(n)))
	}
	for _, v := range out.Gate {
		if !v.Pass {
			fmt.Fprintf(&b, "::error file=%s,title=chartctl verify::%s\n", escapeProperty(prefix+"chartd.lock"), escapeData(clean(move.Refusal(v).Error())))
		}
	}
	return b.String()
}

func annotation(level, prefix string, f verify.Finding) string {
	at := "file=" + escapeProperty(prefix+f.File)
	if f.Line > 0 {
		at += fmt.Sprintf(",line=%d", f.Line)
	}
	text := fmt.Sprintf("%s. Mend: %s (%s)", f.Message, f.Mend, strings.Join(f.Envs, ", "))
	return fmt.Sprintf("::%s %s,title=%s::%s\n", level, at, escapeProperty("chartctl verify: "+f.Kind), escapeData(clean(text)))
}

// What GitHub takes as a command ends at a line end, and a property at a colon
// or a comma.
var (
	dataEscapes     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	propertyEscapes = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

func escapeData(s string) string     { return dataEscapes.Replace(s) }
func escapeProperty(s string) string { return propertyEscapes.Replace(s) }
