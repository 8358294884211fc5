package layers

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// What somebody is told to type is made in internal/advice, where each line is
// held against the command; the help and the examples of cmd/chartctl are its own.
func TestCommandLinesHaveOneRoom(t *testing.T) {
	line := commandLine(t)
	for _, text := range []string{"see chartctl bump a/b", "run: chartctl lock resolve", "chartctl "} {
		if !line.MatchString(text) {
			t.Errorf("%q is found to be no command line", text)
		}
	}
	if text := "the chartctl that wrote the file"; line.MatchString(text) {
		t.Errorf("%q is found to be a command line", text)
	}
	for _, path := range sources(t) {
		room := filepath.ToSlash(filepath.Dir(path))
		if room == "internal/advice" || room == "cmd/chartctl" || isSupport(room) {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root(t), path), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			if text, err := strconv.Unquote(lit.Value); err != nil || line.MatchString(text) {
				t.Errorf("%s: %s has a command line (%v); internal/advice makes them", path, lit.Value, err)
			}
			return true
		})
	}
}

// commandLine finds the commands that the reference documents, and a command
// that is put together.
func commandLine(t *testing.T) *regexp.Regexp {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root(t), "docs", "reference", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"$"}
	for _, m := range regexp.MustCompile(`(?m)^## chartctl ([a-z]+)$`).FindAllSubmatch(page, -1) {
		names = append(names, string(m[1])+`\b`)
	}
	if len(names) < 20 {
		t.Fatalf("the reference documents %q", names)
	}
	return regexp.MustCompile(`\bchartctl (` + strings.Join(names, "|") + `)`)
}
