package server

import (
	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/repo"
)

func (s *Server) environments(c *call, _ none) (api.Environments, error) {
	list, err := s.Lock.Environments(c.Context())
	return api.Environments{Environments: each(list, environmentOf)}, err
}

func (s *Server) environment(c *call, _ none) (api.Environment, error) {
	e, err := s.Lock.Environment(c.Context(), c.env)
	return environmentOf(e), err
}

func (s *Server) createEnvironment(c *call, in api.CreateEnvironment) (api.Environment, error) {
	upstream, err := upstreamFrom(in.Env, in.Upstream)
	if err != nil {
		return api.Environment{}, err
	}
	n := lock.NewEnvironment{Env: in.Env, Chart: in.Chart, Accept: in.Accept, Upstream: upstream}
	e, err := s.Lock.CreateEnvironment(c.Context(), c.op("env create "+in.Env.String()), n)
	return environmentOf(lock.EnvironmentState{Environment: e}), err
}

func (s *Server) adopt(c *call, in api.AdoptRequest) (api.Pin, error) {
	images, err := references(in.Images)
	if err != nil {
		return api.Pin{}, err
	}
	p, err := s.Repo.Adopt(c.Context(), c.op("adopt "+c.env.String()), repo.AdoptRequest{
		Env: c.env, Chart: in.Chart, Version: in.Version, Images: images, Reason: in.Reason, AssumePassed: in.AssumePassed,
	})
	return s.fullPin(c, p, err)
}

// upstreamFrom reads stages of the environment's hub, and environments.
func upstreamFrom(env ref.Env, list []string) ([]ref.Env, error) {
	var out []ref.Env
	for _, u := range list {
		up, err := env.ParseStage(u)
		if err != nil {
			return nil, err
		}
		out = append(out, up)
	}
	return out, nil
}

func (s *Server) envIndex(c *call, _ none) (page, error) {
	p, err := s.Repo.EnvironmentIndex(c.Context(), c.env)
	return page{p}, err
}

func (s *Server) envSealed(c *call, _ none) (blob, error) {
	return s.blob(s.Repo.SealedPackage(c.Context(), c.env, c.Var("file")))
}

func (s *Server) revisionIndex(c *call, _ none) (page, error) {
	p, err := s.Repo.RevisionIndex(c.Context(), c.env, c.revision)
	return page{p}, err
}

func (s *Server) overlay(c *call, in struct {
	Prefix string `query:"prefix"`
}) (page, error) {
	p, err := s.Repo.Overlay(c.Context(), c.env, c.revision, in.Prefix)
	return page{p}, err
}

func (s *Server) revisionPackage(c *call, _ none) (blob, error) {
	return s.blob(s.Repo.RevisionPackage(c.Context(), c.env, c.revision, c.Var("file")))
}
