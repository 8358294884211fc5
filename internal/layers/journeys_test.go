package layers

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// stop is a line of a journey: a function, in its room.
type stop struct {
	room, name string
	far        bool // called by another process, or later: not by a stop before it
	commit     bool
}

// step finds `room.Func` or `room.Type.Method` in a table's second column.
var step = regexp.MustCompile("^\\| \\d+ \\| `([a-z0-9/]+)\\.([A-Za-z0-9.]+)` \\|(.*)$")

// journeys are the tables of docs/design/journeys.md, by heading.
func journeys(t *testing.T) map[string][]stop {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root(t), "docs", "design", "journeys.md"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]stop{}
	heading := ""
	for line := range strings.Lines(string(page)) {
		if h, ok := strings.CutPrefix(line, "## "); ok {
			heading = strings.TrimSpace(h)
		}
		m := step.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			if strings.HasPrefix(line, "| ") && strings.Contains(line, "`") {
				t.Errorf("this line of a journey names no function: %s", line)
			}
			continue
		}
		out[heading] = append(out[heading], stop{m[1], m[2], strings.Contains(m[3], "→"), strings.Contains(m[3], "**commit point**")})
	}
	return out
}

// funcs are the functions of a room, by Func or Type.Method.
func funcs(t *testing.T, room string) map[string]*ast.FuncDecl {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root(t), filepath.FromSlash(room), "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*ast.FuncDecl{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				out[receiver(fn)+fn.Name.Name] = fn
			}
		}
	}
	return out
}

// receiver is "Type." of a method.
func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return ""
	}
	name := ""
	ast.Inspect(fn.Recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && name == "" {
			name = id.Name
		}
		return true
	})
	return name + "."
}

func mentions(fn *ast.FuncDecl, name string) bool {
	found := false
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		found = found || ok && id.Name == name
		return !found
	})
	return found
}

// Each journey can be walked: its functions exist, each is called by one that
// stands before it, and one of them has the commit point, but for a read.
func TestJourneys(t *testing.T) {
	all := journeys(t)
	for _, want := range []string{"A publish", "A pin", "A bump", "A read", "A deploy", "A start", "A crash"} {
		if len(all[want]) == 0 {
			t.Errorf("the page has no journey %q", want)
		}
	}
	for heading, stops := range all {
		commits := 0
		var before []*ast.FuncDecl
		for i, s := range stops {
			fn := funcs(t, s.room)[s.name]
			if fn == nil {
				t.Errorf("%s: %s has no %s", heading, s.room, s.name)
				continue
			}
			called := func(b *ast.FuncDecl) bool { return mentions(b, fn.Name.Name) }
			if i > 0 && !s.far && !slices.ContainsFunc(before, called) {
				t.Errorf("%s: no stop before %s.%s calls it", heading, s.room, s.name)
			}
			before = append(before, fn)
			if s.commit {
				commits++
			}
		}
		want := 1
		if heading == "A read" {
			want = 0
		}
		if commits != want {
			t.Errorf("%s has %d commit points, want %d", heading, commits, want)
		}
	}
}

// A bump is short, and does not turn back from internal to the command.
func TestBumpIsShort(t *testing.T) {
	var rooms []string
	left := false
	for _, s := range journeys(t)["A bump"] {
		command := strings.HasPrefix(s.room, "cmd/")
		if command && left {
			t.Errorf("%s.%s turns back to the command", s.room, s.name)
		}
		left = left || !command
		if !slices.Contains(rooms, s.room) {
			rooms = append(rooms, s.room)
		}
	}
	if len(rooms) > 8 {
		t.Errorf("a bump passes %d rooms, want at most eight: %v", len(rooms), rooms)
	}
}
