package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"chartd.dev/chartd/internal/api"
)

// WhoAmI says as whom the server knows the caller.
func (c *Client) WhoAmI(ctx context.Context) (api.WhoAmI, error) {
	var out api.WhoAmI
	_, err := c.call(ctx, get("/api/v1/whoami"), &out)
	return out, err
}

// Journal returns up to limit lines with a sequence above after; zero limit is
// the server's default.
func (c *Client) Journal(ctx context.Context, after uint64, limit int) (api.Journal, error) {
	r := get("/api/v1/journal")
	r.query = url.Values{}
	if after > 0 {
		r.query.Set("after", strconv.FormatUint(after, 10))
	}
	if limit > 0 {
		r.query.Set("limit", strconv.Itoa(limit))
	}
	var out api.Journal
	_, err := c.call(ctx, r, &out)
	return out, err
}

// Tokens lists tokens, without their secrets.
func (c *Client) Tokens(ctx context.Context) (api.Tokens, error) {
	var out api.Tokens
	_, err := c.call(ctx, get("/api/v1/tokens"), &out)
	return out, err
}

// CreateToken makes a token. It is sent once: a repeated answer could not hold
// the secret, which the server does not keep.
func (c *Client) CreateToken(ctx context.Context, t api.TokenRequest) (api.TokenSecret, error) {
	r := post(t, "/api/v1/tokens")
	r.once = true
	var out api.TokenSecret
	_, err := c.call(ctx, r, &out)
	return out, err
}

// RevokeToken ends a token with effect on the next request.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	_, err := c.call(ctx, request{method: http.MethodDelete, path: path("/api/v1/tokens/%s", id), key: NewKey()}, nil)
	return err
}

// Fsck returns the server's report on its own data.
func (c *Client) Fsck(ctx context.Context) (json.RawMessage, error) {
	var out json.RawMessage
	_, err := c.call(ctx, get("/api/v1/fsck"), &out)
	return out, err
}

// OpenAPI returns the description of the API that the server serves.
func (c *Client) OpenAPI(ctx context.Context) (json.RawMessage, error) {
	var out json.RawMessage
	_, err := c.call(ctx, get("/api/v1/openapi.json"), &out)
	return out, err
}
