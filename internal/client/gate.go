package client

import (
	"context"
	"net/http"
	"strconv"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/ref"
)

// Report says how the deployment of a revision went.
func (c *Client) Report(ctx context.Context, e ref.Env, revision uint64, r api.ReportRequest) (api.Report, error) {
	return ask[api.Report](ctx, c, post(r, "/api/v1/environments/%s/%s/pins/%s/reports", e.Hub(), e.Stage(), strconv.FormatUint(revision, 10)))
}

// Reports returns the reports of a revision, oldest first.
func (c *Client) Reports(ctx context.Context, e ref.Env, revision uint64) (api.Reports, error) {
	return ask[api.Reports](ctx, c, get("/api/v1/environments/%s/%s/pins/%s/reports", e.Hub(), e.Stage(), strconv.FormatUint(revision, 10)))
}

// FencePin settles what became of a pin whose answer was lost: it returns the
// pin that the key made, or makes sure that the key never makes one.
func (c *Client) FencePin(ctx context.Context, e ref.Env, key string) (api.Fence, error) {
	return ask[api.Fence](ctx, c, post(nil, "/api/v1/environments/%s/%s/pins/by-key/%s/fence", e.Hub(), e.Stage(), key))
}

// GateCall is a question to the gate.
type GateCall struct {
	Env  ref.Env
	Base *uint64 // the revision that it is judged on; nil: the one that is current
	Ask  api.GateRequest
}

// Gate asks what the gate would say to a pin now, and writes nothing. A refusal
// is an answer and no error; where no pair can be chosen it is an error.
func (c *Client) Gate(ctx context.Context, g GateCall) (api.GateVerdict, error) {
	r := post(g.Ask, "/api/v1/environments/%s/%s/gate", g.Env.Hub(), g.Env.Stage())
	r.ifMatch = g.Base
	return ask[api.GateVerdict](ctx, c, r)
}

// CheckPin asks the gate about a pin as it would be sent.
func (c *Client) CheckPin(ctx context.Context, p PinCall) (api.GateVerdict, error) {
	return c.Gate(ctx, GateCall{Env: p.Env, Base: &p.Base, Ask: api.GateRequest{PinRequest: p.Pin}})
}

// SetPolicy replaces the policy of an environment; with dry it only says what
// that would change.
func (c *Client) SetPolicy(ctx context.Context, e ref.Env, p api.Policy, dry bool) (api.PolicySet, error) {
	r := post(api.PolicyRequest{Policy: p, DryRun: dry}, "/api/v1/environments/%s/%s/policy", e.Hub(), e.Stage())
	r.method = http.MethodPut
	return ask[api.PolicySet](ctx, c, r)
}

// Halt stops all pins in a scope.
func (c *Client) Halt(ctx context.Context, e ref.Env, h api.HaltRequest) (api.Halt, error) {
	return ask[api.Halt](ctx, c, post(h, "/api/v1/environments/%s/%s/halts", e.Hub(), e.Stage()))
}

// Halts returns the halts that are open.
func (c *Client) Halts(ctx context.Context) (api.Halts, error) {
	return ask[api.Halts](ctx, c, get("/api/v1/halts"))
}

// AllHalts returns a page of all halts below before, newest first; zero is the
// newest, and the server's default.
func (c *Client) AllHalts(ctx context.Context, before uint64, limit int) (api.Halts, error) {
	r := get("/api/v1/halts")
	r.query = page("before", before, limit)
	r.query.Set("all", "true")
	return ask[api.Halts](ctx, c, r)
}

// ResolveHalt ends a halt by an override.
func (c *Client) ResolveHalt(ctx context.Context, id, reason string) (api.Halt, error) {
	return ask[api.Halt](ctx, c, post(api.ResolveRequest{Reason: reason}, "/api/v1/halts/%s/resolve", id))
}

// Approve says that a binding may be pinned in an environment, by somebody
// else.
func (c *Client) Approve(ctx context.Context, e ref.Env, a api.ApprovalRequest) (api.Approval, error) {
	return ask[api.Approval](ctx, c, post(a, "/api/v1/environments/%s/%s/approvals", e.Hub(), e.Stage()))
}

// Status returns all environments with their verdicts and halts.
func (c *Client) Status(ctx context.Context) (api.Status, error) {
	return ask[api.Status](ctx, c, get("/api/v1/status"))
}

// Why returns one environment with all that explains its state.
func (c *Client) Why(ctx context.Context, e ref.Env) (api.EnvironmentStatus, error) {
	return ask[api.EnvironmentStatus](ctx, c, get("/api/v1/environments/%s/%s/status", e.Hub(), e.Stage()))
}
