package yamledit

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// spellings returns the ways to write value at s, the best first.
func spellings(s Scalar, value string) []string {
	var out []string
	switch s.Style {
	case Plain, Absent:
		isText := s.node.Style&yaml.TaggedStyle != 0 && s.node.Tag == "!!str"
		if plainHolds(value, s.flow) && (isText || !Typed(value)) {
			out = append(out, value)
		}
	case Single:
		if printable(value) {
			out = append(out, "'"+strings.ReplaceAll(value, "'", "''")+"'")
		}
	}
	if utf8.ValidString(value) {
		out = append(out, doubleQuoted(value))
	}
	if s.Style == Absent {
		for i := range out {
			out[i] = " " + out[i]
		}
	}
	return out
}

// typed matches what some reader of YAML 1.1 or 1.2 takes for something else
// than a string: null, booleans, numbers of any base, dates, merge and value
// keys.
var typed = regexp.MustCompile(`^(?i:~|null|y|yes|n|no|true|false|on|off|=|<<` +
	`|[-+]?0b[01_]+|[-+]?0o?[0-7_]+|[-+]?[0-9][0-9_]*|[-+]?0x[0-9a-f_]+` +
	`|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?` +
	`|[-+]?([0-9][0-9_]*)?\.[0-9_]*(e[-+]?[0-9]+)?|[-+]?[0-9][0-9_]*(\.[0-9_]*)?e[-+]?[0-9]+` +
	`|[-+]?\.(inf|nan)` +
	`|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([t \t].*)?)$`)

// Typed reports whether s, written without quotes, may be read as something
// else than a string by some YAML reader.
func Typed(s string) bool { return s == "" || typed.MatchString(s) }

// plainHolds reports whether value can be written without quotes, as far as
// its characters go.
func plainHolds(value string, flow bool) bool {
	if value == "" || !printable(value) || strings.TrimSpace(value) != value {
		return false
	}
	rest := value
	if !strings.HasPrefix(value, "---") {
		rest = strings.TrimLeft(value, "-") // a dash before a word is no item
	}
	if rest == "" && value != "--" || rest != "" && strings.ContainsRune("-?:,[]{}#&*!|>'\"%@` ", rune(rest[0])) {
		return false
	}
	if strings.HasPrefix(value, "...") || strings.HasSuffix(value, ":") ||
		strings.Contains(value, ": ") || strings.Contains(value, " #") {
		return false
	}
	return !flow || !strings.ContainsAny(value, ",[]{}?")
}

// printable reports whether value holds only characters that stand for
// themselves on one line.
func printable(value string) bool {
	if !utf8.ValidString(value) {
		return false
	}
	for _, r := range value {
		if r < ' ' || !unicode.IsPrint(r) || r == utf8.RuneError {
			return false
		}
	}
	return true
}

func doubleQuoted(value string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range value {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r >= ' ' && unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02X`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			fmt.Fprintf(&b, `\U%08X`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
