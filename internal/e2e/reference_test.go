package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/testtools"
)

const cliHead = `# Commands

What each command prints for ` + "`--help`" + `. Exit codes of ` + "`chartctl`" + ` are in the
[API reference](api.md#errors).
`

// cliReference walks both programs' commands.
func cliReference(t *testing.T) []byte {
	var out bytes.Buffer
	out.WriteString(cliHead)
	for _, program := range []string{"chartctl", "chartd"} {
		binary := testtools.Chartctl(t)
		if program == "chartd" {
			binary = testtools.Chartd(t)
		}
		walkHelp(t, &out, binary, program, nil)
	}
	return out.Bytes()
}

func walkHelp(t *testing.T, out *bytes.Buffer, binary, program string, path []string) {
	t.Helper()
	r, err := rig.Run(t.Context(), "", []string{"COLUMNS=100"}, binary, append(path, "--help")...)
	if err != nil || r.Code != 0 {
		t.Fatalf("%s %s --help: %v, exit %d\n%s", program, strings.Join(path, " "), err, r.Code, r.Text())
	}
	title := strings.Join(append([]string{program}, path...), " ")
	if !strings.Contains(r.Out, "Usage:\n  "+title) {
		return // what looked like a command in the help is none
	}
	fmt.Fprintf(out, "\n## %s\n\n```text\n%s\n```\n", title, strings.TrimSpace(r.Out))
	for _, name := range subcommands(r.Out) {
		if name != "help" && name != "completion" {
			walkHelp(t, out, binary, program, append(append([]string(nil), path...), name))
		}
	}
}

var commandLine = regexp.MustCompile(`^  ([a-z][a-z-]*) {2,}\S`)

// subcommands reads the names from the lists of commands that help prints.
func subcommands(help string) []string {
	var out []string
	in := false
	for line := range strings.Lines(help) {
		line = strings.TrimRight(line, "\n")
		if strings.HasSuffix(line, ":") {
			in = strings.Contains(line, "ommands") || !strings.Contains(line, "lags") && !strings.Contains(line, "sage") && !strings.Contains(line, "xample")
			continue
		}
		if m := commandLine.FindStringSubmatch(line); in && m != nil {
			out = append(out, m[1])
		}
	}
	return out
}

const configHead = `# Configuration of chartd

Each option is a flag of ` + "`chartd serve`" + `, an environment variable, and a key of the
YAML file that ` + "`--config`" + ` names (keys are the flags without dashes in front). A
flag goes before the environment, that before the file, that before the default.
Sizes take the units KiB, MiB and GiB; durations are written as 30s, 5m or 1h;
rates as 5/s, 60/m or 1000/h ([limits](limits.md)).

` + "```yaml" + `
# chartd.yaml
listen: 127.0.0.1:8879
data: /var/lib/chartd
registry-mirror:
  - docker.io=mirror.example.edu
` + "```" + `

Memory: the heap grows by 64 MB, or by a quarter of what is in use where that is more,
until it is collected. ` + "`GOGC` and `GOMEMLIMIT`" + `, the Go runtime's own variables, replace
that rule where one of them is set. There is one Go processor more than there are cores,
for the one that waits for the disk; ` + "`GOMAXPROCS`" + ` replaces that.

## Options

` + "```text" + `
`

func configReference(t *testing.T) []byte {
	r, err := rig.Run(t.Context(), "", nil, testtools.Chartd(t), "serve", "--help")
	if err != nil || r.Code != 0 {
		t.Fatalf("chartd serve --help: %v, exit %d\n%s", err, r.Code, r.Text())
	}
	_, flags, ok := strings.Cut(r.Out, "Flags:\n")
	if !ok {
		t.Fatalf("no flags in\n%s", r.Out)
	}
	return []byte(configHead + strings.TrimRight(flags, "\n") + "\n```\n")
}

// apiReference puts the table of routes, from the server's own description,
// into the page.
func apiReference(t *testing.T) []byte {
	root, err := testtools.Root()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "reference", "api.md"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := rig.Start(t.Context(), rig.ServerConfig{Binary: testtools.Chartd(t), Data: filepath.Join(t.TempDir(), "data")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Kill()
	var doc struct {
		Paths map[string]map[string]struct {
			Summary   string         `json:"summary"`
			Responses map[string]any `json:"responses"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(get(t, s.URL+"/api/v1/openapi.json"), &doc); err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("| route | what | success |\n|---|---|---|\n")
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		for _, method := range []string{"get", "post", "delete"} {
			op, ok := doc.Paths[path][method]
			if !ok {
				continue
			}
			good := slices.DeleteFunc(slices.Sorted(maps.Keys(op.Responses)), func(c string) bool { return c >= "4" })
			fmt.Fprintf(&table, "| `%s %s` | %s | %s |\n", strings.ToUpper(method), path, op.Summary, strings.Join(good, ", "))
		}
	}
	head, rest, ok := strings.Cut(string(page), "-update -->\n")
	_, tail, ok2 := strings.Cut(rest, "<!-- end of routes -->")
	if !ok || !ok2 {
		t.Fatal("docs/reference/api.md has lost the marks around its table of routes")
	}
	return []byte(head + "-update -->\n" + table.String() + "<!-- end of routes -->" + tail)
}
