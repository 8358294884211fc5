package client

import (
	"context"
	"strconv"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/ref"
)

// Report says how the deployment of a revision went.
func (c *Client) Report(ctx context.Context, e ref.Env, revision uint64, r api.ReportRequest) (api.Report, error) {
	var out api.Report
	_, err := c.call(ctx, post(r, "/api/v1/environments/%s/%s/pins/%s/reports", e.Hub(), e.Stage(), strconv.FormatUint(revision, 10)), &out)
	return out, err
}

// Reports returns the reports of a revision, oldest first.
func (c *Client) Reports(ctx context.Context, e ref.Env, revision uint64) (api.Reports, error) {
	var out api.Reports
	_, err := c.call(ctx, get("/api/v1/environments/%s/%s/pins/%s/reports", e.Hub(), e.Stage(), strconv.FormatUint(revision, 10)), &out)
	return out, err
}

// FencePin settles what became of a pin whose answer was lost: it returns the
// pin that the key made, or makes sure that the key never makes one.
func (c *Client) FencePin(ctx context.Context, e ref.Env, key string) (api.Fence, error) {
	var out api.Fence
	_, err := c.call(ctx, post(nil, "/api/v1/environments/%s/%s/pins/by-key/%s/fence", e.Hub(), e.Stage(), key), &out)
	return out, err
}

// CheckPin asks what the gate would say to a pin now, and writes nothing. A
// refusal is an answer and no error.
func (c *Client) CheckPin(ctx context.Context, p PinCall) (api.GateVerdict, error) {
	r := post(p.Pin, "/api/v1/environments/%s/%s/gate", p.Env.Hub(), p.Env.Stage())
	r.ifMatch = &p.Base
	var out api.GateVerdict
	_, err := c.call(ctx, r, &out)
	return out, err
}
