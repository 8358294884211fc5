package transport

import (
	"fmt"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

const maxPath = 8 << 10 // bytes of a URL's path as sent

// ambiguous is what two readers of a path could take for different things.
var ambiguous = []string{"%2f", "%5c", "%00", "%25", "%2e", "\\", ";", "//"}

// checkPath refuses a path that has more than one reading, so that what is
// authorised and what is served are the same. Nothing is cleaned up and
// nothing is redirected.
func checkPath(r *http.Request) error {
	if r.URL.RawPath == "" && plain(r.URL.Path) && len(r.URL.Path) <= maxPath && len(r.URL.RawQuery) <= maxPath {
		return nil
	}
	raw := r.URL.EscapedPath()
	switch {
	case len(raw) > maxPath || len(r.URL.RawQuery) > maxPath:
		r.URL.Path = "/too-long"
		return ErrURITooLong
	case !unambiguous(raw, r.URL.Path):
		return fmt.Errorf("%w: the path %q has an escape, an element or a character that no path here has", ErrNotFound, Clip(raw))
	}
	return nil
}

// plain reports whether a path is of characters that have no escape, and has
// no empty and no dotted element: most are, and need no closer look.
func plain(path string) bool {
	last := byte(0)
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch {
		case isWord(c):
		case c == '.' && last != '/' && last != '.':
		case c == '/' && last != '/':
		default:
			return false
		}
		last = c
	}
	return path != "" && path[0] == '/'
}

// unambiguous reports whether a path has one reading.
func unambiguous(raw, path string) bool {
	if !strings.HasPrefix(path, "/") || !utf8.ValidString(path) {
		return false
	}
	lower := strings.ToLower(raw)
	for _, a := range ambiguous {
		if strings.Contains(lower, a) {
			return false
		}
	}
	for _, e := range strings.Split(path[1:], "/") {
		if e == "." || e == ".." || strings.TrimSpace(e) != e {
			return false
		}
	}
	return !strings.ContainsFunc(path, func(c rune) bool { return !unicode.IsPrint(c) })
}
