package yamledit_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/testtools"
	"chartd.dev/chartd/internal/yamledit"
	"go.yaml.in/yaml/v4"
)

var update = flag.Bool("update", false, "write what is measured into the page on byte-exact edits")

const page = "docs/explanation/byte-exact-edits.md"

// attempt is what one way made of an edit.
type attempt struct {
	Doc   []byte `json:"doc"`
	Error string `json:"error"`
}

type attempts struct {
	YAML   attempt `json:"yaml"`
	Kyaml  attempt `json:"kyaml"`
	splice attempt
}

type request struct {
	Doc   []byte   `json:"doc"`
	Path  []string `json:"path"`
	Value string   `json:"value"`
}

// tryAll does each edit the three ways.
func tryAll(t *testing.T, edits []request) []attempts {
	t.Helper()
	root, err := testtools.Root()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "roundtrip")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = filepath.Join(root, "internal", "tools", "roundtrip")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the program that prints YAML anew: %v\n%s", err, out)
	}
	in, err := json.Marshal(edits)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []attempts
	if err := json.Unmarshal(out, &all); err != nil || len(all) != len(edits) {
		t.Fatalf("%d results, %v", len(all), err)
	}
	for i, e := range edits {
		doc, _, err := yamledit.Set(e.Doc, e.Path, e.Value)
		if all[i].splice.Doc = doc; err != nil {
			all[i].splice.Error = err.Error()
		}
	}
	return all
}

// common is the length of the longest common subsequence of each pair of tails.
func common(a, b [][]byte) [][]int {
	out := make([][]int, len(a)+1)
	for i := range out {
		out[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if out[i][j] = max(out[i+1][j], out[i][j+1]); bytes.Equal(a[i], b[j]) {
				out[i][j] = out[i+1][j+1] + 1
			}
		}
	}
	return out
}

// lost says which lines of a file another one no longer has, by number from 0.
// A line is one with its line end.
func lost(before, after []byte) []int {
	a, b := bytes.SplitAfter(before, []byte("\n")), bytes.SplitAfter(after, []byte("\n"))
	same := common(a, b)
	var out []int
	for i, j := 0, 0; i < len(a); {
		switch {
		case j < len(b) && bytes.Equal(a[i], b[j]):
			i, j = i+1, j+1
		case j < len(b) && same[i][j+1] >= same[i+1][j]:
			j++
		default:
			if len(a[i]) > 0 {
				out = append(out, i)
			}
			i++
		}
	}
	return out
}

// apart is how many bytes are in one of two files and not in the other.
func apart(a, b []byte) int {
	return len(a) + len(b) - 2*common(eachByte(a), eachByte(b))[0][0]
}

func eachByte(b []byte) (out [][]byte) {
	for i := range b {
		out = append(out, b[i:i+1])
	}
	return out
}

// cell is how the table shows an attempt: lines that change, and bytes that
// are not as the splice leaves them.
func cell(before []byte, x, splice attempt) string {
	switch {
	case x.Error != "":
		return "refused"
	case splice.Error != "":
		return fmt.Sprintf("%d", len(lost(before, x.Doc)))
	}
	return fmt.Sprintf("%d / %d", len(lost(before, x.Doc)), apart(splice.Doc, x.Doc))
}

// also is the first line that changes beside the wanted one.
func also(before []byte, wanted int, x attempt) string {
	if x.Error != "" {
		return ""
	}
	for _, i := range lost(before, x.Doc) {
		if i != wanted {
			line := string(bytes.SplitAfter(before, []byte("\n"))[i])
			if len(line) > 50 {
				line = line[:50] + "…"
			}
			return "`" + strings.ReplaceAll(strings.NewReplacer("\r", `\r`, "\n", `\n`).Replace(line), "|", `\|`) + "`"
		}
	}
	return ""
}

// holds reports whether the file says the value at the path, as a string.
func holds(doc []byte, path []string, value string) bool {
	s, err := yamledit.Find(doc, path...)
	return err == nil && s.Value == value && s.Tag == "!!str"
}

// The page's table is what the three ways do today.
func TestPrintingAnew(t *testing.T) {
	var edits []request
	for _, s := range samples {
		edits = append(edits, request{[]byte(s.doc), strings.Split(s.path, "."), s.value})
	}
	var table strings.Builder
	table.WriteString("| file | its lines | chartctl | yaml v4 | kyaml | a line that also changes |\n|---|---|---|---|---|---|\n")
	for i, r := range tryAll(t, edits) {
		e, s := edits[i], samples[i]
		wanted := -1
		if r.splice.Error == "" {
			at := lost(e.Doc, r.splice.Doc)
			if len(at) != 1 || !holds(r.splice.Doc, e.Path, e.Value) {
				t.Errorf("%s: a splice changes the lines %d to\n%s", s.name, at, r.splice.Doc)
				continue
			}
			wanted = at[0]
		}
		for way, x := range map[string]attempt{"yaml": r.YAML, "kyaml": r.Kyaml} {
			if x.Error == "" && r.splice.Error == "" && !holds(x.Doc, e.Path, e.Value) {
				t.Errorf("%s: %s writes another value:\n%s", s.name, way, x.Doc)
			}
		}
		example := also(e.Doc, wanted, r.YAML)
		if example == "" {
			example = also(e.Doc, wanted, r.Kyaml)
		}
		fmt.Fprintf(&table, "| %s | %d | %s | %s | %s | %s |\n", s.name, bytes.Count(e.Doc, []byte("\n")),
			cell(e.Doc, r.splice, r.splice), cell(e.Doc, r.YAML, r.splice), cell(e.Doc, r.Kyaml, r.splice), example)
	}
	inPage(t, "edits", table.String())
}

// The same over every file of a real deploy repo, one value in each.
func TestPrintingAnewReal(t *testing.T) {
	root := testtools.Shared(t, "data", "deploy-repo")
	var edits []request
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".yaml") {
			return err
		}
		doc, err := os.ReadFile(path)
		if path, ok := firstText(doc); ok {
			edits = append(edits, request{doc, path, "2024.5.1"})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var total int
	ways := []string{"chartctl", "yaml v4", "kyaml"}
	files, changed, refused := map[string]int{}, map[string]int{}, map[string]int{}
	for i, r := range tryAll(t, edits) {
		total += bytes.Count(edits[i].Doc, []byte("\n"))
		for j, x := range []attempt{r.splice, r.YAML, r.Kyaml} {
			n := len(lost(edits[i].Doc, x.Doc))
			switch {
			case x.Error != "":
				refused[ways[j]]++
			case n > 1:
				files[ways[j]]++
				fallthrough
			default:
				changed[ways[j]] += n
			}
		}
	}
	if files["chartctl"]+refused["chartctl"] > 0 || changed["chartctl"] != len(edits) {
		t.Errorf("of %d splices %d change more than a line, %d are refused", len(edits), files["chartctl"], refused["chartctl"])
	}
	var table strings.Builder
	fmt.Fprintf(&table, "One value in each of %d files with %d lines:\n\n| way | lines changed | files with more than the wanted line changed |\n|---|---|---|\n", len(edits), total)
	for _, way := range ways {
		fmt.Fprintf(&table, "| %s | %d | %d |\n", way, changed[way], files[way])
	}
	inPage(t, "real", table.String())
}

// firstText is the path of a file's first value that can be set.
func firstText(doc []byte) (path []string, ok bool) {
	f, err := yamledit.Parse(doc, yamledit.Limits{})
	if err != nil || len(f.Documents()) == 0 || f.Documents()[0] == nil {
		return nil, false
	}
	var walk func(n *yaml.Node, path []string) []string
	walk = func(n *yaml.Node, path []string) []string {
		if n.Kind == yaml.ScalarNode {
			if _, _, err := yamledit.Set(doc, path, "2024.5.1"); err == nil && n.Value != "" {
				return path
			}
			return nil
		}
		for i, c := range n.Content {
			key := strconv.Itoa(i)
			if n.Kind == yaml.MappingNode {
				if i%2 == 0 {
					continue
				}
				key = n.Content[i-1].Value
			}
			if found := walk(c, append(path[:len(path):len(path)], key)); found != nil {
				return found
			}
		}
		return nil
	}
	path = walk(f.Documents()[0], nil)
	return path, path != nil
}

// inPage checks what stands between two marks of the page, or writes it there.
func inPage(t *testing.T, mark, want string) {
	t.Helper()
	root, err := testtools.Root()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(root, filepath.FromSlash(page))
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	part := regexp.MustCompile(`(?s)(<!-- ` + mark + ` -->\n)(.*?)(<!-- end -->)`)
	found := part.FindSubmatch(text)
	switch {
	case found == nil:
		t.Fatalf("%s has no part %q", page, mark)
	case *update:
		out := part.ReplaceAllFunc(text, func([]byte) []byte { return []byte(string(found[1]) + want + string(found[3])) })
		if err := os.WriteFile(name, out, 0o644); err != nil {
			t.Fatal(err)
		}
	case string(found[2]) != want:
		t.Errorf("%s shows\n%s\nand today it is\n%s\n(go test ./internal/yamledit -run PrintingAnew -update)", page, found[2], want)
	}
}
