package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// peer is a program that is measured beside chartd.
type peer struct {
	url  string
	pid  int
	stop func()
}

var errNoProgram = errors.New("not installed")

// lookFor finds a program, also where a user's PATH leaves system ones out.
func lookFor(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/usr/bin"} {
		if path := filepath.Join(dir, name); isFile(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w (see internal/tools/install.sh)", name, errNoProgram)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// startPeer runs a program until stop and waits for its port.
func startPeer(ctx context.Context, port int, name string, args ...string) (*peer, error) {
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &peer{url: fmt.Sprintf("http://127.0.0.1:%d", port), pid: cmd.Process.Pid}
	p.stop = func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() }
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", hostOf(p.url))
		if err == nil {
			return p, c.Close()
		}
	}
	p.stop()
	return nil, fmt.Errorf("%s does not answer at %s", name, p.url)
}

func startEtcd(ctx context.Context, dir string) (*peer, error) {
	etcd, err := lookFor("etcd")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	other, err := freePort()
	if err != nil {
		return nil, err
	}
	client, node := fmt.Sprintf("http://127.0.0.1:%d", port), fmt.Sprintf("http://127.0.0.1:%d", other)
	return startPeer(ctx, port, etcd, "--data-dir", filepath.Join(dir, "etcd"), "--log-level", "error",
		"--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", node,
		"--initial-advertise-peer-urls", node, "--initial-cluster", "default="+node)
}

// startNginx serves files as they are, and their .gz beside them to those who
// ask.
func startNginx(ctx context.Context, dir, root, cpu string) (*peer, error) {
	nginx, err := lookFor("nginx")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf(`daemon off; worker_processes 1; pid %s/nginx.pid; error_log %s/nginx.log crit; user root;
events { worker_connections 1024; }
http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; gzip_static on; etag on;
server { listen 127.0.0.1:%d; root %s; default_type application/x-yaml; } }
`, dir, dir, port, root)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return startPeer(ctx, port, "taskset", "-c", cpu, nginx, "-c", conf, "-e", filepath.Join(dir, "nginx.log"))
}

// startBare serves the same files with net/http and mux and nothing else.
func startBare(ctx context.Context, program, root, cpu string) (*peer, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	return startPeer(ctx, port, "taskset", "-c", cpu, "env", "GOMAXPROCS=1", program, fmt.Sprintf("127.0.0.1:%d", port), root)
}

// wrk asks for one URL over 32 connections for a while, from one core, and
// returns the answers per second.
func wrk(ctx context.Context, url, cpu string, header ...string) (float64, error) {
	wrk, err := lookFor("wrk")
	if err != nil {
		return 0, err
	}
	args := []string{"-c", cpu, wrk, "-t", "1", "-c", "32", "-d", "4s"}
	for _, h := range header {
		args = append(args, "-H", h)
	}
	out, err := exec.CommandContext(ctx, "taskset", append(args, url)...).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("wrk %s: %w: %s", url, err, out)
	}
	if strings.Contains(string(out), "Non-2xx") && !strings.Contains(strings.Join(header, " "), "If-None-Match") {
		return 0, fmt.Errorf("wrk %s: %s", url, out)
	}
	for _, line := range strings.Split(string(out), "\n") {
		var n float64
		if _, err := fmt.Sscanf(strings.TrimSpace(line), "Requests/sec: %f", &n); err == nil {
			return n, nil
		}
	}
	return 0, fmt.Errorf("wrk %s printed %s", url, out)
}
