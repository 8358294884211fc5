package lockfile

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

var update = flag.Bool("update", false, "write the examples of the page on the lock file again")

var page = filepath.Join("..", "..", "..", "docs", "reference", "lockfile.md")

func pageText(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// inPage checks what stands between two marks of the page, or writes it there.
func inPage(t *testing.T, mark, want string) {
	t.Helper()
	text := pageText(t)
	before, rest, ok := strings.Cut(text, "<!-- "+mark+" -->\n")
	got, after, ok2 := strings.Cut(rest, "<!-- end -->")
	switch {
	case !ok || !ok2:
		t.Fatalf("the page has no part %q", mark)
	case *update:
		if err := os.WriteFile(page, []byte(before+"<!-- "+mark+" -->\n"+want+"<!-- end -->"+after), 0o644); err != nil {
			t.Fatal(err)
		}
	case got != want:
		t.Errorf("the page shows\n%s\nand it is\n%s", got, want)
	}
}

func TestDocumentedExample(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "v1.lock"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	var asYAML map[string]string
	if err := yaml.Unmarshal(data, &asYAML); err != nil || asYAML["data8/prod source"] != source || len(asYAML) != 22 {
		t.Errorf("as YAML it has %d keys: %v", len(asYAML), err)
	}
	inPage(t, "example", "```yaml\n"+string(data)+"```\n")
	e := f.Entries[0]
	hashed := e.Key + "\n" + strings.Join(slices.Sorted(slices.Values(e.lines())), "\n") + "\n"
	// The command that a reader would type makes the same.
	command := fmt.Sprintf("{ echo %s; grep '^%s ' chartd.lock | grep -v ' sum: ' | LC_ALL=C sort; } | sha256sum", e.Key, e.Key)
	run := exec.Command("sh", "-c", strings.ReplaceAll(command, Name, filepath.Join("testdata", "v1.lock")))
	out, err := run.Output()
	if err != nil {
		t.Fatal(err)
	}
	digits, _, _ := strings.Cut(string(out), " ")
	raw, err := hex.DecodeString(digits)
	if err != nil || "s1:"+base64.RawURLEncoding.EncodeToString(raw) != e.Sum() {
		t.Fatalf("%s prints %q (%v), and the sum is %s", command, out, err, e.Sum())
	}
	inPage(t, "sum", "```\n"+hashed+"```\n\nTheir SHA-256 is\n`"+digits+"`,\nso the sum is `"+e.Sum()+"`:\n\n```sh\n"+command+"\n```\n")
}

// Every message is on the page, and the page has none that nobody sees.
func TestDocumentedErrors(t *testing.T) {
	_, table, _ := strings.Cut(pageText(t), "| message | why |")
	table, _, _ = strings.Cut(table, "\n## ")
	seen := map[*regexp.Regexp]bool{}
	for row := range strings.Lines(table) {
		messages, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " | ")
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(messages, -1) {
			seen[regexp.MustCompile("^"+strings.ReplaceAll(regexp.QuoteMeta(m[1]), "…", ".*")+"$")] = false
		}
	}
	check := func(name string, data []byte) {
		var syntax *SyntaxError
		if _, err := Parse(data); !errors.As(err, &syntax) {
			t.Fatalf("%s: %v", name, err)
		}
		text, found := strings.TrimSuffix(syntax.Text, "; "+mend), false
		for pattern := range seen {
			if pattern.MatchString(text) {
				seen[pattern], found = true, true
			}
		}
		if !found {
			t.Errorf("%s: the page does not have %q", name, text)
		}
	}
	for _, c := range hostileCases(t) {
		check(c.name, []byte(c.data))
	}
	for _, c := range unlikely {
		e := sample().Entries[1]
		c.change(&e)
		check(c.name, File{[]Entry{e}}.Bytes())
	}
	for pattern, used := range seen {
		if !used {
			t.Errorf("the page has %s, which no file gets", pattern)
		}
	}
}
