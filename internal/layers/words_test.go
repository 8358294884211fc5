package layers

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const vocabulary = module + "internal/model"

// words of the vocabulary that mean nothing else, so that a plain text is one
// of them too.
var words = []string{"no-images", "chart-values", "base-layers", "values-only", "base-label", "verified", "unverified", "everything"}

// compiled is a package with its files and with what it exports.
type compiled struct {
	ImportPath, Dir, Export string
	GoFiles                 []string
}

// A word of the vocabulary stands in its room alone: elsewhere it is a name, so
// that the compiler knows it and a reader finds all of its places.
func TestWordsStandInTheirRoom(t *testing.T) {
	exports, ours := built(t)
	files := token.NewFileSet()
	imports := importer.ForCompiler(files, "gc", func(path string) (io.ReadCloser, error) {
		file, ok := exports[path]
		if !ok {
			return nil, errors.New("not built: " + path)
		}
		return os.Open(file)
	})
	for _, p := range ours {
		if p.ImportPath == vocabulary || isSupport(strings.TrimPrefix(p.ImportPath, module)) {
			continue
		}
		for _, found := range literals(t, files, imports, p) {
			t.Errorf("%s: %s of the vocabulary is written out: use its name in internal/model", files.Position(found.Pos()), found.Value)
		}
	}
}

// The test finds what it looks for.
func TestLiteralsAreFound(t *testing.T) {
	exports, _ := built(t)
	dir := t.TempDir()
	source := `package x
import "chartd.dev/chartd/internal/model"
func f(k model.Kind, s string) bool { return k == "bump" || k == model.Kind("fix") || s == "base-layers" || s == "bump" || k == "" }
var g = map[model.Kind]string{"adopt": "everything else"}
`
	if err := os.WriteFile(filepath.Join(dir, "x.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	files := token.NewFileSet()
	imports := importer.ForCompiler(files, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	var got []string
	for _, l := range literals(t, files, imports, compiled{ImportPath: "x", Dir: dir, GoFiles: []string{"x.go"}}) {
		got = append(got, l.Value)
	}
	if want := []string{`"bump"`, `"fix"`, `"base-layers"`, `"adopt"`}; !slices.Equal(got, want) {
		t.Errorf("found %s, want %s", got, want)
	}
}

// literals are the words of the vocabulary that a package writes out: texts
// whose type is of the vocabulary, or that mean nothing else.
func literals(t *testing.T, files *token.FileSet, imports types.Importer, p compiled) []*ast.BasicLit {
	t.Helper()
	var parsed []*ast.File
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(files, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, f)
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	if _, err := (&types.Config{Importer: imports}).Check(p.ImportPath, files, parsed, info); err != nil {
		t.Fatal(err)
	}
	var out []*ast.BasicLit
	for _, f := range parsed {
		ast.Inspect(f, func(n ast.Node) bool {
			l, ok := n.(*ast.BasicLit)
			if !ok || l.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(l.Value)
			if err == nil && text != "" && (ofVocabulary(info.TypeOf(l)) || slices.Contains(words, text)) {
				out = append(out, l)
			}
			return true
		})
	}
	return out
}

func ofVocabulary(t types.Type) bool {
	n, ok := t.(*types.Named)
	return ok && n.Obj().Pkg() != nil && n.Obj().Pkg().Path() == vocabulary
}

// built are the packages of the module, and what each package that they need
// exports.
func built(t *testing.T) (exports map[string]string, ours []compiled) {
	t.Helper()
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles", "./...")
	cmd.Dir = root(t)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	exports = map[string]string{}
	for dec := json.NewDecoder(out); ; {
		var p compiled
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		exports[p.ImportPath] = p.Export
		if strings.HasPrefix(p.ImportPath, module) {
			ours = append(ours, p)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("go list: %v", err)
	}
	return exports, ours
}
