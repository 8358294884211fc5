package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// Registry is a container registry on a free loopback port, in plain HTTP.
type Registry struct {
	Addr string // host:port
	Kind string // "docker-registry" or "in-process"
	stop func()
}

// Stop ends the registry.
func (r *Registry) Stop() { r.stop() }

// Flags are those that let chartd read images named quay.io/… or docker.io/…
// at r.
func (r *Registry) Flags() []string {
	return []string{"--registry-mirror", "quay.io=" + r.Addr, "--registry-mirror", "docker.io=" + r.Addr,
		"--allow-registry", r.Addr, "--insecure-registry", r.Addr}
}

// StartRegistry runs Debian's docker-registry, or, where it is not installed,
// a registry in this process. dir keeps its configuration and images.
func StartRegistry(ctx context.Context, dir string) (*Registry, error) {
	binary, err := exec.LookPath("docker-registry")
	if err != nil {
		return inProcess()
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "registry.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage:\n  filesystem: {rootdirectory: %q}\nhttp: {addr: %q}\n",
		filepath.Join(dir, "images"), addr)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, "serve", config)
	out := &logFile{}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := &Registry{Addr: addr, Kind: "docker-registry", stop: func() { cmd.Process.Kill(); cmd.Wait() }}
	if err := answers(ctx, "http://"+addr+"/v2/"); err != nil {
		r.Stop()
		return nil, fmt.Errorf("start docker-registry: %w\n%s", err, out)
	}
	return r, nil
}

func inProcess() (*Registry, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	srv := &http.Server{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	go srv.Serve(l)
	return &Registry{Addr: l.Addr().String(), Kind: "in-process", stop: func() { srv.Close() }}, nil
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func answers(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.New("no answer in time")
		}
	}
}
