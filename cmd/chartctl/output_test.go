package main

import (
	"bytes"
	"context"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy/move"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

func newApp(env map[string]string) (*app, *bytes.Buffer, *bytes.Buffer) {
	var out, errs bytes.Buffer
	a := &app{in: strings.NewReader(""), out: &out, err: &errs,
		getenv: func(k string) string { return env[k] },
		now:    func() time.Time { return time.Unix(1700000000, 0) }}
	return a, &out, &errs
}

// A narrow table keeps what the next command is told, and the digest.
func TestTableKeepsNames(t *testing.T) {
	w := &writer{}
	chart, image := "jupyterhub@4.0.0-beta.4.git.6811.h45e6fbd9", "20250101-000000.git.9000.habcdef99@19f41d74"
	w.table([]string{"REV", "CHART", "IMAGE", "REASON"}, [][]string{{"3", chart, image, strings.Repeat("why ", 20)}})
	out := w.buf.String()
	if !strings.Contains(out, "  "+chart+"  ") || !strings.Contains(out, "…@19f41d74  ") {
		t.Errorf("cut:\n%s", out)
	}
	for line := range strings.Lines(out) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

// What is pinned already has not moved, and a shared pair is told once.
func TestPinLines(t *testing.T) {
	a, out, _ := newApp(nil)
	a.output = "table"
	back := &api.Direction{Chart: model.Same, Image: model.Back}
	pin := func(env string, rev uint64) api.Pin {
		e, err := ref.ParseEnv(env)
		if err != nil {
			t.Fatal(err)
		}
		return api.Pin{Env: e, Revision: rev, Name: "jupyterhub", Version: "1.0.0", Kind: model.Bump, Direction: back}
	}
	old, made := pin("data8/prod", 4), pin("r/prod", 5)
	if err := a.moved(move.Outcome{Pins: []move.Now{{Pin: old}, {Pin: made, Made: true}}}, nil); err != nil {
		t.Fatal(err)
	}
	want := "data8/prod is at revision 4: jupyterhub@1.0.0 (bump)\n" +
		"r/prod is at revision 5: jupyterhub@1.0.0 (bump)\n  direction    chart same, image back\n"
	if got := out.String(); !strings.HasPrefix(got, want) || strings.Count(got, "  binding ") != 1 {
		t.Errorf("%s\nwant first\n%s", got, want)
	}
}

// Every command says what it does, with an example, and its help fits a
// terminal.
func TestHelp(t *testing.T) {
	a, _, _ := newApp(nil)
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Name() == "help" || c.Name() == "completion" {
			return
		}
		if c.Short == "" || !strings.Contains(c.Example, c.CommandPath()) {
			t.Errorf("%s: short help %q, example %q", c.CommandPath(), c.Short, c.Example)
		}
		if c.HasParent() && !c.HasSubCommands() && c.Args == nil {
			t.Errorf("%s takes any arguments", c.CommandPath())
		}
		var buf bytes.Buffer
		c.SetOut(&buf)
		if err := c.Help(); err != nil {
			t.Error(err)
		}
		for line := range strings.Lines(buf.String()) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 130 {
				t.Errorf("%s --help has a line of %d columns: %s", c.CommandPath(), n, line)
			}
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(a.root())
}

// The help of the root lists each exit code that a command can have.
func TestExitCodesAreDocumented(t *testing.T) {
	a, _, _ := newApp(nil)
	long := a.root().Long
	for _, n := range []string{"0", "1", "2", "3", "4", "5", "6", "8", "9", "10", "11"} {
		if !regexp.MustCompile(`(?m)(^|\s)` + n + `  \S`).MatchString(long) {
			t.Errorf("exit code %s is not in the help", n)
		}
	}
}

// Of a state nothing is cut: it goes on in the next line.
func TestTableFolds(t *testing.T) {
	w := &writer{}
	state := "HALTED, BREAK-GLASS, unverified, tag moved"
	w.table([]string{"ENVIRONMENT", "CHART", "REV", "IMAGE", "STATE", "VERDICT", "SOAK", "UPSTREAM"}, [][]string{
		{"data8/prod", "jupyterhub@4.0.0-beta.4.git.6811.h45e6fbd9", "12", "2026.1@19f41d74", state, "unknown", "-", "staging has 4.0.0-beta.4.git.6815.h45e6fbd9"},
		{"r/prod", "jupyterhub@3.3.7", "1", "2026.1@19f41d74", "verified", "passed", "2h", "same"}})
	out := w.buf.String()
	lines := strings.Split(out, "\n")
	if len(lines) < 5 || !strings.HasPrefix(lines[len(lines)-2], "r/prod ") {
		t.Fatalf("folded rows:\n%s", out)
	}
	for from, want := range map[string]string{"STATE": state, "UPSTREAM": "staging has 4.0.0-beta.4.git.6815.h45e6fbd9"} {
		column, text := utf8.RuneCountInString(lines[0][:strings.Index(lines[0], from)]), ""
		for _, line := range lines[1 : len(lines)-2] {
			if r := []rune(line); len(r) > column {
				text += strings.SplitN(string(r[column:]), "  ", 2)[0]
			}
		}
		if strings.ReplaceAll(text, " ", "") != strings.ReplaceAll(want, " ", "") {
			t.Errorf("%s says %q, want %q:\n%s", from, text, want, out)
		}
	}
	for _, line := range lines {
		if n := utf8.RuneCountInString(line); n > width {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestTableFits(t *testing.T) {
	w := &writer{}
	long := strings.Repeat("é", 90)
	w.table([]string{"A", "B", "C"}, [][]string{{"short", long, long}, {"x\x1b[31mred", "line\nbreak", ""}})
	for line := range strings.Lines(w.buf.String()) {
		line = strings.TrimSuffix(line, "\n")
		if n := utf8.RuneCountInString(line); n > width {
			t.Errorf("line has %d columns: %s", n, line)
		}
		if strings.HasSuffix(line, " ") {
			t.Errorf("line ends in a space: %q", line)
		}
	}
	text := w.buf.String()
	if !strings.Contains(text, "…") || strings.Contains(text, "\x1b") || !strings.Contains(text, "line break") {
		t.Errorf("table is\n%s", text)
	}
}

// Real lists, with the longest names there are, fit too.
func TestListsFit(t *testing.T) {
	env, err := ref.ParseEnv(strings.Repeat("h", 63) + "/" + strings.Repeat("s", 63))
	if err != nil {
		t.Fatal(err)
	}
	repo, err := ref.ParseRepository("quay.io/" + strings.Repeat("a", 200))
	if err != nil {
		t.Fatal(err)
	}
	image := api.BoundImage{Role: "hub", Image: ref.Image{Repository: repo, Digest: ref.DigestOf(nil)}, Tag: strings.Repeat("t", 128), Required: true}
	pin := api.Pin{Env: env, Revision: 1 << 40, Name: strings.Repeat("n", 63), Version: strings.Repeat("1", 128),
		Images: []api.BoundImage{image}, Kind: model.Promote, From: env.String(), By: strings.Repeat("b", 200), Reason: strings.Repeat("r", 500)}
	binding := api.Binding{State: model.Verified, Evidence: model.ChartValues}
	w := &writer{}
	up := api.Stage{Env: env, Held: "2160h", Need: "2160h"}
	statusTable(w, []api.EnvironmentStatus{
		{Environment: api.Environment{Env: env, Pin: &pin, Binding: &binding}, Verdict: model.Passed, Held: "2160h", Stages: []api.Stage{up}},
		{Environment: api.Environment{Env: env, Chart: "jupyterhub"}},
	}, map[string]api.EnvironmentStatus{env.String(): {Environment: api.Environment{Pin: &pin}}})
	pinTable(w, []api.Pin{pin})
	chartTable(w, []api.Chart{{Name: pin.Name, Version: pin.Version, Binding: &binding}}, nil, false)
	for line := range strings.Lines(w.buf.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
			t.Errorf("line has %d columns: %s", n, line)
		}
	}
}

// YAML output has the keys of the JSON, and its strings stay strings.
func TestYAMLIsTheJSON(t *testing.T) {
	a, out, _ := newApp(nil)
	a.output = "yaml"
	v := map[string]any{"a": "1.10", "b": "no", "c": []string{}, "d": 5, "e": "1e3", "f": true, "g": "2001-01-01", "h": "", "i": nil, "j": []any{map[string]string{"k": "a: b"}}}
	if err := a.print(v, nil); err != nil {
		t.Fatal(err)
	}
	want := `a: "1.10"
b: "no"
c: []
d: 5
e: "1e3"
f: true
g: "2001-01-01"
h: ""
i: null
j:
  - k: 'a: b'
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestColourOnlyWhereItIsWanted(t *testing.T) {
	w := &writer{colour: true}
	w.table([]string{"STATE"}, [][]string{{"verified"}})
	if !strings.Contains(w.buf.String(), "\x1b[32mverified") {
		t.Errorf("with colour: %q", w.buf.String())
	}
	a, _, _ := newApp(nil)
	if a.colour() {
		t.Error("a buffer is no terminal")
	}
}

func TestProgressOfALog(t *testing.T) {
	a, _, errs := newApp(nil)
	at := time.Unix(0, 0)
	a.now = func() time.Time { return at }
	p := a.progress("reading")
	for i := range 12 {
		at = at.Add(time.Second)
		p.show(i, 12, "x")
	}
	p.show(12, 12, "")
	p.end()
	want := "reading: 4 of 12\nreading: 9 of 12\nreading: 12 of 12\n"
	if d := cmp.Diff(want, errs.String()); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// A short run is silent.
func TestProgressOfAShortRun(t *testing.T) {
	a, _, errs := newApp(nil)
	p := a.progress("reading")
	p.show(0, 1, "x")
	p.show(1, 1, "x")
	p.end()
	if errs.Len() != 0 {
		t.Errorf("wrote %q", errs)
	}
}

func TestNewestOfEach(t *testing.T) {
	chart := func(version string, seq uint64) api.Chart {
		return api.Chart{Name: "hub", Version: version, Seq: seq, State: model.Listed}
	}
	yanked := chart("9.0.0", 9)
	yanked.State = model.Yanked
	imported := chart("0.1.0", 8)
	imported.OrderUnknown = true
	list := []api.Chart{chart("1.0.0", 1), chart("2.0.0", 2), chart("1.0.1", 3), chart("3.0.0-rc.1", 4), imported, yanked}
	for _, tt := range []struct {
		devel bool
		want  string
	}{{false, "1.0.1"}, {true, "3.0.0-rc.1"}} {
		for range 3 {
			got := newestOfEach(list, tt.devel)
			if len(got) != 1 || got[0].Version != tt.want {
				t.Errorf("devel %v: newest is %+v, want %s", tt.devel, got, tt.want)
			}
			slices.Reverse(list)
		}
	}
}

func TestParseTTL(t *testing.T) {
	for in, want := range map[string]string{"90d": "2160h", "12h": "12h", "0": "0", "0d": "", "-1h": "", "d": "", "x": "", "1.5d": ""} {
		got, err := parseTTL(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("ttl %q is %q, %v, want %q", in, got, err, want)
		}
	}
}

// The message of an error is one line, whatever a server puts into it.
func TestErrorsAreOneLine(t *testing.T) {
	a, _, errs := newApp(nil)
	if code := a.run(context.Background(), []string{"bump", "a\n\x1b[31mb"}); code != api.ExitUsage {
		t.Errorf("exit %d", code)
	}
	if s := errs.String(); strings.Count(s, "\n") != 1 || strings.Contains(s, "\x1b") || !strings.HasPrefix(s, "chartctl: ") {
		t.Errorf("standard error is %q", s)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestOutputThatCannotBeWritten(t *testing.T) {
	a, _, _ := newApp(nil)
	a.out = broken{}
	if code := a.run(context.Background(), []string{"token", "list", "--server", "http://127.0.0.1:1"}); code != api.ExitUnavailable {
		t.Errorf("exit %d, want %d", code, api.ExitUnavailable)
	}
	a.output = "json"
	err := a.print(1, nil)
	if e, ok := err.(*api.Error); !ok || e.Code != api.CodeLocalIO {
		t.Errorf("error is %v", err)
	}
}
