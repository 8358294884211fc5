package server

import (
	"errors"
	"fmt"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/resolve"
	"chartd.dev/chartd/internal/transport"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/repo"
)

func (s *Server) bindings(c *call, _ none) (api.Bindings, error) {
	cv, err := s.version(c)
	if err != nil {
		return api.Bindings{}, err
	}
	list, err := s.Lock.BindingsOf(c.Context(), cv.Chart)
	return api.Bindings{Bindings: each(list, bindingOf)}, err
}

func (s *Server) bind(c *call, in api.BindRequest) (api.Binding, error) {
	cv, err := s.found(c)
	if err != nil {
		return api.Binding{}, err
	}
	images, err := references(in.Images)
	if err != nil {
		return api.Binding{}, err
	}
	b, existed, err := s.Repo.Bind(c.Context(), c.op("bind "+cv.Chart.String()), repo.BindRequest{Chart: cv.Chart, Images: images, Declare: in.Declare, Reason: in.Reason})
	c.existed(existed)
	return bindingOf(b), err
}

// bindingNamed is the binding that the path names. An id that is not well
// formed is one that is not there.
func (s *Server) bindingNamed(c *call) (lock.Binding, error) {
	id, err := ref.ParseBindingID(c.Var("id"))
	if err != nil {
		return lock.Binding{}, fmt.Errorf("%w: there is no binding %q", transport.ErrNotFound, transport.Clip(c.Var("id")))
	}
	return s.Lock.Binding(c.Context(), id)
}

func (s *Server) binding(c *call, _ none) (api.Binding, error) {
	b, err := s.bindingNamed(c)
	return bindingOf(b), err
}

// mayRevoke checks the scope on the chart, which only the binding names.
func (s *Server) mayRevoke(c *call) error {
	b, err := s.bindingNamed(c)
	if err != nil {
		return err
	}
	return c.who.Require(auth.Bind, b.Chart.Name())
}

func (s *Server) revoke(c *call, in api.ReasonRequest) (api.Binding, error) {
	b, err := s.bindingNamed(c)
	if err != nil {
		return api.Binding{}, err
	}
	b, err = s.Repo.Revoke(c.Context(), c.op("revoke "+b.ID.String()), b.ID, in.Reason)
	return bindingOf(b), err
}

// sealedQuery names one of a binding's sealed packages; none is its own.
type sealedQuery struct {
	Package string `query:"package"`
}

func (s *Server) sealed(c *call, q sealedQuery) (blob, error) {
	b, err := s.bindingNamed(c)
	if err != nil {
		return blob{}, err
	}
	var form ref.Digest
	if q.Package != "" {
		if form, err = ref.ParseDigest(q.Package); err != nil {
			return blob{}, err
		}
	}
	return s.blob(s.Repo.Sealed(c.Context(), b.ID, form))
}

func (s *Server) sealProof(c *call, _ none) (sealProof, error) {
	b, err := s.bindingNamed(c)
	if err != nil {
		return sealProof{}, err
	}
	if err := c.Hold(2 * b.SealSize); err != nil { // it is compared with the original
		return sealProof{}, err
	}
	p, err := s.Repo.SealProof(c.Context(), b.ID)
	return sealProof{Original: p.Original, Sealed: p.Sealed, Splices: p.Splices, Added: p.Added}, err
}

// tagsNow says what the registries have behind a binding's tags now. A tag
// that is gone is an answer; a registry that does not answer is an error.
func (s *Server) tagsNow(c *call, _ none) (api.TagsNow, error) {
	b, err := s.bindingNamed(c)
	if err != nil {
		return api.TagsNow{}, err
	}
	list, err := s.Repo.TagsNow(c.Context(), b.ID)
	out := api.TagsNow{Tags: []api.TagNow{}}
	for _, t := range list {
		gone := errors.Is(t.Err, resolve.ErrNotFound)
		if t.Err != nil && !gone {
			return api.TagsNow{}, t.Err
		}
		out.Tags = append(out.Tags, api.TagNow{Role: t.Role, Base: t.Base, Repository: t.Image.Repository.String(), Tag: t.Tag,
			Bound: t.Image.Digest, Now: t.Now, Gone: gone})
	}
	return out, err
}
