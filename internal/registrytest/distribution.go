package registrytest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Program is the registry of Debian's package docker-registry, the CNCF
// distribution; internal/tools/install.sh installs it.
const Program = "docker-registry"

// Server is a real registry as a process of its own.
type Server struct {
	Addr string // HOST:PORT, plain HTTP

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	log  *os.File
}

const config = `version: 0.1
log: {level: info, formatter: text, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: %q}
  delete: {enabled: true}
http: {addr: "127.0.0.1:0"}
`

var listening = regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)`)

// Start runs the registry with its data, configuration and log in dir, on a
// free loopback port, and returns when it is ready. The caller stops it.
func Start(ctx context.Context, dir string) (*Server, error) {
	program, err := exec.LookPath(Program)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w; internal/tools/install.sh installs it", Program, err)
	}
	file := filepath.Join(dir, "registry.yml")
	if err := os.WriteFile(file, fmt.Appendf(nil, config, filepath.Join(dir, "data")), 0o600); err != nil {
		return nil, err
	}
	s := &Server{done: make(chan struct{})}
	if s.log, err = os.Create(filepath.Join(dir, "registry.log")); err != nil {
		return nil, err
	}
	s.cmd = exec.Command(program, "serve", file)
	s.cmd.Dir = dir
	// REGISTRY_… variables would override the configuration.
	s.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "OTEL_TRACES_EXPORTER=none"}
	s.cmd.SysProcAttr = ownProcess()
	out, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, errors.Join(err, s.log.Close())
	}
	addr, started := make(chan string, 1), make(chan error)
	go func() {
		// Linux ties "end with the parent" to the thread that started the
		// process: it has to last as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := s.cmd.Start()
		started <- err
		if err == nil {
			s.watch(out, addr)
		}
	}()
	if err := <-started; err != nil {
		return nil, errors.Join(err, s.log.Close())
	}
	select {
	case s.Addr = <-addr:
		return s, nil
	case <-s.done:
		err = errors.New("it ended")
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, fmt.Errorf("start %s: %w; its log is %s", Program, errors.Join(err, s.Stop()), s.log.Name())
}

// watch keeps the log and looks in it for the address.
func (s *Server) watch(out io.Reader, addr chan<- string) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		fmt.Fprintln(s.log, lines.Text())
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			select {
			case addr <- strings.ToLower(m[1]):
			default:
			}
		}
	}
	_, _ = io.Copy(s.log, out)
	_ = s.cmd.Wait()
	_ = s.log.Close()
	close(s.done)
}

// Stop ends the process and waits for it. It may be called again.
func (s *Server) Stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
		return nil
	case <-time.After(5 * time.Second):
	}
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s (process %d): %w", Program, s.cmd.Process.Pid, err)
	}
	<-s.done
	return nil
}

// Distribution starts the real registry for one test. Where the program is
// not installed the test is skipped, except in CI and under CHARTD_E2E.
func Distribution(t testing.TB) *Server {
	t.Helper()
	if _, err := exec.LookPath(Program); err != nil && os.Getenv("CI") == "" && os.Getenv("CHARTD_E2E") == "" {
		t.Skipf("%s is not installed; internal/tools/install.sh installs it", Program)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := Start(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}
