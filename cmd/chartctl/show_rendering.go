package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"chartd.dev/chartd/internal/render"
)

// renderingOf says what rendering a chart showed: each image, where it is, and
// which values feed it.
func renderingOf(w *writer, raw json.RawMessage) {
	var t render.Trace
	if len(raw) == 0 || json.Unmarshal(raw, &t) != nil || t.Version != render.TraceVersion {
		return // nothing is known, or a newer server knows more than this command
	}
	for _, a := range t.Attempts {
		if a.Failure != nil {
			w.line("%s: %s", withValues(a.Values), cut(clean(a.Failure.String()), 200))
		}
	}
	if len(t.Images) > 0 {
		w.line("images that it shows:")
	}
	for _, i := range t.Images {
		w.line("  %-12s %s", i.Role, i.Text)
		for _, p := range i.Places {
			w.line("  %-12s in %s", "", place(p))
		}
		if from := feeds(i.Feeds); from != "" {
			w.line("  %-12s from %s", "", from)
		}
	}
	if len(t.Hidden) > 0 {
		w.line("named by its values, shown by nothing that is rendered by default:")
	}
	for _, h := range t.Hidden {
		w.line("  %-12s %s", strings.Join(h.Values, "."), h.Text)
	}
	for _, twice := range t.Twice {
		w.line("subchart %s is there %d times: %s", twice.Name, len(twice.Files), strings.Join(twice.Files, ", "))
	}
}

func withValues(file string) string {
	if file == "" {
		return "with its defaults"
	}
	return "with " + file
}

func place(p render.Place) string {
	s := fmt.Sprintf("%s %s", p.Kind, p.Name)
	if p.Container != "" {
		s += ", container " + p.Container
	} else if len(p.Path) > 0 {
		s += " at " + strings.Join(p.Path, ".")
	}
	return s + " (" + p.Template + ")"
}

func feeds(list []render.Feed) string {
	var out []string
	for _, f := range list {
		at := strings.Join(f.Values, ".")
		if f.Part == render.PartAppVersion {
			at = "Chart.yaml"
		}
		out = append(out, fmt.Sprintf("%s (%s)", at, f.Part))
	}
	return strings.Join(out, ", ")
}
