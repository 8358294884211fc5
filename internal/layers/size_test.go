package layers

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What is longer than this is not read, but searched.
const (
	longestFile     = 400 // lines
	longestFunction = 60
)

func TestSizes(t *testing.T) {
	for _, file := range sources(t) {
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, filepath.Join(root(t), file), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		lines := func(n ast.Node) int { return set.Position(n.End()).Line - set.Position(n.Pos()).Line + 1 }
		if n := set.Position(f.FileEnd).Line; n > longestFile {
			t.Errorf("%s has %d lines, want at most %d: divide it by subject", file, n, longestFile)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && lines(fn) > longestFunction {
				t.Errorf("%s: %s has %d lines, want at most %d", file, fn.Name.Name, lines(fn), longestFunction)
			}
		}
	}
}

// sources are the Go files that are no tests, from the top.
func sources(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("git", "-C", root(t), "ls-files", "--cached", "--others", "--exclude-standard", "*.go").Output()
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(strings.Fields(string(out)), func(file string) bool { return strings.HasSuffix(file, "_test.go") })
}
