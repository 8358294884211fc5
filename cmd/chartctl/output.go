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
}

var colours = map[string]string{
	"verified": "32", "listed": "32",
	"declared": "33", "unverified": "33", "unbound": "33",
	"revoked": "31", "yanked": "31", "purged": "31", "refused": "31",
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

// table writes rows under a head, cutting the widest cells until all fits.
func (w *writer) table(head []string, rows [][]string) {
	all := append([][]string{head}, rows...)
	widths := make([]int, len(head))
	for _, row := range all {
		for i, cell := range row {
			row[i] = clean(cell)
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	fit(widths, func(i int) bool { return !whole[head[i]] })
	fit(widths, func(int) bool { return true })
	for n, row := range all {
		for i, cell := range row {
			if head[i] == "IMAGE" {
				cell = cutTag(cell, widths[i])
			}
			cell = cut(cell, widths[i])
			if i < len(row)-1 {
				cell += strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			}
			switch {
			case n == 0 && w.colour:
				cell = "\x1b[1m" + cell + "\x1b[0m"
			case n > 0:
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

// fit narrows the columns that may be, the widest first.
func fit(widths []int, may func(int) bool) {
	for {
		total, widest := 2*(len(widths)-1), -1
		for i, n := range widths {
			total += n
			if may(i) && (widest < 0 || n > widths[widest]) {
				widest = i
			}
		}
		if total <= width || widest < 0 || widths[widest] <= 8 {
			return
		}
		widths[widest]--
	}
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
