package client_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/model"
)

// Each method asks its route with its body, and a write carries a key.
func TestRoutesOfTheGate(t *testing.T) {
	ctx := context.Background()
	ignore := func(_ any, err error) error { return err }
	b := binding.String()
	at := "/api/v1/environments/data8/prod"
	for _, tt := range []struct {
		want, body string
		call       func(c *client.Client) error
	}{
		{"POST " + at + "/pins/3/reports", `{"state":"passed","checks":[{"name":"login","ok":true}]}`, func(c *client.Client) error {
			return ignore(c.Report(ctx, env, 3, api.ReportRequest{State: model.Passed, Checks: []api.Check{{Name: "login", OK: true}}}))
		}},
		{"GET " + at + "/pins/3/reports", "", func(c *client.Client) error { return ignore(c.Reports(ctx, env, 3)) }},
		{"POST " + at + "/pins/by-key/k%2F1/fence", "", func(c *client.Client) error { return ignore(c.FencePin(ctx, env, "k/1")) }},
		{"POST " + at + "/gate", `{"binding":"` + b + `","downgrade":"back"}`, func(c *client.Client) error {
			return ignore(c.CheckPin(ctx, client.PinCall{Env: env, Base: 17, Pin: api.PinRequest{Binding: binding, Downgrade: "back"}}))
		}},
		{"PUT " + at + "/policy", `{"upstream":["staging"],"soak":"1h"}`, func(c *client.Client) error {
			return ignore(c.SetPolicy(ctx, env, api.Policy{Upstream: []string{"staging"}, Soak: "1h"}, false))
		}},
		{"PUT " + at + "/policy", `{"dry_run":true}`, func(c *client.Client) error {
			return ignore(c.SetPolicy(ctx, env, api.Policy{}, true))
		}},
		{"POST " + at + "/approvals", `{"binding":"` + b + `"}`, func(c *client.Client) error {
			return ignore(c.Approve(ctx, env, api.ApprovalRequest{Binding: binding}))
		}},
		{"POST " + at + "/halts", `{"scope":"hub","reason":"r"}`, func(c *client.Client) error {
			return ignore(c.Halt(ctx, env, api.HaltRequest{Scope: model.ScopeHub, Reason: "r"}))
		}},
		{"GET /api/v1/halts", "", func(c *client.Client) error { return ignore(c.Halts(ctx)) }},
		{"GET /api/v1/halts?all=true&before=9&limit=3", "", func(c *client.Client) error { return ignore(c.AllHalts(ctx, 9, 3)) }},
		{"POST /api/v1/halts/halt-4/resolve", `{"reason":"r"}`, func(c *client.Client) error { return ignore(c.ResolveHalt(ctx, "halt-4", "r")) }},
		{"GET /api/v1/status", "", func(c *client.Client) error { return ignore(c.Status(ctx)) }},
		{"GET " + at + "/status", "", func(c *client.Client) error { return ignore(c.Why(ctx, env)) }},
		{"GET /api/v1/events", "", func(c *client.Client) error { return ignore(c.EventsEnd(ctx)) }},
		{"GET /api/v1/events?after=7&limit=2&wait=25", "", func(c *client.Client) error { return ignore(c.Events(ctx, 7, 2, 25*time.Second)) }},
		{"GET /api/v1/webhooks", "", func(c *client.Client) error { return ignore(c.Webhooks(ctx)) }},
		{"POST /api/v1/webhooks", `{"url":"https://example.edu/x"}`, func(c *client.Client) error {
			return ignore(c.CreateWebhook(ctx, api.WebhookRequest{URL: "https://example.edu/x"}))
		}},
		{"DELETE /api/v1/webhooks/w1", "", func(c *client.Client) error { return c.DeleteWebhook(ctx, "w1") }},
	} {
		w := newWire(t, answer{status: 200, body: "{}"})
		if err := tt.call(w.client(t)); err != nil {
			t.Errorf("%s: %v", tt.want, err)
			continue
		}
		got := w.sent()[0]
		method, path, _ := strings.Cut(tt.want, " ")
		if got.method != method || got.uri != "/base"+path {
			t.Errorf("asked %s %s, want %s", got.method, got.uri, tt.want)
		}
		if (got.method == "GET") != (got.header.Get("Idempotency-Key") == "") {
			t.Errorf("%s: key %q", tt.want, got.header.Get("Idempotency-Key"))
		}
		if got.body != tt.body {
			t.Errorf("%s: body %s, want %s", tt.want, got.body, tt.body)
		}
		if strings.HasSuffix(path, "/gate") && got.header.Get("If-Match") != `"17"` {
			t.Errorf("If-Match %s", got.header.Get("If-Match"))
		}
	}
}

// A refusal keeps its rule, its facts and the command over the wire.
func TestRefusalOverTheWire(t *testing.T) {
	w := newWire(t, answer{status: 423, body: `{"error":"halt-3 halts data8","code":"halted","rule":"halt","facts":["halt-3 halts data8"],"want":"roll back","command":"chartctl rollback data8/dev"}`})
	_, err := w.client(t).Pin(t.Context(), client.PinCall{Env: env})
	e, ok := err.(*api.Error)
	if !ok || e.Code.Exit() != api.ExitHalted || e.Rule != model.RuleHalt || len(e.Facts) != 1 || e.Command == "" {
		t.Fatalf("%#v", err)
	}
	want := `refused by the rule "halt": halt-3 halts data8; roll back (chartctl rollback data8/dev)`
	if e.Error() != want {
		t.Errorf("it says %q, want %q", e.Error(), want)
	}
}
