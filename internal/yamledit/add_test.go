package yamledit

import (
	"errors"
	"strings"
	"testing"
)

func TestAdd(t *testing.T) {
	for name, c := range map[string]struct{ doc, path, want string }{
		"nothing there":       {"", "a.b", "a: {b: \"v\"}\n"},
		"comments alone":      {"# c", "a", "# c\na: \"v\"\n"},
		"top":                 {"# c\nx: 1\n", "a.b.c", "# c\na: {b: {c: \"v\"}}\nx: 1\n"},
		"inner":               {"x:\n  # c\n  y: 1 # d\nz: 2\n", "x.a", "x:\n  # c\n  a: \"v\"\n  y: 1 # d\nz: 2\n"},
		"windows":             {"x:\r\n  y: 1\r\n", "x.a", "x:\r\n  a: \"v\"\r\n  y: 1\r\n"},
		"braces":              {"x: {y: 1}\n", "x.a", "x: {a: \"v\", y: 1}\n"},
		"empty braces":        {"x: {}\n", "x.a.b", "x: {a: {b: \"v\"}}\n"},
		"anchored braces":     {"x: &x {y: 1}\n", "x.a", "x: &x {a: \"v\", y: 1}\n"},
		"no value":            {"x:\ny: 1\n", "x.a", "x: {a: \"v\"}\ny: 1\n"},
		"null":                {"x: ~\ny: 1\n", "x.a", "x: {a: \"v\"}\ny: 1\n"},
		"byte order mark":     {"\ufeffx: 1\n", "a", "\ufeffa: \"v\"\nx: 1\n"},
		"document":            {"---\nx: 1\n", "a", "---\na: \"v\"\nx: 1\n"},
		"key of another type": {"x: 1\n", "no.1", "\"no\": {\"1\": \"v\"}\nx: 1\n"},
		"below an added pair": {"blue: {hub: {tag: \"t\"}}\n", "blue.hub.name", "blue: {hub: {name: \"v\", tag: \"t\"}}\n"},
	} {
		out, sp, err := Add([]byte(c.doc), strings.Split(c.path, "."), "v")
		if err != nil || string(out) != c.want {
			t.Errorf("%s: %q, %v; want %q", name, out, err, c.want)
			continue
		}
		if back, err := sp.Undo(out); err != nil || string(back) != c.doc {
			t.Errorf("%s: undone %q, %v", name, back, err)
		}
	}
}

func TestAddRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		doc, path string
		want      error
	}{
		"it is there":      {"a: 1\n", "a", ErrDoubled},
		"a mapping there":  {"a: {b: 1}\n", "a", ErrDoubled},
		"below a scalar":   {"a: 1\n", "a.b", ErrMissing},
		"in a list":        {"a: [{b: 1}]\n", "a.0.c", ErrMissing},
		"in an alias":      {"x: &x {b: 1}\na: *x\n", "a.c", ErrAlias},
		"in what is one's": {"x: &x {b: 1}\na: *x\n", "x.c", ErrAlias},
		"merged":           {"x: &x {b: 1}\na: {<<: *x}\n", "a.c", ErrMerged},
		"a list's item":    {"- x: 1\n", "a", ErrMissing},
		"no YAML":          {"a: {", "b", ErrSyntax},
	} {
		if out, _, err := Add([]byte(c.doc), strings.Split(c.path, "."), "v"); !errors.Is(err, c.want) {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
}
