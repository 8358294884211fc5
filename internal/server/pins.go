package server

import (
	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
)

// paging chooses a page of what is listed newest first.
type paging struct {
	Before uint64 `query:"before"`
	Limit  uint64 `query:"limit" default:"100" min:"1" max:"1000"`
}

// following chooses a page of what is listed oldest first.
type following struct {
	After uint64 `query:"after"`
	Limit uint64 `query:"limit" default:"100" min:"1" max:"1000"`
}

func (s *Server) pin(c *call, in api.PinRequest) (api.Pin, error) {
	n, err := c.newPin(in)
	if err != nil {
		return api.Pin{}, err
	}
	p, err := s.Lock.MakePin(c.Context(), c.op("pin "+c.env.String()), n)
	return s.fullPin(c, p, err)
}

// newPin is the pin that a request asks for. To pass the gate takes a scope of
// its own.
func (c *call) newPin(in api.PinRequest) (lock.NewPin, error) {
	if in.BreakGlass != "" {
		if err := c.who.Require(auth.BreakGlass, c.env.String()); err != nil {
			return lock.NewPin{}, err
		}
	}
	return lock.NewPin{
		Env: c.env, Base: c.base, Binding: in.Binding, Kind: in.Kind, From: in.From, Reason: in.Reason,
		Commit: in.Commit, Downgrade: in.Downgrade, BreakGlass: in.BreakGlass,
	}, nil
}

func (s *Server) pinSet(c *call, in api.PinSetRequest) (api.PinSetResult, error) {
	n := lock.NewPinSet{Kind: in.Kind.Or(), Reason: in.Reason, Commit: in.Commit, Downgrade: in.Downgrade, BreakGlass: in.BreakGlass}
	for _, p := range in.Pins {
		if err := c.mayPin(p, in.BreakGlass != ""); err != nil {
			return api.PinSetResult{}, err
		}
		n.Pins = append(n.Pins, lock.NewPin{Env: p.Env, Base: p.Revision, Binding: p.Binding, From: p.From})
	}
	set, err := s.Lock.MakePinSet(c.Context(), c.op("pinset"), n)
	if err != nil {
		return api.PinSetResult{}, err
	}
	pins, err := s.fullPins(c, set.Pins)
	return api.PinSetResult{Set: set.ID, Pins: pins}, err
}

// mayPin checks one pin of a set: what it names, and the scopes on that.
func (c *call) mayPin(p api.SetPin, breakGlass bool) error {
	if p.Env == (ref.Env{}) {
		return missing("environment")
	}
	if err := c.who.Require(auth.Pin, p.Env.String()); err != nil {
		return err
	}
	if p.Binding.IsZero() {
		return missing("binding")
	}
	if breakGlass {
		return c.who.Require(auth.BreakGlass, p.Env.String())
	}
	return nil
}

func (s *Server) pins(c *call, in paging) (api.Pins, error) {
	list, next, err := s.Lock.Pins(c.Context(), c.env, in.Before, int(in.Limit))
	if err != nil {
		return api.Pins{}, err
	}
	pins, err := s.fullPins(c, list)
	return api.Pins{Pins: pins, Next: next}, err
}

func (s *Server) pinAt(c *call, _ none) (api.Pin, error) {
	p, err := s.Lock.Pin(c.Context(), c.env, c.revision)
	return s.fullPin(c, p, err)
}

func (s *Server) pinByKey(c *call, _ none) (api.Pin, error) {
	key := c.Var("key")
	if err := checkKey("key", key); err != nil {
		return api.Pin{}, err
	}
	p, err := s.Lock.PinByKey(c.Context(), c.env, key)
	return s.fullPin(c, p, err)
}

// fence takes no Idempotency-Key as its own: asking again gives the same
// answer by itself.
func (s *Server) fence(c *call, _ none) (api.Fence, error) {
	key := c.Var("key")
	if err := checkKey("key", key); err != nil {
		return api.Fence{}, err
	}
	c.body = ref.DigestOf([]byte(key))
	f, err := s.Lock.FencePin(c.Context(), c.opOnce("fence "+c.env.String()), c.env, key)
	if err != nil || f.Pin == nil {
		return api.Fence{}, err
	}
	p, err := s.fullPin(c, *f.Pin, nil)
	return api.Fence{Pinned: true, Pin: &p}, err
}

func pinOf(p lock.Pin) api.Pin {
	return api.Pin{
		Env: p.Env, Revision: p.Revision, Binding: p.Binding, Name: p.Chart.Name(), Version: p.Chart.Version(),
		Kind: p.Kind, From: p.From, Reason: p.Reason, Commit: p.Commit, Set: p.Set,
		Downgrade: p.Downgrade, BreakGlass: p.BreakGlass, Direction: directionOf(p.Direction), By: p.By, At: p.At,
	}
}

// fullPins adds the images of each pin's binding.
func (s *Server) fullPins(c *call, list []lock.Pin) ([]api.Pin, error) {
	images, err := s.Lock.ImagesOf(c.Context(), each(list, func(p lock.Pin) ref.BindingID { return p.Binding }))
	if err != nil {
		return nil, err
	}
	return each(list, func(p lock.Pin) api.Pin {
		out := pinOf(p)
		out.Images = imagesOf(images[p.Binding])
		return out
	}), nil
}

// fullPin does the same for one pin, if there was no error.
func (s *Server) fullPin(c *call, p lock.Pin, err error) (api.Pin, error) {
	if err != nil {
		return api.Pin{}, err
	}
	out := pinOf(p)
	images, err := s.Lock.BoundImages(c.Context(), p.Binding)
	out.Images = imagesOf(images)
	return out, err
}
