package client

import (
	"context"
	"encoding/json"
	"net/http"

	"chartd.dev/chartd/internal/api"
)

// WhoAmI says as whom the server knows the caller.
func (c *Client) WhoAmI(ctx context.Context) (api.WhoAmI, error) {
	return ask[api.WhoAmI](ctx, c, get("/api/v1/whoami"))
}

// Journal returns up to limit lines with a sequence above after; zero limit is
// the server's default.
func (c *Client) Journal(ctx context.Context, after uint64, limit int) (api.Journal, error) {
	r := get("/api/v1/journal")
	r.query = page("after", after, limit)
	return ask[api.Journal](ctx, c, r)
}

// Tokens lists tokens, without their secrets.
func (c *Client) Tokens(ctx context.Context) (api.Tokens, error) {
	return ask[api.Tokens](ctx, c, get("/api/v1/tokens"))
}

// CreateToken makes a token. It is sent once: a repeated answer could not hold
// the secret, which the server does not keep.
func (c *Client) CreateToken(ctx context.Context, t api.TokenRequest) (api.TokenSecret, error) {
	r := post(t, "/api/v1/tokens")
	r.once = true
	return ask[api.TokenSecret](ctx, c, r)
}

// RevokeToken ends a token.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	_, err := c.call(ctx, request{method: http.MethodDelete, path: path("/api/v1/tokens/%s", id), key: NewKey()}, nil)
	return err
}

// Fsck returns the server's report on its own data.
func (c *Client) Fsck(ctx context.Context) (json.RawMessage, error) {
	return ask[json.RawMessage](ctx, c, get("/api/v1/fsck"))
}

// OpenAPI returns the description of the API that the server serves.
func (c *Client) OpenAPI(ctx context.Context) (json.RawMessage, error) {
	return ask[json.RawMessage](ctx, c, get("/api/v1/openapi.json"))
}
