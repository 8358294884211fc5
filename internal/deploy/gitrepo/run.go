package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

const (
	maxOutput = 64 << 20
	maxError  = 4 << 10
)

// call is one run of git in the top directory of the checkout.
type call struct {
	args  []string
	stdin []byte
	env   []string
	write bool // it changes the repository
}

// exitError is a run of git that ended with a status.
type exitError struct {
	verb   string
	status int
	text   string
}

func (e *exitError) Error() string {
	return fmt.Sprintf("git %s ended with status %d: %s", e.verb, e.status, e.text)
}

func (r *Repo) run(ctx context.Context, c call) ([]byte, error) {
	own, err := r.own(ctx)
	if err != nil {
		return nil, err
	}
	c.args = append(slices.Clone(own), c.args...)
	return r.start(ctx, c, r.place.Root)
}

// start runs git in a directory, with the repository's own configuration where
// that is not told otherwise.
func (r *Repo) start(ctx context.Context, c call, dir string) ([]byte, error) {
	// No hook, no watcher, no pager, whatever the repository's configuration
	// names. Each of these would be a program of its choice.
	args := append([]string{"--no-pager", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false",
		"-c", "log.showSignature=false", "-c", "submodule.recurse=false"}, c.args...)
	cmd := exec.CommandContext(ctx, r.git, args...)
	cmd.Dir = dir
	cmd.Env = append(cleanEnv(os.Environ()), "LC_ALL=C", "GIT_PAGER=cat", "GIT_EDITOR=false",
		"GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=false", "GIT_LITERAL_PATHSPECS=1", "GIT_NO_REPLACE_OBJECTS=1",
		// A partial clone would fetch what it lacks, by a program of its choice.
		"GIT_NO_LAZY_FETCH=1", "GIT_ALLOW_PROTOCOL=none")
	if !c.write {
		cmd.Env = append(cmd.Env, "GIT_OPTIONAL_LOCKS=0")
	}
	cmd.Env = append(cmd.Env, c.env...)
	cmd.Stdin = bytes.NewReader(c.stdin)
	stdout, stderr := &limited{most: maxOutput}, &limited{most: maxError, drop: true}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if err == nil {
		return stdout.b, nil
	}
	verb := verbOf(c.args)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("git %s in %q: %w", verb, r.place.Root, ctx.Err())
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() >= 0 {
		text := strings.Join(strings.Fields(string(stderr.b)), " ")
		return nil, &exitError{verb, exit.ExitCode(), text}
	}
	return nil, fmt.Errorf("git %s in %q: %w", verb, r.place.Root, err)
}

func verbOf(args []string) string {
	for i := 0; i < len(args); i++ {
		if args[i] == "-c" {
			i++ // its value
		} else if !strings.HasPrefix(args[i], "-") {
			return args[i]
		}
	}
	return ""
}

// cleanEnv drops what would point git at another repository or make it run or
// print something else, as inside a hook. Who commits, and which configuration
// the user chose, stays.
func cleanEnv(env []string) []string {
	var out []string
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		keep := !strings.HasPrefix(name, "GIT_")
		for _, p := range []string{"GIT_AUTHOR_", "GIT_COMMITTER_", "GIT_CONFIG_"} {
			keep = keep || strings.HasPrefix(name, p)
		}
		if keep {
			out = append(out, e)
		}
	}
	return out
}

// limited keeps the first bytes of an output; more is an error, or dropped.
type limited struct {
	b    []byte
	most int
	drop bool
}

func (l *limited) Write(p []byte) (int, error) {
	room := l.most - len(l.b)
	if len(p) <= room {
		l.b = append(l.b, p...)
		return len(p), nil
	}
	if !l.drop {
		return 0, fmt.Errorf("git printed more than %d bytes", l.most)
	}
	l.b = append(l.b, p[:room]...)
	return len(p), nil
}

// fields cuts the NUL-terminated fields of an output.
func fields(out []byte) []string {
	if len(out) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}
