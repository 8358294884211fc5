package server

import (
	"errors"
	"fmt"
	"net/http"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/transport"
	"chartd.dev/chartd/repo"
)

func (s *Server) whoami(c *call) error {
	return c.answer(http.StatusOK, api.WhoAmI{Name: c.who.Name, Scopes: scopesOf(c.who), Anonymous: c.who.Anonymous, Version: s.Version})
}

func (s *Server) openapi(c *call) error { return sendText(c, "application/json", s.openAPI) }

func (s *Server) journal(c *call) error {
	after, err := c.number("after", 0, 1<<62)
	if err != nil {
		return err
	}
	limit, err := c.limit()
	if err != nil {
		return err
	}
	lines, next, err := s.Lock.Journal(c.Context(), after, limit)
	if err != nil {
		return err
	}
	out := api.Journal{Lines: []api.Line{}, Next: next}
	for _, l := range lines {
		out.Lines = append(out.Lines, lineOf(l))
	}
	return c.answer(http.StatusOK, out)
}

func (s *Server) tokens(c *call) error {
	list, err := s.Lock.Tokens(c.Context())
	if err != nil {
		return err
	}
	out := api.Tokens{Tokens: []api.Token{}}
	for _, t := range list {
		out.Tokens = append(out.Tokens, tokenOf(t))
	}
	return c.answer(http.StatusOK, out)
}

// createToken takes no Idempotency-Key: the same answer could not be given
// again, since the secret is not kept.
func (s *Server) createToken(c *call) error {
	var in api.TokenRequest
	body, err := decode(c, &in, "name", "scopes")
	if err != nil {
		return err
	}
	ttl, err := auth.ParseTTL(in.TTL)
	if err != nil {
		return err
	}
	t, secret, err := auth.New(auth.Request{Name: in.Name, Scopes: in.Scopes, TTL: ttl, By: c.who.Name, Now: s.Now()})
	if err != nil {
		return err
	}
	op, err := c.op("token create", body)
	if err != nil {
		return err
	}
	op.Key = ""
	if err := s.Lock.CreateToken(c.Context(), op, t); err != nil {
		return err
	}
	c.Header().Set("Cache-Control", "no-store")
	return c.answer(http.StatusCreated, api.TokenSecret{Token: tokenOf(t), Secret: secret.Reveal()})
}

func (s *Server) revokeToken(c *call) error {
	id := c.Var("id")
	op, err := c.op("token revoke "+transport.Clip(id), ref.DigestOf(nil))
	if err != nil {
		return err
	}
	if err := s.Lock.RevokeToken(c.Context(), op, id); err != nil {
		return err
	}
	c.WriteHeader(http.StatusNoContent)
	return nil
}

// backup streams. Where it fails in the middle the connection is cut, so that
// half a backup is never taken for a whole one.
func (s *Server) backup(c *call) error {
	h := c.Header()
	h.Set("Content-Type", "application/x-tar")
	h.Set("Content-Disposition", `attachment; filename="chartd-backup.tar"`)
	h.Set("Cache-Control", "no-store")
	if c.R.Method == http.MethodHead {
		c.WriteHeader(http.StatusOK)
		return nil
	}
	if err := s.Backup(c.Context(), c); err != nil {
		if !c.Started() {
			return err
		}
		return errors.Join(http.ErrAbortHandler, fmt.Errorf("send backup: %w", err))
	}
	return nil
}

func (s *Server) fsck(c *call) error {
	if c.R.Method == http.MethodHead {
		c.WriteHeader(http.StatusOK)
		return nil
	}
	rep, err := s.Repo.Check(c.Context(), repo.CheckOptions{Blobs: true})
	if err != nil {
		return err
	}
	out := checkReport{
		Problems: rep.Problems, Charts: rep.Charts, Bindings: rep.Bindings, Environments: rep.Environments,
		Pins: rep.Pins, Blobs: rep.Blobs, Generation: rep.Generation,
	}
	if out.Problems == nil {
		out.Problems = []string{}
	}
	return c.answer(http.StatusOK, out)
}
