package server

import (
	"net/http"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/repo"
)

func (s *Server) bindings(c *call) error {
	cv, err := s.version(c)
	if err != nil {
		return err
	}
	list, err := s.Lock.BindingsOf(c.Context(), cv.Chart)
	if err != nil {
		return err
	}
	out := api.Bindings{Bindings: []api.Binding{}}
	for _, b := range list {
		out.Bindings = append(out.Bindings, bindingOf(b))
	}
	return c.answer(http.StatusOK, out)
}

func (s *Server) bind(c *call) error {
	var in api.BindRequest
	op, cv, err := s.changeVersion(c, "bind", &in)
	if err != nil {
		return err
	}
	images, err := references(in.Images)
	if err != nil {
		return err
	}
	b, existed, err := s.Repo.Bind(c.Context(), op, repo.BindRequest{Chart: cv.Chart, Images: images, Declare: in.Declare, Reason: in.Reason})
	if err != nil {
		return err
	}
	status := http.StatusCreated
	if existed {
		status = http.StatusOK
	}
	return c.answer(status, bindingOf(b))
}

// found is the binding that the path names. An id that is not well formed is
// one that is not there.
func (s *Server) found(c *call) (lock.Binding, error) {
	id, err := ref.ParseBindingID(c.Var("id"))
	if err != nil {
		return lock.Binding{}, errNoBinding(c.Var("id"))
	}
	return s.Lock.Binding(c.Context(), id)
}

func (s *Server) binding(c *call) error {
	b, err := s.found(c)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, bindingOf(b))
}

func (s *Server) revoke(c *call) error {
	b, err := s.found(c)
	if err != nil {
		return err
	}
	if err := c.who.Require(auth.Bind, b.Chart.Name()); err != nil {
		return err
	}
	var in api.ReasonRequest
	body, err := decode(c, &in)
	if err != nil {
		return err
	}
	op, err := c.op("revoke "+b.ID.String(), body)
	if err != nil {
		return err
	}
	if b, err = s.Repo.Revoke(c.Context(), op, b.ID, in.Reason); err != nil {
		return err
	}
	return c.answer(http.StatusOK, bindingOf(b))
}

func (s *Server) sealed(c *call) error {
	b, err := s.found(c)
	if err != nil {
		return err
	}
	blob, err := s.Repo.Sealed(c.Context(), b.ID)
	if err != nil {
		return err
	}
	return s.sendBlob(c, blob)
}

func (s *Server) sealProof(c *call) error {
	b, err := s.found(c)
	if err != nil {
		return err
	}
	p, err := s.Repo.SealProof(c.Context(), b.ID)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, sealProof{Original: p.Original, Sealed: p.Sealed, Splices: p.Splices})
}
