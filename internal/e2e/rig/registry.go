package rig

import (
	"context"
	"os/exec"

	"chartd.dev/chartd/internal/registrytest"
)

// Registry is a container registry on a free loopback port, in plain HTTP.
type Registry struct {
	Addr string // host:port
	Kind string
	stop func()
}

// Stop ends the registry.
func (r *Registry) Stop() { r.stop() }

// Flags are those that let chartd read images named quay.io/…, docker.io/… or
// gcr.io/… at r.
func (r *Registry) Flags() []string {
	return []string{"--registry-mirror", "quay.io=" + r.Addr, "--registry-mirror", "docker.io=" + r.Addr, "--registry-mirror", "gcr.io=" + r.Addr,
		"--allow-registry", r.Addr, "--insecure-registry", r.Addr}
}

// StartRegistry runs Debian's docker-registry, or, where it is not installed,
// a registry in this process. dir keeps its configuration and images.
func StartRegistry(ctx context.Context, dir string) (*Registry, error) {
	if _, err := exec.LookPath(registrytest.Program); err != nil {
		r, err := registrytest.Listen()
		if err != nil {
			return nil, err
		}
		return &Registry{Addr: r.Addr, Kind: "in this process", stop: r.Close}, nil
	}
	s, err := registrytest.Start(ctx, dir)
	if err != nil {
		return nil, err
	}
	return &Registry{Addr: s.Addr, Kind: registrytest.Program, stop: func() { _ = s.Stop() }}, nil
}
