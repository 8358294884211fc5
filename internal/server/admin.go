package server

import (
	"net/http"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/transport"
	"chartd.dev/chartd/repo"
)

func (s *Server) whoami(c *call, _ none) (api.WhoAmI, error) {
	return api.WhoAmI{Name: c.who.Name, Scopes: scopesOf(c.who), Anonymous: c.who.Anonymous, Version: s.Version}, nil
}

func (s *Server) openapi(*call, none) (document, error) {
	return document{"application/json", s.openAPI}, nil
}

func (s *Server) journal(c *call, in following) (api.Journal, error) {
	lines, next, err := s.Lock.Journal(c.Context(), in.After, int(in.Limit))
	return api.Journal{Lines: each(lines, lineOf), Next: next}, err
}

func (s *Server) tokens(c *call, _ none) (api.Tokens, error) {
	list, err := s.Lock.Tokens(c.Context())
	return api.Tokens{Tokens: each(list, tokenOf)}, err
}

// createToken takes no Idempotency-Key: the same answer could not be given
// again, since the secret is not kept.
func (s *Server) createToken(c *call, in api.TokenRequest) (api.TokenSecret, error) {
	ttl, err := auth.ParseTTL(in.TTL)
	if err != nil {
		return api.TokenSecret{}, err
	}
	t, secret, err := auth.New(auth.Request{Name: in.Name, Scopes: in.Scopes, TTL: ttl, By: c.who.Name, Now: s.Now()})
	if err != nil {
		return api.TokenSecret{}, err
	}
	c.Set("Cache-Control", "no-store")
	return api.TokenSecret{Token: tokenOf(t), Secret: secret.Reveal()}, s.Lock.CreateToken(c.Context(), c.opOnce("token create"), t)
}

func (s *Server) revokeToken(c *call, _ none) (none, error) {
	id := c.Var("id")
	return none{}, s.Lock.RevokeToken(c.Context(), c.op("token revoke "+transport.Clip(id)), id)
}

func (s *Server) backup(*call, none) (stream, error) { return s.Backup, nil }

func (s *Server) fsck(c *call, _ none) (checkReport, error) {
	if c.R.Method == http.MethodHead {
		c.WriteHeader(http.StatusOK)
		return checkReport{}, nil
	}
	rep, err := s.Repo.Check(c.Context(), repo.CheckOptions{Blobs: true})
	return checkReport{
		Problems: append([]string{}, rep.Problems...), Charts: rep.Charts, Bindings: rep.Bindings, Environments: rep.Environments,
		Pins: rep.Pins, Blobs: rep.Blobs, Generation: rep.Generation,
	}, err
}
