package server

func (s *Server) envIndex(c *call) error {
	env, err := c.env()
	if err != nil {
		return err
	}
	p, err := s.Repo.EnvironmentIndex(c.Context(), env)
	if err != nil {
		return err
	}
	return sendPage(c, p)
}

func (s *Server) envSealed(c *call) error {
	env, err := c.env()
	if err != nil {
		return err
	}
	b, err := s.Repo.SealedPackage(c.Context(), env, c.Var("file"))
	if err != nil {
		return err
	}
	return s.sendBlob(c, b)
}

func (s *Server) revisionIndex(c *call) error {
	env, rev, err := c.at()
	if err != nil {
		return err
	}
	p, err := s.Repo.RevisionIndex(c.Context(), env, rev)
	if err != nil {
		return err
	}
	return sendPage(c, p)
}

func (s *Server) overlay(c *call) error {
	env, rev, err := c.at()
	if err != nil {
		return err
	}
	prefix, err := c.param("prefix")
	if err != nil {
		return err
	}
	p, err := s.Repo.Overlay(c.Context(), env, rev, prefix)
	if err != nil {
		return err
	}
	return sendPage(c, p)
}

func (s *Server) revisionPackage(c *call) error {
	env, rev, err := c.at()
	if err != nil {
		return err
	}
	b, err := s.Repo.RevisionPackage(c.Context(), env, rev, c.Var("file"))
	if err != nil {
		return err
	}
	return s.sendBlob(c, b)
}
