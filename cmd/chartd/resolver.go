package main

import (
	"context"
	"errors"
	"fmt"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/resolve"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/repo"
)

// resolver lets the repository ask registries.
type resolver struct{ client *resolve.Client }

func newResolver(c Config) (repo.Resolver, error) {
	rc := resolve.Config{
		AllowRegistries: c.Registries, InsecureRegistries: c.Insecure,
		Mirrors: map[string]string{}, DockerConfig: c.DockerConfig,
	}
	for _, m := range c.Mirrors {
		host, mirror, err := resolve.ParseMirror(m)
		if err != nil {
			return nil, fmt.Errorf("%w: registry-mirror: %w", errUsage, err)
		}
		rc.Mirrors[host] = mirror
	}
	client, err := resolve.New(rc)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	return resolver{client}, nil
}

// Resolve implements repo.Resolver.
func (r resolver) Resolve(ctx context.Context, name ref.Reference) (lock.Image, error) {
	i, err := r.client.Resolve(ctx, name)
	if errors.Is(err, resolve.ErrUnavailable) {
		return lock.Image{}, unavailable{err}
	}
	if err != nil {
		return lock.Image{}, err
	}
	out := lock.Image{Image: i.Image, MediaType: i.MediaType, Labels: i.Labels}
	for _, p := range i.Platforms {
		out.Platforms = append(out.Platforms, lock.Platform(p))
	}
	return out, nil
}

// unavailable is a registry's error that the repository knows as its own; its
// text says already what is unavailable.
type unavailable struct{ error }

func (u unavailable) Unwrap() []error { return []error{repo.ErrUnavailable, u.error} }
