// Package console runs the ```console blocks of a Markdown page as one shell
// session, so that the commands and the output that documentation shows are
// those that people get. Test support only.
package console

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

// Step is one command of a page and what the page shows below it.
type Step struct {
	Heading string // the last heading or paragraph line before it, for people
	Command string
	Output  string
	Line    int // of the command in the page, from 1
}

// Page is a parsed Markdown page.
type Page struct {
	Steps []Step
	lines []string
	spans [][2]int // of each step's output: first line and the one after the last
}

// Parse finds the console blocks of a page. A command starts with "$ ", goes
// on after a backslash at the end of a line, and its output follows it.
func Parse(text string) Page {
	p := Page{lines: strings.Split(text, "\n")}
	in, heading := false, ""
	for i := 0; i < len(p.lines); i++ {
		line := p.lines[i]
		switch {
		case !in && line == "```console":
			in = true
		case in && line == "```":
			in = false
		case !in && strings.HasPrefix(line, "#"):
			heading = strings.TrimSpace(strings.TrimLeft(line, "#"))
		case in && strings.HasPrefix(line, "$ "):
			step := Step{Heading: heading, Command: line[2:], Line: i + 1}
			for strings.HasSuffix(p.lines[i], `\`) {
				i++
				step.Command += "\n" + p.lines[i]
			}
			from := i + 1
			for i+1 < len(p.lines) && p.lines[i+1] != "```" && !strings.HasPrefix(p.lines[i+1], "$ ") {
				i++
				step.Output += p.lines[i] + "\n"
			}
			p.Steps = append(p.Steps, step)
			p.spans = append(p.spans, [2]int{from, i + 1})
		}
	}
	return p
}

// With returns the page's text with other outputs, one for each step.
func (p Page) With(outputs []string) string {
	var out []string
	at := 0
	for i, span := range p.spans {
		out = append(out, p.lines[at:span[0]]...)
		if o := strings.TrimSuffix(outputs[i], "\n"); o != "" {
			out = append(out, strings.Split(o, "\n")...)
		}
		at = span[1]
	}
	return strings.Join(append(out, p.lines[at:]...), "\n")
}

// Session is a shell whose directory and variables last from one command to
// the next.
type Session struct {
	dir   string // keeps the shell's state
	start string
	env   []string
}

// NewSession starts in the directory start. Of the surrounding environment
// only what env names and PATH is there.
func NewSession(state, start string, env []string) *Session {
	return &Session{dir: state, start: start, env: env}
}

const wrapper = `
state=$1 start=$2
if [ -f "$state/env" ]; then . "$state/env"; cd "$(cat "$state/cwd")"; else cd "$start"; fi
. "$state/command"
code=$?
export -p > "$state/env"; pwd > "$state/cwd"
exit $code`

// Run runs a command and returns both its streams as they came.
func (s *Session) Run(ctx context.Context, command string) (string, error) {
	if err := os.WriteFile(filepath.Join(s.dir, "command"), []byte(command+"\n"), 0o600); err != nil {
		return "", err
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "bash", "-c", wrapper, "bash", s.dir, s.start)
	// A command that hangs ends with everything it started.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Env, cmd.Stdout, cmd.Stderr = s.env, &out, &out
	err := cmd.Run()
	return out.String(), err
}

var unsteady = []struct {
	re   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`), "2026-01-31T12:00:00Z"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?`), "2026-01-31 12:00"},
	{regexp.MustCompile(`chartd_[a-z]+_\w+`), "chartd_token_…"},
	{regexp.MustCompile(`\([0-9A-Za-z]{12}\), scopes`), "(IG4lkzyEp6RZ), scopes"},
	{regexp.MustCompile(`/tmp/[\w./-]*`), "/tmp/…"},
	{regexp.MustCompile(`\b(just now|\d+[smh](\d+s)? ago)\b`), "just now"},
	{regexp.MustCompile(`\bafter (\d+m)?\d+s\b`), "after 2s"},
	{regexp.MustCompile(`\bs1:[\w-]{43}`), "s1:…"}, // over the server's address too
}

// Steady replaces what differs from run to run: times, tokens and addresses.
// addrs maps an address of this run to the one that the page shows.
func Steady(text string, addrs map[string]string) string {
	for from, to := range addrs {
		text = strings.ReplaceAll(text, from, to)
	}
	for _, u := range unsteady {
		text = u.re.ReplaceAllString(text, u.with)
	}
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimRight(line, " \t\n"))
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

// Err describes a step that failed.
func (s Step) Err(page, output string, err error) error {
	return fmt.Errorf("%s:%d: $ %s\n%w\n%s", page, s.Line, s.Command, err, output)
}
