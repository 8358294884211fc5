package gatelinear

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/lock/gatetest"

	"chartd.dev/chartd/internal/model"
)

// player is one client of the server. It sends what is not answered again, with
// the same key, until the server is back.
type player struct {
	*field
	gatetest.Client
	start gatetest.World
	ctx   context.Context
	api   *client.Client
}

func (g *game) player(c gatetest.Client) (*player, error) {
	web, err := client.New(client.Options{Server: g.server.URL, Token: g.tokens[c.ID], Retries: 60, Backoff: 4 * time.Millisecond})
	p := &player{field: g.field, Client: c, start: g.start, ctx: g.Context(), api: web}
	p.Lookup = p
	return p, err
}

func (p *player) Now(env int) (gatetest.Now, error) {
	e, err := p.api.Why(p.ctx, p.envs[env])
	out := gatetest.Now{Revision: int(e.Revision)}
	if e.Pin != nil {
		out.Binding = p.numbers[e.Pin.Binding]
	}
	for _, h := range e.Halts {
		out.Halted = out.Halted || h.Env == e.Env
	}
	return out, err
}

func (p *player) PinnedTo(env, revision int) (int, error) {
	pin, err := p.api.Revision(p.ctx, p.envs[env], uint64(revision))
	return p.numbers[pin.Binding], err
}

func (p *player) OpenHalts() (out []int, err error) {
	open, err := p.api.Halts(p.ctx)
	for _, h := range open.Halts {
		out = append(out, gatetest.HaltNumber(h.ID))
	}
	return out, err
}

func markOf(n int) string { return fmt.Sprintf("op-%d", n) }

// request is the pin as the server takes it.
func (p *player) request(in gatetest.Pin, n int) api.PinRequest {
	out := api.PinRequest{Binding: p.bindings[in.Binding], Kind: in.Kind, Reason: markOf(n)}
	switch in.Kind {
	case model.Promote:
		out.From = gatetest.EnvNames[in.From]
	case model.Rollback:
		out.From = fmt.Sprint(in.From)
	}
	if in.Downgrade {
		out.Downgrade = "any"
	}
	if in.Glass {
		out.BreakGlass = "any"
	}
	return out
}

// do asks the server. It is the client's operation number n, and says so where
// the journal keeps it.
func (p *player) do(in gatetest.Ask, n int) (out gatetest.Told, err error) {
	env, mark := p.envs[in.Env], markOf(n)
	switch in.Verb {
	case "pin":
		var made api.Pin
		made, err = p.api.Pin(p.ctx, client.PinCall{Env: p.envs[in.Pin.Env], Base: uint64(in.Pin.Base), Pin: p.request(in.Pin, n)})
		out.Revision = int(made.Revision)
	case "set":
		err = p.set(in, n)
	case "report":
		var r api.Report
		r, err = p.api.Report(p.ctx, env, uint64(in.Revision), api.ReportRequest{State: in.State, Note: mark})
		out.Halt, out.Ended = gatetest.HaltNumber(r.Halt), len(r.Ended)
	case "halt":
		var h api.Halt
		h, err = p.api.Halt(p.ctx, env, api.HaltRequest{Reason: mark})
		out.Halt = gatetest.HaltNumber(h.ID)
	case "resolve":
		_, err = p.api.ResolveHalt(p.ctx, fmt.Sprint("halt-", in.Halt), mark)
	case "approve":
		_, err = p.api.Approve(p.ctx, env, api.ApprovalRequest{Binding: p.bindings[in.Binding], Reason: mark})
	case "policy":
		e := p.start.Envs[in.Env]
		e.Soak, e.Approvals = in.Soak, in.Approvals
		_, err = p.api.SetPolicy(p.ctx, env, p.policy(e, in.Env, 1+p.ID*each+n), false)
	case "read":
		return p.read(in.Env)
	}
	return told(in, out, err)
}

func (p *player) set(in gatetest.Ask, n int) error {
	one := p.request(in.Pin, n)
	q := api.PinSetRequest{Kind: one.Kind, Reason: one.Reason, Downgrade: one.Downgrade, BreakGlass: one.BreakGlass}
	for _, m := range []gatetest.Pin{in.Pin, in.More} {
		q.Pins = append(q.Pins, api.SetPin{Env: p.envs[m.Env], Revision: uint64(m.Base), Binding: p.bindings[m.Binding]})
	}
	_, err := p.api.PinSet(p.ctx, q, "")
	return err
}

// told takes a refusal for the answer that it is.
func told(in gatetest.Ask, out gatetest.Told, err error) (gatetest.Told, error) {
	var no *api.Error
	if !errors.As(err, &no) {
		return out, err
	}
	switch no.Code {
	case api.CodeStale:
		out = gatetest.Told{Rule: "stale", Revision: int(no.Revision)}
	case api.CodeGate, api.CodeHalted:
		out = gatetest.Told{Rule: string(no.Rule), Revision: in.Pin.Base}
	default:
		return out, err
	}
	if in.Verb == "set" {
		out.Revision = 0
	}
	return out, nil
}

func (p *player) read(env int) (out gatetest.Told, err error) {
	s, err := p.api.Why(p.ctx, p.envs[env])
	out = gatetest.Told{Revision: int(s.Revision), Halts: len(s.Halts), Approvals: len(s.Approvals), Verdict: model.Verdict(s.Verdict)}
	if s.Pin != nil {
		out.Binding = p.numbers[s.Pin.Binding]
	}
	return out, err
}
