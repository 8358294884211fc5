package client

import (
	"context"
	"strconv"

	"chartd.dev/chartd/internal/ref"
)

// Overlay downloads the values file that puts a revision's images over the
// original package.
func (c *Client) Overlay(ctx context.Context, e ref.Env, revision uint64) ([]byte, error) {
	return c.bytes(ctx, get("/environments/%s/%s/revisions/%s/values.yaml", e.Hub(), e.Stage(), strconv.FormatUint(revision, 10)), ref.Digest{})
}

// Patient returns a client that tries n times more before it gives up, for
// what has to arrive. The caller's context bounds how long that takes.
func (c *Client) Patient(n int) *Client {
	patient := *c
	patient.retries = n
	return &patient
}
