package client

import (
	"context"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/ref"
)

// TagsNow returns what the registries have behind a binding's tags now; the
// server asks them.
func (c *Client) TagsNow(ctx context.Context, id ref.BindingID) (api.TagsNow, error) {
	r := get("/api/v1/bindings/%s/tags", id)
	r.asks = true
	return ask[api.TagsNow](ctx, c, r)
}
