package site

import (
	"fmt"
	"strings"
)

// star is the element of a split path that stands for any item.
const star = "*"

// SplitPath cuts a dotted path. In the result a lone star stands for any
// item; every other element still has its backslashes.
func SplitPath(path string) ([]string, error) {
	var out []string
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '\\' && i+1 < len(path) && strings.IndexByte(`.*\`, path[i+1]) >= 0:
			b.WriteString(path[i : i+2])
			i++
		case c == '\\':
			return nil, fmt.Errorf(`path %q: a backslash stands before a dot, a star or a backslash only`, path)
		case c == '.':
			out = append(out, b.String())
			b.Reset()
		default:
			b.WriteByte(c)
		}
	}
	out = append(out, b.String())
	for _, e := range out {
		if e == "" {
			return nil, fmt.Errorf("path %q has an empty element", path)
		}
	}
	return out, nil
}

// plain takes the backslashes off.
func plain(pattern []string) []string {
	out := make([]string, len(pattern))
	for i, e := range pattern {
		var b strings.Builder
		for j := 0; j < len(e); j++ {
			if e[j] == '\\' {
				j++
			}
			b.WriteByte(e[j])
		}
		out[i] = b.String()
	}
	return out
}

// JoinPath is the dotted path of keys; an item's number becomes a star where
// stars says so.
func JoinPath(keys []string, stars func(i int) bool) string {
	out := make([]string, len(keys))
	for i, k := range keys {
		if stars != nil && stars(i) {
			out[i] = star
			continue
		}
		out[i] = strings.NewReplacer(`\`, `\\`, ".", `\.`, "*", `\*`).Replace(k)
	}
	return strings.Join(out, ".")
}

func joinPath(keys []string) string { return JoinPath(keys, nil) }
