package render

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Command is the hidden command of chartd that answers a request. Its
// arguments are the limits, because it sets its own before it reads anything.
const Command = "render"

// args are the arguments of the process.
func (l Limits) args() []string {
	return []string{Command,
		"--cpu=" + strconv.FormatInt(l.cpuSeconds(), 10),
		"--memory=" + strconv.FormatInt(l.Memory, 10),
		"--output=" + strconv.FormatInt(l.Output, 10)}
}

func (l Limits) cpuSeconds() int64 {
	return max(1, int64((l.CPU+time.Second-1)/time.Second))
}

// maxStderr is what is kept of a process that crashes.
const maxStderr = 16 << 10

// process is one run of the program.
type process struct {
	cmd    *exec.Cmd
	limits Limits
	stderr head
	out    []byte
	over   bool        // the answer is longer than the limit
	late   atomic.Bool // killed at the wall limit
}

// run starts a process, waits for its answer and reaps it. A failure is what
// the process did; an error is that it could not be started, or ctx.
func (p *process) run(ctx context.Context, q Request) (Answer, *Failure, error) {
	in, err := q.reader()
	if err != nil {
		return Answer{}, nil, err
	}
	p.cmd.Stdin, p.cmd.Stderr, p.cmd.Env = in, &p.stderr, []string{}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return Answer{}, nil, fmt.Errorf("start renderer: %w", err)
	}
	if err := p.cmd.Start(); err != nil {
		return Answer{}, nil, fmt.Errorf("start renderer: %w", err)
	}
	kill := func() { killGroup(p.cmd.Process) }
	wall := time.AfterFunc(p.limits.Wall, func() { p.late.Store(true); kill() })
	stop := context.AfterFunc(ctx, kill)
	p.out, err = io.ReadAll(io.LimitReader(out, p.limits.Output+1))
	if p.over = int64(len(p.out)) > p.limits.Output; p.over || err != nil {
		kill()
	}
	waited := p.cmd.Wait()
	wall.Stop()
	stop()
	kill() // what it may have started
	if ctx.Err() != nil {
		return Answer{}, nil, context.Cause(ctx)
	}
	if f := p.failure(waited); f != nil {
		return Answer{}, f, nil
	}
	return p.answer()
}

// answer reads what the process wrote before it ended well.
func (p *process) answer() (Answer, *Failure, error) {
	var a Answer
	if err := json.Unmarshal(p.out, &a); err != nil || a.Version != WireVersion {
		return a, &Failure{Crashed, fmt.Sprintf("its answer of %d bytes is not one of version %d", len(p.out), WireVersion)}, nil
	}
	return a, a.Failure, nil
}

// failure says what ended the process, nil if it ended well.
func (p *process) failure(waited error) *Failure {
	said := p.stderr.String()
	switch {
	case p.over:
		return &Failure{OutputLimit, fmt.Sprintf("more than %d bytes", p.limits.Output)}
	case p.late.Load():
		return &Failure{TimeLimit, fmt.Sprintf("not done after %s", p.limits.Wall)}
	case waited == nil:
		return nil
	case outOfTime(p.cmd.ProcessState, p.limits):
		return &Failure{TimeLimit, fmt.Sprintf("more than %d s of processor time", p.limits.cpuSeconds())}
	case outOfMemory(said):
		return &Failure{MemoryLimit, fmt.Sprintf("more than %d MiB", p.limits.Memory>>20)}
	}
	why, _, _ := strings.Cut(strings.TrimSpace(said), "\n")
	if why == "" {
		why = waited.Error()
	}
	return &Failure{Crashed, why}
}

// outOfTime: the kernel kills what has used its time up. It counts by ticks,
// so what it says at the end may be less.
func outOfTime(s *os.ProcessState, l Limits) bool {
	return wasKilled(s) && s.UserTime()+s.SystemTime() > time.Duration(l.cpuSeconds())*time.Second/2
}

// outOfMemory: Go's runtime ends a process that gets no memory, or whose
// stack takes too much of it, with one of these.
func outOfMemory(said string) bool {
	for _, s := range []string{"out of memory", "cannot allocate memory", "failed to create new OS thread", "goroutine stack exceeds"} {
		if strings.Contains(said, s) {
			return true
		}
	}
	return false
}

// head keeps the first bytes of a stream and drops the rest.
type head struct{ bytes.Buffer }

func (h *head) Write(p []byte) (int, error) {
	if left := maxStderr - h.Len(); left > 0 {
		h.Buffer.Write(p[:min(left, len(p))])
	}
	return len(p), nil
}

// start prepares the process; isolated gives it a network of its own.
func (c Config) process(isolated bool) *process {
	cmd := exec.Command(c.Program, c.Limits.args()...)
	cmd.Dir, cmd.SysProcAttr = c.Dir, attributes(isolated)
	cmd.WaitDelay = time.Second
	return &process{cmd: cmd, limits: c.Limits}
}

// refusedIsolation: the system gives no name spaces, or no more of them.
func refusedIsolation(err error) bool {
	return errors.Is(err, os.ErrPermission) || isNoNamespace(err)
}
