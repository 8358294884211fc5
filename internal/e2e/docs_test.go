package e2e

import (
	"bytes"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/e2e/console"
	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/testtools"
)

var update = flag.Bool("update", false, "write the real output into the documentation")

// Every console block of the documentation is run, page by page, and prints
// what the page shows.
func TestDocumentation(t *testing.T) {
	root, err := testtools.Root()
	if err != nil {
		t.Fatal(err)
	}
	pages := []string{filepath.Join(root, "README.md")}
	err = filepath.WalkDir(filepath.Join(root, "docs"), func(path string, d fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".md") {
			pages = append(pages, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range pages {
		name, _ := filepath.Rel(root, path)
		t.Run(name, func(t *testing.T) { runPage(t, path, name) })
	}
}

func runPage(t *testing.T, path, name string) {
	t.Parallel()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	checkLinks(t, path, string(text))
	page := console.Parse(string(text))
	if len(page.Steps) == 0 {
		return
	}
	dir := t.TempDir()
	p, err := rig.StartPlayground(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	addrs := map[string]string{
		strings.TrimPrefix(p.Server.URL, "http://"): "127.0.0.1:8879", p.Registry.Addr: "127.0.0.1:5000", dir: "/tmp/demo",
	}
	s := console.NewSession(dir, p.Dir, p.Env)
	var outs []string
	for _, step := range page.Steps {
		out, err := s.Run(t.Context(), step.Command)
		if err != nil {
			t.Fatal(step.Err(name, out, err))
		}
		got := console.Steady(out, addrs)
		if want := strings.TrimRight(step.Output, "\n"); got != want && !*update {
			t.Errorf("%s:%d: $ %s\nprints\n%s\nthe page shows (go test ./internal/e2e -run Documentation -update)\n%s", name, step.Line, step.Command, got, want)
		}
		outs = append(outs, got)
	}
	if *update {
		if err := os.WriteFile(path, []byte(page.With(outs)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// checkLinks checks that relative links lead somewhere.
func checkLinks(t *testing.T, path, text string) {
	t.Helper()
	for _, part := range strings.Split(text, "](")[1:] {
		target, _, _ := strings.Cut(part, ")")
		target, _, _ = strings.Cut(target, "#")
		if target == "" || strings.Contains(target, "://") {
			continue
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(path), target)); err != nil {
			t.Errorf("%s links to %q: %v", path, target, err)
		}
	}
}

// The demo is the tutorial, played to the end.
func TestDemo(t *testing.T) {
	root, err := testtools.Root()
	if err != nil {
		t.Fatal(err)
	}
	tmp := t.TempDir()
	r, err := rig.Run(t.Context(), root, []string{"TMPDIR=" + tmp}, "go", "run", "./internal/demo")
	if err != nil || r.Code != 0 {
		t.Fatalf("demo: %v, exit %d\n%s", err, r.Code, r.Text())
	}
	wants(t, "demo", r.Out, "@sha256:", "rollback", "To try next")
	left, err := filepath.Glob(filepath.Join(tmp, "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("the demo left %q (%v)", left, err)
	}
}

// The reference of the commands and options is what the programs print.
func TestReferenceIsCurrent(t *testing.T) {
	root, err := testtools.Root()
	if err != nil {
		t.Fatal(err)
	}
	for name, generate := range map[string]func(*testing.T) []byte{"cli.md": cliReference, "config.md": configReference, "api.md": apiReference} {
		path := filepath.Join(root, "docs", "reference", name)
		want := generate(t)
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the programs print (%v): go test ./internal/e2e -run Reference -update", name, err)
		}
	}
}
