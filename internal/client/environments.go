package client

import (
	"context"
	"net/url"
	"strconv"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/ref"
)

// Environments returns all environments with what they are pinned to.
func (c *Client) Environments(ctx context.Context) (api.Environments, error) {
	var out api.Environments
	_, err := c.call(ctx, get("/api/v1/environments"), &out)
	return out, err
}

// CreateEnvironment makes an environment; it has no pin yet.
func (c *Client) CreateEnvironment(ctx context.Context, e api.CreateEnvironment) (api.Environment, error) {
	var out api.Environment
	_, err := c.call(ctx, post(e, "/api/v1/environments"), &out)
	return out, err
}

// Environment returns one environment with its pin and its binding.
func (c *Client) Environment(ctx context.Context, e ref.Env) (api.Environment, error) {
	var out api.Environment
	_, err := c.call(ctx, get("/api/v1/environments/%s/%s", e.Hub(), e.Stage()), &out)
	if err == nil && out.Env != e {
		err = fail(api.CodeInvalid, "%s was asked for %s and answered with %q: something between mixes answers up", c.base, e, out.Env)
	}
	return out, err
}

// Adopt makes revision 1 from what runs today.
func (c *Client) Adopt(ctx context.Context, e ref.Env, a api.AdoptRequest) (api.Pin, error) {
	var out api.Pin
	_, err := c.call(ctx, post(a, "/api/v1/environments/%s/%s/adopt", e.Hub(), e.Stage()), &out)
	return out, err
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
	var out api.Pin
	_, err := c.call(ctx, r, &out)
	return out, err
}

// PinByKey returns the pin that a key made; CodeNotFound if it made none.
func (c *Client) PinByKey(ctx context.Context, e ref.Env, key string) (api.Pin, error) {
	var out api.Pin
	_, err := c.call(ctx, get("/api/v1/environments/%s/%s/pins/by-key/%s", e.Hub(), e.Stage(), key), &out)
	return out, err
}

// Pins returns up to limit pins below revision before, newest first; zero is
// the server's default, and the newest.
func (c *Client) Pins(ctx context.Context, e ref.Env, before uint64, limit int) (api.Pins, error) {
	r := get("/api/v1/environments/%s/%s/pins", e.Hub(), e.Stage())
	r.query = url.Values{}
	if before > 0 {
		r.query.Set("before", strconv.FormatUint(before, 10))
	}
	if limit > 0 {
		r.query.Set("limit", strconv.Itoa(limit))
	}
	var out api.Pins
	_, err := c.call(ctx, r, &out)
	return out, err
}

// Revision returns one pin.
func (c *Client) Revision(ctx context.Context, e ref.Env, revision uint64) (api.Pin, error) {
	var out api.Pin
	_, err := c.call(ctx, get("/api/v1/environments/%s/%s/pins/%s", e.Hub(), e.Stage(), strconv.FormatUint(revision, 10)), &out)
	return out, err
}

// PinSet pins several environments in one transaction. key may be "".
func (c *Client) PinSet(ctx context.Context, s api.PinSetRequest, key string) (api.PinSetResult, error) {
	r := post(s, "/api/v1/pinsets")
	if key != "" {
		r.key = key
	}
	var out api.PinSetResult
	_, err := c.call(ctx, r, &out)
	return out, err
}
