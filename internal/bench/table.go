package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// result is one line of the table.
type result struct {
	what, measured, beside string
	bounds                 []bound
}

// bound is one condition of a goal, with the figure that it is judged by: the
// mark in the table is computed, never written.
type bound struct {
	got, limit float64
	sign       string // ≤ or ≥
	unit       string // follows the limit
}

func atMost(got, limit float64, unit string) bound  { return bound{got, limit, "≤", unit} }
func atLeast(got, limit float64, unit string) bound { return bound{got, limit, "≥", unit} }

// unknown is the figure of a comparison whose peer could not be started.
var unknown = math.NaN()

func (b bound) String() string {
	space := " "
	if strings.HasPrefix(b.unit, "/") {
		space = ""
	}
	return b.sign + " " + number(b.limit) + space + b.unit
}

func (b bound) holds() bool {
	if b.sign == "≤" {
		return b.got <= b.limit
	}
	return b.got >= b.limit
}

// number prints a limit as people write it: 20,000 and 0.75.
func number(f float64) string {
	if f >= 1_000 && f == math.Trunc(f) {
		return thousands(int(f))
	}
	return fmt.Sprintf("%g", math.Round(f*1000)/1000)
}

func thousands(n int) string {
	if n >= 1_000 {
		return thousands(n/1_000) + fmt.Sprintf(",%03d", n%1_000)
	}
	return fmt.Sprint(n)
}

func (r result) goal() string {
	var all []string
	for _, b := range r.bounds {
		all = append(all, b.String())
	}
	return strings.Join(all, "; ")
}

// verdict says whether every condition holds. One that nobody could measure
// is not taken for reached.
func (r result) verdict() string {
	out := "reached"
	for _, b := range r.bounds {
		switch {
		case math.IsNaN(b.got):
			if out == "reached" {
				out = "no peer"
			}
		case !b.holds():
			out = "**missed**"
		}
	}
	if len(r.bounds) == 0 {
		return ""
	}
	return out
}

// add prints a row at once, too: a run takes minutes.
func (b *bench) add(r result) {
	progress("  %s: %s | %s | %s %s", r.what, r.measured, r.beside, r.goal(), r.verdict())
	b.results = append(b.results, r)
}

func (b *bench) print(w io.Writer) {
	fmt.Fprintf(w, "| what | goal | measured | beside it, same run | |\n|---|---|---|---|---|\n")
	reached, of := 0, 0
	for _, r := range b.results {
		v := r.verdict()
		if v != "" {
			of++
		}
		if v == "reached" {
			reached++
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s |\n", r.what, r.goal(), r.measured, r.beside, v)
	}
	fmt.Fprintf(w, "\n%d of %d goals reached.\n", reached, of)
}

// The part of a page that is the results.
const resultsBegin, resultsEnd = "<!-- results -->\n", "<!-- end of results -->"

// write keeps the plot, and the table: in performance.md where that has a
// place for it, else in a file of its own.
func (b *bench) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var t bytes.Buffer
	b.print(&t)
	if err := os.WriteFile(filepath.Join(dir, "performance.svg"), plot(b.points), 0o644); err != nil {
		return err
	}
	page := filepath.Join(dir, "performance.md")
	text, err := os.ReadFile(page)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	before, rest, ok := strings.Cut(string(text), resultsBegin)
	_, after, closed := strings.Cut(rest, resultsEnd)
	if !ok || !closed {
		return os.WriteFile(filepath.Join(dir, "performance-table.md"), t.Bytes(), 0o644)
	}
	results := "\n" + t.String() + "\n![How time and memory grow from 1,000 to 1,000,000 versions](performance.svg)\n\n"
	return os.WriteFile(page, []byte(before+resultsBegin+results+resultsEnd+after), 0o644)
}
