package main

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// lines prints a difference for a person.
func (d difference) lines(w *writer, f diffFlags) {
	w.line("a  %s  %s@%s  %s", d.A.Name, d.A.Chart, d.A.Version, short(d.A.Package))
	w.line("b  %s  %s@%s  %s", d.B.Name, d.B.Chart, d.B.Version, short(d.B.Package))
	if d.Same && d.Manifests == "" {
		w.line("The chart package and the images are the same.")
		return
	}
	if len(d.Images) > 0 {
		w.line("images:")
	}
	for _, i := range d.Images {
		w.line("  %s", i.Role)
		w.line("    a  %s", cmp.Or(i.A, "none"))
		w.line("    b  %s", cmp.Or(i.B, "none"))
	}
	switch {
	case d.A.Package == d.B.Package:
		w.line("chart: the same package")
	case d.Values == "" && len(d.Files) == 0:
		w.line("chart: the same default values and templates; other files differ")
	}
	if d.Values != "" {
		w.line("default values:")
		w.block(d.Values)
	}
	if len(d.Files) > 0 {
		w.line("templates:")
	}
	for _, c := range d.Files {
		w.line("  %-8s %s  +%d -%d", c.Change, c.Name, c.Plus, c.Minus)
		if f.templates {
			w.block(c.Diff)
		}
	}
	switch {
	case d.Manifests != "":
		w.line("rendered manifests:")
		w.block(d.Manifests)
	case f.render.on:
		w.line("rendered manifests: the same")
	}
}

// block writes several lines as they are, but for what a terminal would obey.
func (w *writer) block(s string) {
	for line := range strings.Lines(s) {
		w.line("%s", strings.ReplaceAll(strings.TrimRight(line, "\n"), "\t", "    "))
	}
}

// keysOf are the keys of two maps in order.
func keysOf[V any](a, b map[string]V) []string {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]V{}
	}
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}
