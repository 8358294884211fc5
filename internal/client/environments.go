package client

import (
	"context"
	"strconv"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/ref"
)

// Environments returns all environments with what they are pinned to.
func (c *Client) Environments(ctx context.Context) (api.Environments, error) {
	return ask[api.Environments](ctx, c, get("/api/v1/environments"))
}

// CreateEnvironment makes an environment; it has no pin yet.
func (c *Client) CreateEnvironment(ctx context.Context, e api.CreateEnvironment) (api.Environment, error) {
	return ask[api.Environment](ctx, c, post(e, "/api/v1/environments"))
}

// Environment returns one environment with its pin and its binding.
func (c *Client) Environment(ctx context.Context, e ref.Env) (api.Environment, error) {
	out, err := ask[api.Environment](ctx, c, get("/api/v1/environments/%s/%s", e.Hub(), e.Stage()))
	if err == nil && out.Env != e {
		err = fail(api.CodeInvalid, "%s was asked for %s and answered with %q: something between mixes answers up", c.base, e, out.Env)
	}
	return out, err
}

// Adopt makes revision 1 from what runs today.
func (c *Client) Adopt(ctx context.Context, e ref.Env, a api.AdoptRequest) (api.Pin, error) {
	return ask[api.Pin](ctx, c, post(a, "/api/v1/environments/%s/%s/adopt", e.Hub(), e.Stage()))
}

// PinCall is a pin: the request, the revision it builds on and its key.
type PinCall struct {
	Env  ref.Env
	Base uint64 // the revision that the caller saw; 0 for the first pin
	Key  string // "" for a new one; keep it to ask what became of the pin
	Pin  api.PinRequest
}

// Pin pins an environment. It is refused with CodeStale if the environment
// has moved from the base revision.
func (c *Client) Pin(ctx context.Context, p PinCall) (api.Pin, error) {
	r := post(p.Pin, "/api/v1/environments/%s/%s/pins", p.Env.Hub(), p.Env.Stage())
	r.ifMatch = &p.Base
	if p.Key != "" {
		r.key = p.Key
	}
	return ask[api.Pin](ctx, c, r)
}

// PinByKey returns the pin that a key made; CodeNotFound if it made none.
func (c *Client) PinByKey(ctx context.Context, e ref.Env, key string) (api.Pin, error) {
	return ask[api.Pin](ctx, c, get("/api/v1/environments/%s/%s/pins/by-key/%s", e.Hub(), e.Stage(), key))
}

// Pins returns up to limit pins below revision before, newest first; zero is
// the server's default, and the newest.
func (c *Client) Pins(ctx context.Context, e ref.Env, before uint64, limit int) (api.Pins, error) {
	r := get("/api/v1/environments/%s/%s/pins", e.Hub(), e.Stage())
	r.query = page("before", before, limit)
	return ask[api.Pins](ctx, c, r)
}

// Revision returns one pin.
func (c *Client) Revision(ctx context.Context, e ref.Env, revision uint64) (api.Pin, error) {
	return ask[api.Pin](ctx, c, get("/api/v1/environments/%s/%s/pins/%s", e.Hub(), e.Stage(), strconv.FormatUint(revision, 10)))
}

// PinSet pins several environments in one transaction. key may be "".
func (c *Client) PinSet(ctx context.Context, s api.PinSetRequest, key string) (api.PinSetResult, error) {
	r := post(s, "/api/v1/pinsets")
	if key != "" {
		r.key = key
	}
	return ask[api.PinSetResult](ctx, c, r)
}
