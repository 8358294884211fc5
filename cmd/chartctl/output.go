package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"golang.org/x/term"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// width is the most columns that a table takes.
const width = 100

// print writes v as JSON or YAML, or calls table.
func (a *app) print(v any, table func(w *writer)) error {
	var b []byte
	var err error
	switch a.output {
	case "json":
		b, err = marshal(v)
	case "yaml":
		b, err = toYAML(v)
	default:
		w := &writer{colour: a.colour()}
		table(w)
		b = w.buf.Bytes()
	}
	if err != nil {
		return err
	}
	if _, err := a.out.Write(b); err != nil {
		return localIO("write output: %v", err)
	}
	return nil
}

func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return buf.Bytes(), err
}

// toYAML goes by way of JSON, so that both have the same keys in the same order.
func toYAML(v any) ([]byte, error) {
	b, err := marshal(v)
	if err != nil {
		return nil, err
	}
	var n yaml.Node
	if err := yaml.Unmarshal(b, &n); err != nil {
		return nil, fmt.Errorf("convert output to YAML: %w", err)
	}
	plain(&n)
	var buf bytes.Buffer
	enc := yaml.NewEncoder(&buf)
	enc.SetIndent(2)
	err = enc.Encode(&n)
	return buf.Bytes(), err
}

// plain takes JSON's braces off, and the quotes of strings that read as a
// string under every version of YAML: 1.1 still takes no, 012 and 12:30 for
// something else.
func plain(n *yaml.Node) {
	switch {
	case len(n.Content) > 0:
		n.Style = 0
	case n.Kind == yaml.ScalarNode && (n.Tag != "!!str" || word(n.Value)):
		n.Style = 0
	}
	for _, c := range n.Content {
		plain(c)
	}
}

func word(s string) bool {
	switch strings.ToLower(s) {
	case "", "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return false
	}
	return s[0] >= 'a' && s[0] <= 'z' || s[0] >= 'A' && s[0] <= 'Z'
}

func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (a *app) colour() bool {
	return !a.noColor && a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb" && isTerminal(a.out)
}

// writer collects a table or a sheet of fields.
type writer struct {
	buf    bytes.Buffer
	colour bool
	server string // whose answer it is
}

var colours = map[string]string{
	string(model.Verified): "32", model.Listed.String(): "32",
	string(model.Declared): "33", string(model.Unverified): "33", "unbound": "33",
	string(model.Revoked): "31", model.Yanked.String(): "31", model.Purged.String(): "31", string(model.RuleRefused): "31",
}

func (w *writer) paint(s string) string {
	if code := colours[strings.TrimSpace(s)]; w.colour && code != "" {
		return "\x1b[" + code + "m" + s + "\x1b[0m"
	}
	return s
}

// whole are the columns that are cut last: what another command wants to be
// told, and what tells two releases of one day apart.
var whole = map[string]bool{"ENVIRONMENT": true, "CHART": true, "VERSION": true}

// folded are the columns that go on in the next line and are never cut: what
// they say last may be the worst.
var folded = map[string]bool{"STATE": true, "VERDICT": true, "SOAK": true, "UPSTREAM": true, "ACCEPT": true}

// table writes rows under a head, cutting or folding the widest cells until all
// fits.
func (w *writer) table(head []string, rows [][]string) {
	all := append([][]string{head}, rows...)
	widths, words := make([]int, len(head)), make([]int, len(head))
	for _, row := range all {
		for i, cell := range row {
			row[i] = clean(cell)
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
			for word := range strings.FieldsSeq(row[i]) {
				words[i] = max(words[i], utf8.RuneCountInString(word))
			}
		}
	}
	fit(widths, func(i int) int {
		switch {
		case whole[head[i]]:
			return widths[i]
		case folded[head[i]]: // at its spaces, unless a word is very long
			return max(8, min(words[i], 12))
		}
		return 8
	})
	fit(widths, func(int) int { return 8 })
	for n, row := range all {
		w.row(head, row, widths, n == 0)
	}
}

// tableOf writes a row for each of a list.
func tableOf[T any](w *writer, head []string, list []T, row func(T) []string) {
	rows := make([][]string, len(list))
	for i, x := range list {
		rows[i] = row(x)
	}
	w.table(head, rows)
}

// row writes one row of a table, in as many lines as its cells need.
func (w *writer) row(head, row []string, widths []int, first bool) {
	cells, most := make([][]string, len(row)), 1
	for i, cell := range row {
		switch {
		case folded[head[i]]:
			cells[i] = fold(cell, widths[i])
		case head[i] == "IMAGE":
			cells[i] = []string{cut(cutTag(cell, widths[i]), widths[i])}
		default:
			cells[i] = []string{cut(cell, widths[i])}
		}
		most = max(most, len(cells[i]))
	}
	for n := range most {
		for i := range row {
			cell := ""
			if n < len(cells[i]) {
				cell = cells[i][n]
			}
			if i < len(row)-1 {
				cell += strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			}
			switch {
			case first && w.colour:
				cell = "\x1b[1m" + cell + "\x1b[0m"
			case !first:
				cell = w.paint(cell)
			}
			if i > 0 {
				cell = "  " + cell
			}
			w.buf.WriteString(cell)
		}
		trimmed := bytes.TrimRight(w.buf.Bytes(), " ")
		w.buf.Truncate(len(trimmed))
		w.buf.WriteByte('\n')
	}
}

// fit narrows the columns that may be, the widest first, but none below least.
func fit(widths []int, least func(column int) int) {
	for {
		total, widest := 2*(len(widths)-1), -1
		for i, n := range widths {
			total += n
			if n > least(i) && (widest < 0 || n > widths[widest]) {
				widest = i
			}
		}
		if total <= width || widest < 0 {
			return
		}
		widths[widest]--
	}
}

// fold breaks a cell into lines of n columns: at its spaces, where there are any.
func fold(s string, n int) []string {
	if utf8.RuneCountInString(s) <= n {
		return []string{s}
	}
	var out []string
	var line []rune
	for word := range strings.FieldsSeq(s) {
		w := []rune(word)
		if len(line) > 0 && len(line)+1+len(w) > n {
			out, line = append(out, string(line)), nil
		}
		if len(line) > 0 {
			line = append(line, ' ')
		}
		for line = append(line, w...); len(line) > n; line = line[n:] {
			out = append(out, string(line[:n]))
		}
	}
	return append(out, string(line))
}

// cutTag shortens TAG@DIGEST in the tag: the digest says which image it is.
func cutTag(s string, n int) string {
	at := strings.LastIndexByte(s, '@')
	if at < 0 || utf8.RuneCountInString(s) <= n {
		return s
	}
	tag, end := []rune(s[:at]), s[at:]
	if keep := n - len(end) - 1; keep > 0 && keep < len(tag) {
		return string(tag[:keep]) + "…" + end
	}
	return s
}

func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	r := []rune(s)
	return string(r[:n-1]) + "…"
}

// field writes one line of a sheet; an empty value is left out, and without a
// name it goes on with the line above.
func (w *writer) field(name, value string) {
	if name != "" {
		name += ":"
	}
	if value != "" {
		fmt.Fprintf(&w.buf, "%-13s %s\n", name, w.paint(clean(value)))
	}
}

func (w *writer) line(format string, a ...any) {
	w.buf.WriteString(clean(fmt.Sprintf(format, a...)))
	w.buf.WriteByte('\n')
}

// clean makes one printable line of text that may come from a chart or a
// server: a control sequence in it must not reach the terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return '\uFFFD'
		}
		return r
	}, s)
}

// verbatim writes text of several lines, without the control sequences that a
// file may hold.
func (w *writer) verbatim(s string) {
	w.buf.WriteString(strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s))
}

// note tells a person something that is not part of the output.
func (a *app) note(format string, args ...any) {
	fmt.Fprintf(a.err, "%s\n", clean(fmt.Sprintf(format, args...)))
}

func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04")
}

func short(d ref.Digest) string {
	if d.IsZero() {
		return "-"
	}
	return d.Hex()[:12]
}

func size(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
