package archive

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// quote prints a name from outside, shortened.
func quote(s string) string {
	if len(s) > 120 {
		s = s[:120] + "…"
	}
	return strconv.Quote(s)
}

// checkPath passes names that mean the same file on every system.
func (t *tarReader) checkPath(name string) error {
	l := t.b.l
	if len(name) > l.Path {
		return refused("tar-path", "%s has more than %d bytes", quote(name), l.Path)
	}
	if strings.Count(name, "/") >= l.Depth {
		return refused("tar-path", "%s is more than %d directories deep", quote(name), l.Depth)
	}
	if !utf8.ValidString(name) {
		return refused("tar-path", "%s is not UTF-8", quote(name))
	}
	for e := range strings.SplitSeq(name, "/") {
		if e == "" || e == "." || e == ".." {
			return refused("tar-path", "%s is not a plain path below the chart's directory", quote(name))
		}
		if len(e) > l.PathElement {
			return refused("tar-path", "an element of %s has more than %d bytes", quote(name), l.PathElement)
		}
		why, unsafe := badElement(e)
		if why == "" {
			continue
		}
		err := refused("tar-path", "%s: %s", quote(name), why)
		if unsafe {
			return err
		}
		if err := t.tol(err); err != nil {
			return err
		}
	}
	return nil
}

// badElement says what is wrong with one path element, or "". Unsafe is what
// readers take for another path, or show as another one; the rest only means
// something else on other systems.
func badElement(e string) (why string, unsafe bool) {
	for _, r := range e {
		switch {
		case 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '-' <= r && r <= '9':
		case r == '\\':
			return "the character '\\\\' is not portable", true
		case r != ' ' && !unicode.IsPrint(r):
			return "invisible characters", true
		case why == "" && strings.ContainsRune(`:*?"<>|`, r):
			why = "the character " + strconv.QuoteRune(r) + " is not portable"
		}
	}
	if why != "" {
		drive := len(e) == 2 && e[1] == ':' // Helm takes the rest for a path from a root
		return why, drive
	}
	if strings.HasSuffix(e, ".") || strings.HasSuffix(e, " ") {
		return "a name may not end in a dot or a space", false
	}
	short, _, _ := strings.Cut(e, ".")
	if base := deviceCase(short); base != "" {
		switch base {
		case "CON", "PRN", "AUX", "NUL":
			return "a reserved device name", false
		}
		if len(base) == 4 && (strings.HasPrefix(base, "COM") || strings.HasPrefix(base, "LPT")) && base[3] >= '0' && base[3] <= '9' {
			return "a reserved device name", false
		}
	}
	if i := strings.LastIndexByte(short, '~'); i >= 0 && i < len(short)-1 && strings.Trim(short[i+1:], "0123456789") == "" {
		return "the name looks like a short file name", false
	}
	return "", false
}

// deviceCase is a name in capitals, if it is not longer or shorter than one that
// could be a device's: of three or four letters, with two bytes each at most.
func deviceCase(s string) string {
	if len(s) < 3 || len(s) > 3*4 {
		return ""
	}
	return strings.ToUpper(s)
}

// fold maps names that differ only in case to one string.
func fold(s string) string {
	if i := strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }); i < 0 {
		return strings.ToUpper(s) // the least of each letter's forms
	}
	return strings.Map(func(r rune) rune {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return least
	}, s)
}
