// Package rig runs the real programs for end-to-end tests and the demo: a
// chartd process, chartctl, Helm with a home of its own, a registry with small
// images, and the small charts of testdata. Test support only.
package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"chartd.dev/chartd/internal/client"
)

// startTimeout bounds how long a start may take on a busy machine.
const startTimeout = 60 * time.Second

// ServerConfig says how to start chartd.
type ServerConfig struct {
	Binary string
	Data   string   // data directory; kept between starts
	Args   []string // further flags
	Env    []string // added to the environment
	Under  []string // a command that becomes the server, as "strace -D" does
}

// Server is a running chartd.
type Server struct {
	URL   string
	Token string // of admin.token
	Data  string

	cmd  *exec.Cmd
	log  *logFile
	done chan struct{}
	err  error
}

// Start runs "chartd serve" on a free loopback port and returns when it
// answers.
func Start(ctx context.Context, c ServerConfig) (*Server, error) {
	addr := c.Data + ".addr"
	if err := os.Remove(addr); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	args := append([]string{"serve", "--data", c.Data, "--listen", "127.0.0.1:0", "--addr-file", addr}, c.Args...)
	line := slices.Concat(c.Under, []string{c.Binary}, args)
	s := &Server{Data: c.Data, cmd: exec.Command(line[0], line[1:]...), log: &logFile{}, done: make(chan struct{})}
	s.cmd.Env = append(os.Environ(), c.Env...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	// The server must not outlive a test that is killed.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { s.err = s.cmd.Wait(); close(s.done) }()
	deadline := time.NewTimer(startTimeout)
	defer deadline.Stop()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		if b, err := os.ReadFile(addr); err == nil && len(b) > 0 {
			s.URL = strings.TrimSuffix(strings.TrimSpace(string(b)), "/")
			if !strings.Contains(s.URL, "://") {
				s.URL = "http://" + s.URL
			}
			token, err := os.ReadFile(filepath.Join(c.Data, "admin.token"))
			s.Token = strings.TrimSpace(string(token))
			return s, err
		}
		select {
		case <-poll.C:
		case <-s.done:
			return nil, fmt.Errorf("start chartd: %v\n%s", s.err, s.Log())
		case <-deadline.C:
			s.Kill()
			return nil, fmt.Errorf("start chartd: no answer within %v\n%s", startTimeout, s.Log())
		case <-ctx.Done():
			s.Kill()
			return nil, ctx.Err()
		}
	}
}

// Stop asks the server to stop and waits for it.
func (s *Server) Stop() error {
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
		return s.err
	case <-time.After(startTimeout):
		s.Kill()
		return fmt.Errorf("stop chartd: still there after %v\n%s", startTimeout, s.Log())
	}
}

// Kill ends the server with SIGKILL and waits for it.
func (s *Server) Kill() {
	s.cmd.Process.Kill()
	<-s.done
}

// Done is closed when the process has ended.
func (s *Server) Done() <-chan struct{} { return s.done }

// Pid is the server's process id.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// Log is what the server has written so far.
func (s *Server) Log() string { return s.log.String() }

// Client returns a client with all scopes that does not retry: a test wants
// the first answer.
func (s *Server) Client() (*client.Client, error) {
	return client.New(client.Options{Server: s.URL, Token: s.Token, Retries: -1})
}

// Result of a command.
type Result struct {
	Out, Err string
	Code     int // exit code
}

// Text is what both streams held.
func (r Result) Text() string { return r.Out + r.Err }

// Run runs a command to its end. An exit code is a result; only a command that
// cannot be run is an error.
func Run(ctx context.Context, dir string, env []string, name string, args ...string) (Result, error) {
	var out, msg bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append(os.Environ(), env...), &out, &msg
	err := cmd.Run()
	r := Result{Out: out.String(), Err: msg.String(), Code: cmd.ProcessState.ExitCode()}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = nil
	}
	return r, err
}
