package e2e

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/testtools"
)

func TestHundredPublishesOfOneVersion(t *testing.T) {
	b := rig.New(t)
	b.HubImage("1.0.0")
	var created, refused atomic.Int64
	var winner atomic.Value
	var g errgroup.Group
	start := make(chan struct{})
	for n := range 100 {
		pkg := packageOf(t, b, rig.Hub{Version: "1.0.0", Note: fmt.Sprint("variant ", n)})
		g.Go(func() error {
			<-start
			out, err := b.Client.Publish(t.Context(), client.PublishRequest{Package: pkg})
			var e *api.Error
			switch {
			case err == nil && !out.Existed:
				created.Add(1)
				winner.Store(out.Chart.Package)
			case errors.As(err, &e) && e.Code == api.CodeExists && e.Status == 409:
				refused.Add(1)
			default:
				return fmt.Errorf("publish %d: %v (existed %v)", n, err, out.Existed)
			}
			return nil
		})
	}
	close(start)
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if created.Load() != 1 || refused.Load() != 99 {
		t.Errorf("%d created and %d refused, want 1 and 99", created.Load(), refused.Load())
	}
	c, err := b.Client.Chart(t.Context(), "jupyterhub", "1.0.0")
	if err != nil || c.Package != winner.Load() {
		t.Errorf("the repository holds %s (%v), the one 201 was for %v", c.Package, err, winner.Load())
	}
}

// 64 clients pin one environment, all from the revision they last saw. A loser
// is told who won and tries again on top of that.
func TestSixtyFourClientsPinOneEnvironment(t *testing.T) {
	const clients = 64
	b := rig.New(t)
	id1, _ := publishHub(t, b, "1.0.0")
	id2, _ := publishHub(t, b, "1.1.0")
	env := newEnv(t, b, "data8/dev")
	ids := []ref.BindingID{id1, id2}
	answers := make([]api.Pin, clients)
	var lost atomic.Int64
	var g errgroup.Group
	for n := range clients {
		g.Go(func() error {
			base := uint64(0)
			for {
				p, err := b.Client.Pin(t.Context(), client.PinCall{Env: env, Base: base,
					Pin: api.PinRequest{Binding: ids[n%2], Reason: fmt.Sprint("client ", n), Downgrade: "in turn"}})
				if err == nil {
					if p.Revision != base+1 {
						return fmt.Errorf("client %d pinned on %d and got revision %d", n, base, p.Revision)
					}
					answers[n] = p
					return nil
				}
				var e *api.Error
				if !errors.As(err, &e) || e.Code != api.CodeStale || e.Current == nil || e.Revision <= base {
					return fmt.Errorf("client %d: %w", n, err)
				}
				lost.Add(1)
				base = e.Revision
			}
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d pins, %d attempts lost", clients, lost.Load())
	seen := map[uint64]bool{}
	for n, said := range answers {
		p, err := b.Client.Revision(t.Context(), env, said.Revision)
		if err != nil || p.Reason != fmt.Sprint("client ", n) || p.Binding != said.Binding {
			t.Errorf("client %d was told revision %d, the server has %+v (%v)", n, said.Revision, p, err)
		}
		seen[said.Revision] = true
	}
	for rev := uint64(1); rev <= clients; rev++ {
		if !seen[rev] {
			t.Errorf("revision %d is missing", rev)
		}
	}
}

// One more server on the same data directory has to give up and say who holds
// it.
func TestDataDirectoryIsLocked(t *testing.T) {
	b := rig.New(t)
	second, err := rig.Start(t.Context(), rig.ServerConfig{Binary: testtools.Chartd(t), Data: b.Server.Data})
	if err == nil {
		second.Kill()
		t.Fatal("a second chartd started on the same data directory")
	}
	wants(t, "second start", err.Error(), fmt.Sprint(b.Server.Pid()))
}
