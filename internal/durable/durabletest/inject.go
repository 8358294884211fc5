// Package durabletest runs a part of a test, or a program, in a process of its
// own, under strace, which makes a chosen system call fail or kills the process
// in it.
package durabletest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const childEnv = "DURABLETEST_CHILD"

// Fault is what happens to the When'th call of Syscall of a thread.
type Fault struct {
	Syscall string
	Action  string // as strace has it: "error=EIO", "signal=SIGKILL"
	When    int

	// Paths, if there are some, limit the fault to calls on these very paths
	// or, for a call like openat, relative to these directories.
	Paths []string
}

func (f Fault) String() string { return fmt.Sprintf("%s-%d-%s", f.Syscall, f.When, f.Action) }

// Result is what became of the process.
type Result struct {
	Lines    []string // what the child printed with Say
	Stdout   string
	Stderr   string
	Exit     int  // -1 if a signal ended it
	Injected bool // the fault came to pass
	Trace    string
}

// Child returns the directory that the parent gave, and true, if this process
// is the child that runs the test t.
func Child(t *testing.T) (dir string, ok bool) {
	name, dir, _ := strings.Cut(os.Getenv(childEnv), "=")
	return dir, name == t.Name()
}

// Say tells the parent something. It has left the process when Say returns.
func Say(format string, args ...any) {
	_, _ = fmt.Fprintf(os.Stdout, "say:"+format+"\n", args...)
}

// Run runs the test t again in a process that suffers the fault, with dir as
// what Child returns and more environment. It skips t where there is no strace,
// except in CI.
func Run(t *testing.T, dir string, f Fault, env ...string) Result {
	t.Helper()
	return Command(t, f, again(t, dir, env))
}

// Again runs the test t again without a fault, with more environment.
func Again(t *testing.T, dir string, env ...string) Result {
	t.Helper()
	return run(t, again(t, dir, env))
}

func again(t *testing.T, dir string, env []string) *exec.Cmd {
	root, _, _ := strings.Cut(t.Name(), "/")
	cmd := exec.Command(os.Args[0], "-test.run=^"+root+"$", "-test.count=1", "-test.v=false")
	cmd.Env = append(append(os.Environ(), childEnv+"="+root+"="+dir), env...)
	return cmd
}

// Command runs a program, and those that it starts, in a process that suffers
// the fault. It skips t where there is no strace, except in CI.
func Command(t *testing.T, f Fault, cmd *exec.Cmd) Result {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("strace is needed: %v", err)
		}
		t.Skip("strace is not installed")
	}
	trace := filepath.Join(t.TempDir(), "trace")
	args := []string{strace, "-f", "-o", trace, "-e", "trace=" + f.Syscall,
		"-e", fmt.Sprintf("inject=%s:%s:when=%d", f.Syscall, f.Action, f.When)}
	for _, p := range f.Paths {
		args = append(args, "-P", p)
	}
	cmd.Args = append(append(args, cmd.Path), cmd.Args[1:]...)
	cmd.Path = strace
	r := run(t, cmd)
	calls, err := os.ReadFile(trace)
	if err != nil {
		t.Fatalf("strace left no trace: %v\n%s", err, r.Stderr)
	}
	r.Trace = string(calls)
	r.Injected = bytes.Contains(calls, []byte("(INJECTED)")) || bytes.Contains(calls, []byte("killed by SIGKILL"))
	return r
}

func run(t *testing.T, cmd *exec.Cmd) Result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("run %s: %v", cmd.Path, err)
	}
	r := Result{Stderr: stderr.String(), Stdout: stdout.String(), Exit: cmd.ProcessState.ExitCode()}
	for lines := bufio.NewScanner(&stdout); lines.Scan(); {
		if said, ok := strings.CutPrefix(lines.Text(), "say:"); ok {
			r.Lines = append(r.Lines, said)
		}
	}
	return r
}
