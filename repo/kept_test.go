package repo_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/boltstore"
	"chartd.dev/chartd/repo"
)

// onBolt is a rig on the store that says what was not written to.
func onBolt(t *testing.T) *rig {
	t.Helper()
	store, err := boltstore.Open(filepath.Join(t.TempDir(), "lock.db"), boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	g := newRig(t, func(c *repo.Config) {
		c.Now = time.Now
		if c.Lock, err = lock.Open(ctx, store, c.Now); err != nil {
			t.Fatal(err)
		}
	})
	g.lockfile = g.Lock
	return g
}

// answers is everything that an environment serves, errors too.
func answers(t *testing.T, r *repo.Repository, e ref.Env) string {
	t.Helper()
	out := ""
	say := func(v any, err error) { out += fmt.Sprintf("%+v %v\n", v, err) }
	text := func(p repo.Page, err error) { say(string(p.Body)+p.ETag, err) }
	text(r.EnvironmentIndex(ctx, e))
	for rev := range uint64(4) {
		text(r.RevisionIndex(ctx, e, rev))
		text(r.Overlay(ctx, e, rev, ""))
		text(r.Overlay(ctx, e, rev, "jupyterhub"))
	}
	all, _, err := r.Lock.AllVersions(ctx, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		say(r.Package(ctx, v.Chart.FileName()))
		say(r.Package(ctx, v.Chart.FileName()+".prov"))
		bindings, err := r.Lock.BindingsOf(ctx, v.Chart)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range bindings {
			say(r.SealedPackage(ctx, e, repo.SealedName(v.Chart, b.Sealed)))
		}
	}
	return out
}

// What is kept is what would be made anew, after whatever change.
func TestKeptAnswersAreThoseOfTheState(t *testing.T) {
	for name, make := range map[string]func(*testing.T) *rig{"memory": func(t *testing.T) *rig { return newRig(t) }, "bolt": onBolt} {
		t.Run(name, func(t *testing.T) {
			g := make(t)
			random := rand.New(rand.NewPCG(5, 5))
			e := env(t, "data8/prod")
			changes := 0
			for step := range 60 {
				if change(t, g, random, step) == nil {
					changes++
				}
				fresh, err := repo.Open(ctx, g.Config)
				if err != nil {
					t.Fatal(err)
				}
				want := answers(t, fresh, e)
				for range 3 { // made, read again, and known to be untouched
					if got := answers(t, g.Repository, e); got != want {
						t.Fatalf("step %d: kept\n%s\nanew\n%s", step, got, want)
					}
				}
			}
			if changes < 20 {
				t.Errorf("only %d changes were let through", changes)
			}
		})
	}
}

// change tries something that an answer may depend on.
func change(t *testing.T, g *rig, random *rand.Rand, step int) error {
	t.Helper()
	version := fmt.Sprintf("1.0.%d", random.IntN(4))
	c, err := ref.ParseChartVersion("jupyterhub", version)
	if err != nil {
		t.Fatal(err)
	}
	g.registry.push(t, "quay.io/jupyterhub/k8s-hub:"+version, "base", "hub-"+version)
	v, known := g.Lock.ChartVersion(ctx, c)
	s, _ := g.Lock.Environment(ctx, env(t, "data8/prod"))
	switch n := random.IntN(20); {
	case known != nil:
		_, err = g.Publish(ctx, op("publish"), repo.Upload{Package: hub(t, version, version)})
	case s.Chart == "":
		_, err = g.Lock.CreateEnvironment(ctx, op("env"), lock.NewEnvironment{Env: env(t, "data8/prod"), Chart: "jupyterhub"})
	case n == 0:
		_, err = g.Lock.Yank(ctx, op("yank"), c, fmt.Sprint("step ", step))
	case n == 1 && step > 40:
		_, err = g.Purge(ctx, op("purge"), c, fmt.Sprint("step ", step))
	case n == 2 && step > 30 && !v.Default.IsZero():
		_, err = g.Revoke(ctx, op("revoke"), v.Default, fmt.Sprint("step ", step))
	case n == 3:
		// A tag that moves, and a binding to what it points at now.
		g.registry.push(t, "quay.io/jupyterhub/k8s-hub:"+version, "base", "hub-"+version, fmt.Sprint("again ", step))
		_, _, err = g.Bind(ctx, op("bind"), repo.BindRequest{Chart: c})
	default:
		_, err = g.Lock.MakePin(ctx, op("pin"), lock.NewPin{
			Env: env(t, "data8/prod"), Base: s.Revision, Binding: v.Default, Downgrade: "any",
		})
	}
	return err
}

// Whoever asks after a pin was answered sees it, whatever else goes on.
func TestPinIsSeenByTheNextRequest(t *testing.T) {
	g := onBolt(t)
	g.registry.push(t, "quay.io/jupyterhub/k8s-hub:1.0.0", "base", "hub")
	out := g.publish(t, hub(t, "1.0.0", "1.0.0"))
	var wait sync.WaitGroup
	for i := range 4 {
		e := env(t, fmt.Sprintf("hub%d/prod", i))
		if _, err := g.lockfile.CreateEnvironment(ctx, op("env"), lock.NewEnvironment{Env: e, Chart: "jupyterhub"}); err != nil {
			t.Fatal(err)
		}
		wait.Go(func() {
			for rev := range uint64(40) {
				if _, err := g.Lock.MakePin(ctx, op("pin"), lock.NewPin{Env: e, Base: rev, Binding: out.Binding.ID}); err != nil {
					t.Error(err)
					return
				}
				for range 2 {
					p, err := g.EnvironmentIndex(ctx, e)
					if err != nil {
						t.Error(err)
						return
					}
					notes := line(t, p)["annotations"].(map[string]any)
					if got := notes["chartd.dev/revision"]; got != fmt.Sprint(rev+1) {
						t.Errorf("after revision %d of %s the index shows %v", rev+1, e, got)
					}
				}
			}
		})
	}
	wait.Wait()
}
