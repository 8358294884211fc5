package main

import (
	"context"
	"fmt"
	"strings"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/ref"
)

// checkoutSide is what the lock file of this checkout says for the environment
// that the other side names.
func (a *app) checkoutSide(ctx context.Context, c *client.Client, s *diffSide, other string) error {
	name, _, _ := strings.Cut(other, "#")
	if !strings.Contains(name, "/") {
		return usage("diff . %s: the checkout is compared with an environment: give HUB/STAGE", other)
	}
	env, err := parseEnv(name)
	if err != nil {
		return err
	}
	co, err := a.find(ctx, "", "")
	if err != nil {
		return err
	}
	if co == nil {
		return &api.Error{Code: api.CodeNotFound, Message: "this is no deploy repo: there is no .chartctl.yaml here or above; make one with chartctl init"}
	}
	defer co.Leave()
	key := co.Repo.Key(env)
	lock, err := co.Repo.Lock()
	if err != nil {
		return deploy.Coded(err)
	}
	e, ok := lock.Get(key)
	if !ok || !e.Pinned() {
		return &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("%s in %s has no pair for %q: write it with chartctl bump %s", lockfile.Name, co.Repo.Root().Dir(), key, env)}
	}
	// The server knows the images that are not required, too; a binding that
	// it does not have is compared by what the lock file says.
	if err := s.bound(ctx, c, e.Binding); err != nil && api.CodeOf(err) != api.CodeNotFound {
		return err
	}
	if s.Binding.IsZero() {
		for _, i := range e.Images {
			s.Images = append(s.Images, api.BoundImage{Role: i.Role, Image: ref.Image{Repository: i.Repository, Digest: i.Digest}, Tag: i.Tag, Required: true})
		}
	}
	s.Name = fmt.Sprintf("%s of %s", lockfile.Name, key)
	s.Chart, s.Version, s.Package, s.Binding = e.Chart.Name, e.Chart.Version, e.Chart.Digest, e.Binding
	return nil
}
