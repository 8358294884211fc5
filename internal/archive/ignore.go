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

	line int    // of .helmignore; 0: Helm's own rule
	text string // as written
}

// hint says what is special about a rule.
func (r *ignoreRule) hint() string {
	if r.negate {
		return ": a rule with ! leaves out all that it does not match"
	}
	return ""
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
		r := ignoreRule{line: i + 1, text: line}
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

// match is the rule by which a file or directory stays out of the package; nil
// where there is none.
func (rules ignoreRules) match(name string, dir bool) *ignoreRule {
	for i := range rules {
		r := &rules[i]
		against := name
		if !r.whole {
			against = path.Base(name)
		}
		match, _ := path.Match(r.pattern, against)
		match = match && (dir || !r.dirOnly)
		if match != r.negate {
			return r
		}
	}
	return nil
}
