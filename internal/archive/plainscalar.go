package archive

import (
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// plainKey cuts "key: rest", where the key is a word that no reader takes for
// anything but a text.
func plainKey(s string) (key, rest string, ok bool) {
	i := 0
	for i < len(s) && (letter(s[i]) || s[i] >= '0' && s[i] <= '9' || i > 0 && strings.IndexByte("-./", s[i]) >= 0) {
		i++
	}
	if i == 0 || !letter(s[0]) && !strings.ContainsAny(s[:i], "cdfghijklmnpqrsuvw") || i > 200 || i == len(s) || s[i] != ':' || i+1 < len(s) && s[i+1] != ' ' {
		return "", "", false
	}
	switch len(s[:i]) {
	case 1, 2, 3, 4, 5: // y, no, yes, null, false in all their cases
		switch strings.ToLower(s[:i]) {
		case "y", "n", "yes", "no", "on", "off", "true", "false", "null":
			return "", "", false
		}
	}
	return s[:i], strings.TrimLeft(s[i+1:], " "), true
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }

// plainScalar reads a scalar, or an empty collection, and returns what follows
// it; no kind where it declines. A text that is not quoted must be a word, a
// path, a number or a version: what readers could take for a date or for
// something stranger is declined.
func plainScalar(s string) (kind yaml.Kind, tag, value, rest string) {
	switch c := s[0]; {
	case strings.HasPrefix(s, "{}"):
		return yaml.MappingNode, "!!map", "", s[2:]
	case strings.HasPrefix(s, "[]"):
		return yaml.SequenceNode, "!!seq", "", s[2:]
	case c == '"' || c == '\'':
		end := strings.IndexByte(s[1:], c)
		if end < 0 || strings.IndexByte(s[1:1+end], '\\') >= 0 || strings.HasPrefix(s[2+end:], s[:1]) {
			return 0, "", "", ""
		}
		return yaml.ScalarNode, "!!str", s[1 : 1+end], s[2+end:]
	}
	if end := strings.Index(s, " #"); end >= 0 {
		s, rest = s[:end], s[end:]
	}
	s = strings.TrimRight(s, " ")
	switch {
	case s[0] >= '0' && s[0] <= '9':
		tag = numberTag(s)
	case len(s) > 1 && s[0] == '-' && s[1] >= '1' && s[1] <= '9' && numberTag(s[1:]) == "!!int":
		tag = "!!int"
	case plainStart(s) && plainWord(s):
		tag = wordTag(s)
	}
	if tag == "" {
		return 0, "", "", ""
	}
	return yaml.ScalarNode, tag, s, rest
}

// plainStart: a letter, a path, or an option.
func plainStart(s string) bool {
	return letter(s[0]) || s[0] == '/' || strings.HasPrefix(s, "--") && len(s) > 2 && letter(s[2])
}

// numberTag is the tag of what begins with a digit: a decimal number, a
// quantity such as 10Gi, a version. None for the rest.
func numberTag(s string) string {
	digits, dots, i := 0, 0, 0
	for ; i < len(s) && (s[i] == '.' || s[i] >= '0' && s[i] <= '9'); i++ {
		if s[i] != '.' {
			digits++
		} else if dots++; s[i-1] == '.' || i+1 == len(s) || s[i+1] == '.' {
			return ""
		}
	}
	unit := s[i:]
	switch {
	case digits > 15 || s[0] == '0' && i > 1 && s[1] != '.' && !wordy(s[i:]) || i > 0 && s[i-1] == '.':
		return ""
	case unit == "":
		if dots > 3 {
			return ""
		}
		return [...]string{"!!int", "!!float", "!!str", "!!str"}[dots]
	case dots == 3 && unit[0] == '/' && unit[1:] != "" && strings.Trim(unit[1:], "0123456789") == "":
		return "!!str"
	case dots >= 1 && unit[0] == '-' && strings.IndexFunc(unit, func(r rune) bool { return r > 'z' || !letter(byte(r)) && (r < '0' || r > '9') && r != '-' && r != '.' }) < 0:
		return "!!str"
	case dots == 0 && (s[0] != '0' || i > 1) && wordy(unit):
		return "!!str"
	case dots == 0 && (unit == "m" || unit == "s" || unit == "Mi" || unit == "Gi"):
		return "!!str"
	}
	return ""
}

// wordy: letters and digits, with a letter that is part of no number or date.
func wordy(s string) bool {
	found := false
	for i := range len(s) {
		if !letter(s[i]) && (s[i] < '0' || s[i] > '9') || s[i] == '_' {
			return false
		}
		found = found || strings.IndexByte("abcdfghijklmnpqrsuvwyABCDFGHIJKLMNPQRSUVWY", s[i]) >= 0
	}
	return found
}

// plainWord: characters that end or change a text nowhere in YAML.
func plainWord(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case letter(c), c >= '0' && c <= '9', c == ' ', c >= utf8.RuneSelf:
		case c == ':':
			if i+1 == len(s) || s[i+1] == ' ' {
				return false
			}
		case strings.IndexByte("-./+=@$()*;<>^~{}?,", c) < 0:
			return false
		}
	}
	return true
}

// wordTag is the tag of a word; none for those that readers disagree about.
func wordTag(s string) string {
	if len(s) > 5 {
		return "!!str"
	}
	switch s {
	case "true", "True", "TRUE", "false", "False", "FALSE":
		return "!!bool"
	case "null", "Null", "NULL":
		return "!!null"
	}
	switch strings.ToLower(s) {
	case "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return ""
	}
	return "!!str"
}
