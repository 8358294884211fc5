package server

import (
	"errors"
	"net/http"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/resolve"
)

// tagsNow says what the registries have behind a binding's tags now. A tag
// that is gone is an answer; a registry that does not answer is an error.
func (s *Server) tagsNow(c *call) error {
	b, err := s.found(c)
	if err != nil {
		return err
	}
	list, err := s.Repo.TagsNow(c.Context(), b.ID)
	if err != nil {
		return err
	}
	out := api.TagsNow{Tags: []api.TagNow{}}
	for _, t := range list {
		gone := errors.Is(t.Err, resolve.ErrNotFound)
		if t.Err != nil && !gone {
			return t.Err
		}
		out.Tags = append(out.Tags, api.TagNow{Role: t.Role, Base: t.Base, Repository: t.Image.Repository.String(), Tag: t.Tag,
			Bound: t.Image.Digest, Now: t.Now, Gone: gone})
	}
	return c.answer(http.StatusOK, out)
}
