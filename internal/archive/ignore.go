package archive

import (
	"bytes"
	"fmt"
	"path"
	"strings"
)

// ignoreRules are the patterns of a .helmignore, with Helm's meaning of them:
// no "**", and "!x" drops everything that x does not match.
type ignoreRules []ignoreRule

type ignoreRule struct {
	pattern string
	whole   bool // against the whole path, not the last element
	negate  bool
	dirOnly bool
}

func parseIgnore(data []byte) (ignoreRules, error) {
	rules := ignoreRules{{pattern: "templates/.?*", whole: true}}
	for i, line := range strings.Split(string(bytes.TrimPrefix(data, []byte(bom))), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if strings.Contains(line, "**") {
			return nil, fmt.Errorf("line %d: %q: double stars are not supported", i+1, line)
		}
		r := ignoreRule{}
		line, r.negate = strings.CutPrefix(line, "!")
		line, r.dirOnly = strings.CutSuffix(line, "/")
		r.whole = strings.Contains(line, "/")
		r.pattern = strings.TrimPrefix(line, "/")
		if _, err := path.Match(r.pattern, ""); err != nil {
			return nil, fmt.Errorf("line %d: %q is not a pattern", i+1, line)
		}
		rules = append(rules, r)
	}
	return rules, nil
}

// ignore reports whether a file or directory stays out of the package.
func (rules ignoreRules) ignore(name string, dir bool) bool {
	for _, r := range rules {
		against := name
		if !r.whole {
			against = path.Base(name)
		}
		match, _ := path.Match(r.pattern, against)
		match = match && (dir || !r.dirOnly)
		if match != r.negate {
			return true
		}
	}
	return false
}
