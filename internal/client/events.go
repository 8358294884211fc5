package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"chartd.dev/chartd/internal/api"
)

// EventsEnd says where the journal ends: the value of after for what follows.
func (c *Client) EventsEnd(ctx context.Context) (uint64, error) {
	out, err := ask[api.Events](ctx, c, get("/api/v1/events"))
	return out.Next, err
}

// Events returns what happened after a line of the journal. Where nothing did
// it has the server wait for it, at most 30 seconds.
func (c *Client) Events(ctx context.Context, after uint64, limit int, wait time.Duration) (api.Events, error) {
	r := get("/api/v1/events")
	r.query = url.Values{"after": {strconv.FormatUint(after, 10)}}
	if limit > 0 {
		r.query.Set("limit", strconv.Itoa(limit))
	}
	if wait > 0 {
		r.query.Set("wait", strconv.Itoa(int(wait/time.Second)))
	}
	return ask[api.Events](ctx, c, r)
}

// Webhooks lists webhooks, without their secrets.
func (c *Client) Webhooks(ctx context.Context) (api.Webhooks, error) {
	return ask[api.Webhooks](ctx, c, get("/api/v1/webhooks"))
}

// CreateWebhook makes a webhook. It is sent once, as a token's creation is: a
// repeated answer could not hold the secret.
func (c *Client) CreateWebhook(ctx context.Context, w api.WebhookRequest) (api.WebhookSecret, error) {
	r := post(w, "/api/v1/webhooks")
	r.once = true
	return ask[api.WebhookSecret](ctx, c, r)
}

// DeleteWebhook ends a webhook.
func (c *Client) DeleteWebhook(ctx context.Context, id string) error {
	_, err := c.call(ctx, request{method: http.MethodDelete, path: path("/api/v1/webhooks/%s", id), key: NewKey()}, nil)
	return err
}
