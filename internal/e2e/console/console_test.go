package console

import (
	"strings"
	"testing"
)

const page = "# One\ntext\n```console\n$ echo a \\\n  b\na b\n$ export X=1\n```\n```yaml\n$ not: this\n```\n## Two\n```console\n$ echo $X\nold\n```\nend\n"

func TestPage(t *testing.T) {
	p := Parse(page)
	if len(p.Steps) != 3 || p.Steps[0].Output != "a b\n" || p.Steps[2].Heading != "Two" || p.Steps[2].Line != 14 {
		t.Fatalf("steps: %+v", p.Steps)
	}
	s := NewSession(t.TempDir(), t.TempDir(), []string{"PATH=/usr/bin:/bin"})
	var outs []string
	for _, step := range p.Steps {
		out, err := s.Run(t.Context(), step.Command)
		if err != nil {
			t.Fatal(step.Err("page", out, err))
		}
		outs = append(outs, out)
	}
	if want := strings.Replace(page, "old\n", "1\n", 1); p.With(outs) != want {
		t.Errorf("with the real output:\n%s\nwant\n%s", p.With(outs), want)
	}
	if _, err := s.Run(t.Context(), "false"); err == nil {
		t.Error("a command that failed passed")
	}
}

func TestSteady(t *testing.T) {
	got := Steady("at 2024-05-06T07:08:09.5Z from http://127.0.0.1:4711  \n", map[string]string{"127.0.0.1:4711": "127.0.0.1:8879"})
	if got != "at 2026-01-31T12:00:00Z from http://127.0.0.1:8879" {
		t.Errorf("got %q", got)
	}
}
