package e2e

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// pinner pins one stage of production as fast as it is answered, until a halt
// stops it.
type pinner struct {
	api     *client.Client
	env     ref.Env
	binding ref.BindingID
	base    uint64
}

// run says once that a pin was made, or that none will be, and returns at the
// first refusal.
func (p *pinner) run(ctx context.Context, made func()) error {
	say := sync.OnceFunc(made)
	defer say()
	for {
		pin, err := p.api.Pin(ctx, client.PinCall{Env: p.env, Base: p.base, Pin: api.PinRequest{Binding: p.binding}})
		if err != nil {
			return err
		}
		p.base = pin.Revision
		say()
	}
}

// Between a failed report of dev and the refusal of pins of production there is
// nothing: while eight people pin production at once, the journal has a pin that
// was made, the report, and a pin that is refused, one right after the other.
func TestAFailedReportStopsTheNextPin(t *testing.T) {
	b := rig.New(t)
	b.HubImage("1.0.0")
	binding := b.Publish(rig.Hub{Version: "1.0.0"}).Chart.Binding.ID
	create := func(name string) ref.Env {
		env := must(ref.ParseEnv(name))
		must(b.Client.CreateEnvironment(t.Context(), api.CreateEnvironment{Env: env, Chart: "jupyterhub"}))
		return env
	}
	dev := create("data8/dev")
	must(b.Client.Pin(t.Context(), client.PinCall{Env: dev, Pin: api.PinRequest{Binding: binding}}))
	var all []*pinner
	for i := range 8 {
		all = append(all, &pinner{api: must(b.Server.Client()), env: create(fmt.Sprintf("data8/prod%d", i)), binding: binding})
	}
	const rounds = 20
	for range rounds {
		halt := failWhilePinning(t, b, dev, all)
		must(b.Client.ResolveHalt(t.Context(), halt, "next round"))
	}
	checkOrder(t, b, rounds)
}

// failWhilePinning reports a failure once everybody has made a pin, waits until
// everybody is refused, and returns the halt.
func failWhilePinning(t *testing.T, b *rig.Bench, dev ref.Env, all []*pinner) string {
	t.Helper()
	var made, stopped sync.WaitGroup
	made.Add(len(all))
	for _, p := range all {
		stopped.Go(func() {
			err := p.run(t.Context(), made.Done)
			var e *api.Error
			if !errors.As(err, &e) || e.Code != api.CodeHalted {
				t.Errorf("%s: %v, want a halt", p.env, err)
			}
		})
	}
	made.Wait()
	r := must(b.Client.Report(t.Context(), dev, 1, api.ReportRequest{State: model.Failed}))
	stopped.Wait()
	return r.Halt
}

// checkOrder reads what happened as everybody may read it.
func checkOrder(t *testing.T, b *rig.Bench, rounds int) {
	t.Helper()
	var events []api.Event
	for after := uint64(0); ; {
		page := must(b.Client.Events(t.Context(), after, 500, 0))
		events = append(events, page.Events...)
		if len(page.Events) == 0 {
			break
		}
		after = page.Next
	}
	halted, found := false, 0
	for i, e := range events {
		switch {
		case e.Kind == api.EventHalted:
			halted = true
			before, report, next := events[i-2], events[i-1], events[i+1]
			if before.Kind != api.EventPinned || before.Seq != e.Seq-1 || report.Kind != api.EventReported || report.Seq != e.Seq ||
				next.Kind != api.EventRefused || next.Seq != e.Seq+1 {
				t.Errorf("around the halt %s: %+v", e.Halt, events[i-2:i+2])
			}
			found++
		case e.Kind == api.EventResolved:
			halted = false
		case halted && e.Kind == api.EventPinned, !halted && e.Kind == api.EventRefused:
			t.Errorf("halted is %v, and %+v", halted, e)
		}
	}
	if found != rounds {
		t.Errorf("%d halts in %d rounds", found, rounds)
	}
	t.Logf("%d events, %d halts", len(events), found)
}
