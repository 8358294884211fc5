package layers

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// JSON from outside is read strictly in one room. A walk over the tokens of
// encoding/json, or its decoder told to be strict, is the beginning of a second
// reader, which would refuse other things than the first.
func TestOneReaderOfStrictJSON(t *testing.T) {
	out, err := exec.Command("git", "-C", root(t), "ls-files", "*.go").Output()
	if err != nil {
		t.Fatal(err)
	}
	looked := 0
	for _, name := range strings.Fields(string(out)) {
		room := filepath.Dir(name)
		if strings.HasSuffix(name, "_test.go") || room == "internal/strictjson" || isSupport(room) {
			continue
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, filepath.Join(root(t), name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		looked++
		for _, at := range strictReaders(file) {
			t.Errorf("%s reads JSON strictly by itself; internal/strictjson does", files.Position(at))
		}
	}
	if looked < 100 {
		t.Errorf("only %d files were looked at", looked)
	}
}

func TestASecondReaderIsFound(t *testing.T) {
	for body, want := range map[string]int{
		"d := json.NewDecoder(r); d.DisallowUnknownFields()": 1,
		"x, _ := d.Token(); _ = x == json.Delim('{')":        2,
		"_ = json.NewDecoder(r).Decode(&v)":                  0,
		"_ = p.Token(name)":                                  0,
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\nimport \"encoding/json\"\nfunc f() {"+body+"}", 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(strictReaders(file)); got != want {
			t.Errorf("%s: %d places, want %d", body, got, want)
		}
	}
}

// strictReaders are the places of a file where it reads JSON token by token, or
// refuses what encoding/json takes. Its syntax alone tells.
func strictReaders(file *ast.File) (at []token.Pos) {
	json := false
	for _, i := range file.Imports {
		json = json || i.Path.Value == `"encoding/json"`
	}
	if !json {
		return nil
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if n.Sel.Name == "DisallowUnknownFields" || n.Sel.Name == "Delim" {
				at = append(at, n.Pos())
			}
		case *ast.CallExpr:
			if s, ok := n.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Token" && len(n.Args) == 0 {
				at = append(at, n.Pos())
			}
		}
		return true
	})
	return at
}
