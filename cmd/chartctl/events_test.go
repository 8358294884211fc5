package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"testing"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/e2e/rig"
)

// Who follows is told of each event as it happens, until they interrupt.
func TestEventsAreFollowed(t *testing.T) {
	b := rig.New(t)
	b.HubImage("1.0.0")
	b.Publish(rig.Hub{Version: "1.0.0"})
	r, w := io.Pipe()
	ctx, interrupt := context.WithCancel(t.Context())
	env := map[string]string{"CHARTCTL_SERVER": b.Server.URL, "CHARTCTL_TOKEN": b.Server.Token, "HOME": t.TempDir()}
	a, _, errs := newApp(env)
	a.out = w
	code := make(chan int, 1)
	go func() { code <- a.run(ctx, []string{"events", "--follow", "--after", "0", "-o", "json"}) }()
	lines := bufio.NewScanner(r)
	next := func() api.Event {
		t.Helper()
		var e api.Event
		if !lines.Scan() {
			t.Fatalf("no more events: %v, %s", lines.Err(), errs)
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatalf("%s: %v", lines.Bytes(), err)
		}
		return e
	}
	for _, kind := range []string{api.EventPublished, api.EventBound} {
		if e := next(); e.Kind != kind || e.Version != "1.0.0" {
			t.Errorf("%+v, want %s", e, kind)
		}
	}
	b.Ctl(0, "env", "create", "data8/prod", "--chart", "jupyterhub")
	b.Ctl(0, "bump", "data8/prod", "--version", "1.0.0")
	if e := next(); e.Kind != api.EventPinned || e.Object != "data8/prod#1" {
		t.Errorf("%+v", e)
	}
	b.Ctl(0, "report", "data8/prod", "--revision", "1", "--failed")
	if e := next(); e.Kind != api.EventReported || e.State != "failed" {
		t.Errorf("%+v", e)
	}
	if e := next(); e.Kind != api.EventHalted || e.Halt == "" {
		t.Errorf("%+v", e)
	}
	interrupt()
	if got := <-code; got != api.ExitOK {
		t.Errorf("interrupted: exit %d, %s", got, errs)
	}
}
