package lock_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/gatetest"
	"chartd.dev/chartd/lock/memstore"
	"chartd.dev/chartd/lock/store"
)

// placing notes for each transaction where in the journal it stands.
type placing struct{ store.Store }

type placeKey struct{}

// placed is a context whose transactions note their place in at.
func placed(ctx context.Context, at *uint64) context.Context {
	return context.WithValue(ctx, placeKey{}, at)
}

func note(ctx context.Context, t store.Tx) (err error) {
	if at, ok := ctx.Value(placeKey{}).(*uint64); ok {
		*at, err = t.Count("journal")
	}
	return err
}

func (s placing) View(ctx context.Context, fn func(store.Tx) error) error {
	return s.Store.View(ctx, func(t store.Tx) error {
		if err := note(ctx, t); err != nil {
			return err
		}
		return fn(t)
	})
}

func (s placing) Update(ctx context.Context, fn func(store.Txn) error) error {
	return s.Store.Update(ctx, func(t store.Txn) error {
		if err := note(ctx, t); err != nil {
			return err
		}
		return fn(t)
	})
}

// field is the lock file that a history plays on.
type field struct {
	*rig
	bindings [gatetest.Bindings]ref.BindingID
	number   map[ref.BindingID]int
	began    time.Time
	hands    atomic.Int64
}

func newField(t testing.TB, store store.Store, seed uint64) (*field, gatetest.World) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, gatetest.Clients))
	f := &field{rig: open(t, placing{store}), number: map[ref.BindingID]int{}, began: time.Now()}
	own1 := f.publish("1.0.0")
	must(f.Publish(f.ctx, alice, version(hub("1.5.0"), "")))
	own2 := f.publish("2.0.0")
	word := f.declared("1.5.0", image("quay.io/berkeley/word", "w"))
	rebuilt := f.bind(binding("1.0.0", candidate("1.0.0", built("1.0.0", "users"))))
	for i, b := range []lock.Binding{own1, own2, rebuilt, word} {
		f.bindings[i], f.number[b.ID] = b.ID, i
	}
	var w gatetest.World
	for i, name := range gatetest.EnvNames {
		f.create(name)
		w.Envs[i].Scope = []model.Scope{model.ScopeEnvironment, model.ScopeHub, model.ScopeEverything}[random.IntN(3)]
		if gatetest.UpOf[i] >= 0 {
			w.Envs[i].Soak = 10 * random.IntN(3)
		}
		w.Envs[i].Approvals = random.IntN(2)
		f.policy(name, f.policyOf(w, i))
	}
	w.Line = uint64(len(f.lines()))
	return f, w
}

func (f *field) policyOf(w gatetest.World, i int) lock.Policy {
	e := w.Envs[i]
	p := lock.Policy{
		Accept: []model.Evidence{model.ChartValues, model.BaseLayers, model.Declared}, Halt: e.Scope,
		Soak: lock.Duration(time.Duration(e.Soak) * time.Second), Approvals: e.Approvals,
	}
	if gatetest.UpOf[i] >= 0 {
		p.Upstream = []ref.Env{env(gatetest.EnvNames[gatetest.UpOf[i]])}
	}
	return p
}

// client asks the lock file.
type client struct {
	*field
	gatetest.Client
	start gatetest.World
}

func (f *field) client(start gatetest.World, id int, seed uint64) *client {
	c := &client{f, gatetest.Client{
		ID: id, Random: rand.New(rand.NewPCG(seed, uint64(id))), Hands: &f.hands, Soaks: []int{0, 10, 20}, Idle: []string{"time", "beat"},
	}, start}
	c.Lookup = f
	return c
}

// op is the client's, marked so that its line in the journal is found again.
func (c *client) op(n int) lock.Op {
	op := by(gatetest.ClientName(c.ID))
	op.Actor.Source = mark(c.ID, n)
	return op
}

func mark(id, n int) string { return fmt.Sprintf("client-%d op-%d", id, n) }

func (f *field) Now(e int) (out gatetest.Now, err error) {
	s, err := f.Environment(f.ctx, env(gatetest.EnvNames[e]))
	out.Revision, out.Halted = int(s.Revision), len(s.Halts) > 0
	if s.Pin != nil {
		out.Binding = f.number[s.Pin.Binding]
	}
	return out, err
}

func (f *field) PinnedTo(e, revision int) (int, error) {
	p, err := f.Pin(f.ctx, env(gatetest.EnvNames[e]), uint64(revision))
	return f.number[p.Binding], err
}

func (f *field) OpenHalts() (out []int, err error) {
	open, err := f.Lockfile.OpenHalts(f.ctx)
	for _, h := range open {
		out = append(out, int(h.Seq))
	}
	return out, err
}

// pinOf is the pin as the lock file takes it.
func (f *field) pinOf(p gatetest.Pin) lock.NewPin {
	np := lock.NewPin{Env: env(gatetest.EnvNames[p.Env]), Base: uint64(p.Base), Binding: f.bindings[p.Binding], Kind: p.Kind}
	switch p.Kind {
	case model.Promote:
		np.From = gatetest.EnvNames[p.From]
	case model.Rollback:
		np.From = fmt.Sprint(p.From)
	}
	if p.Downgrade {
		np.Downgrade = "any"
	}
	if p.Glass {
		np.BreakGlass = "any"
	}
	return np
}

// do asks the lock file.
func (c *client) do(ctx context.Context, in gatetest.Ask, op lock.Op) (out gatetest.Told, err error) {
	e := env(gatetest.EnvNames[in.Env])
	switch in.Verb {
	case "pin":
		var p lock.Pin
		p, err = c.MakePin(ctx, op, c.pinOf(in.Pin))
		out.Revision = int(p.Revision)
	case "set":
		one, two := c.pinOf(in.Pin), c.pinOf(in.More)
		_, err = c.MakePinSet(ctx, op, lock.NewPinSet{Pins: []lock.NewPin{one, two}, Kind: one.Kind, Downgrade: one.Downgrade, BreakGlass: one.BreakGlass})
	case "report":
		var r lock.Report
		r, err = c.AddReport(ctx, op, lock.NewReport{Env: e, Revision: uint64(in.Revision), State: in.State})
		out.Halt, out.Ended = gatetest.HaltNumber(r.Halt), len(r.Ended)
	case "halt":
		var h lock.Halt
		h, err = c.Halt(ctx, op, lock.NewHalt{Env: e, Reason: "any"})
		out.Halt = int(h.Seq)
	case "resolve":
		_, err = c.ResolveHalt(ctx, op, fmt.Sprint("halt-", in.Halt), "any")
	case "approve":
		_, err = c.Approve(ctx, op, lock.NewApproval{Env: e, Binding: c.bindings[in.Binding]})
	case "policy":
		w := c.start
		w.Envs[in.Env].Soak, w.Envs[in.Env].Approvals = in.Soak, in.Approvals
		_, err = c.SetPolicy(ctx, op, e, c.policyOf(w, in.Env))
	case "beat":
		err = c.Beat(ctx, gatetest.BeatSeconds*time.Second)
	case "time":
		c.pass(365 * 24 * time.Hour)
		_, err = c.Lockfile.OpenHalts(ctx) // for its place
	case "read":
		return c.read(ctx, e)
	}
	var stale *lock.StaleError
	var no *lock.Refusal
	switch {
	case errors.As(err, &stale):
		return gatetest.Told{Rule: "stale", Revision: int(stale.Revision)}, nil
	case errors.As(err, &no):
		return gatetest.Told{Rule: string(no.Rule), Revision: in.Pin.Base}, nil
	}
	return out, err
}

func (c *client) read(ctx context.Context, e ref.Env) (out gatetest.Told, err error) {
	s, err := c.Status(ctx, e)
	if err != nil {
		return out, err
	}
	out = gatetest.Told{Revision: int(s.Revision), Halts: len(s.Halts), Held: int(time.Duration(s.Held).Seconds()), Approvals: len(s.Approvals), Verdict: s.Verdict}
	if s.Pin != nil {
		out.Binding = c.number[s.Pin.Binding]
	}
	return out, nil
}

// play lets the clients ask at once and returns what each was told.
func (f *field) play(start gatetest.World, seed uint64) []porcupine.Operation {
	const each = 40
	all := make([][]porcupine.Operation, gatetest.Clients)
	var wait sync.WaitGroup
	for id := range gatetest.Clients {
		wait.Go(func() {
			c := f.client(start, id, seed)
			for n := range each {
				in := must(c.Ask())
				called := time.Since(f.began)
				out, err := c.do(placed(c.ctx, &in.After), in, c.op(n))
				if in.Verb == "set" {
					out.Revision = 0
				}
				if err != nil {
					f.t.Errorf("client %d: %+v: %v", id, in, err)
					return
				}
				all[id] = append(all[id], porcupine.Operation{
					ClientId: id, Input: in, Output: out, Call: int64(called), Return: int64(time.Since(f.began)),
				})
			}
		})
	}
	wait.Wait()
	lines := map[string]uint64{}
	for _, l := range f.lines() {
		lines[l.By.Source] = l.Seq
	}
	var out []porcupine.Operation
	for id, ops := range all {
		for n, o := range ops {
			in := o.Input.(gatetest.Ask)
			in.Line = lines[mark(id, n)]
			o.Input = in
			out = append(out, o)
		}
	}
	return out
}

// judge says what is wrong with a history; "" if nothing is.
func (f *field) judge(start gatetest.World, h []porcupine.Operation) string {
	if broken := must(gatetest.Journal{Lines: f.lines(), Numbers: f.number}.Broken(start)); len(broken) > 0 {
		return fmt.Sprintf("the journal breaks the gate: %q", broken)
	}
	if !porcupine.CheckOperations(gatetest.Model(start), h) {
		return "what the clients were told is no history of the world"
	}
	return ""
}

// gateHistories is how many histories a run plays: more where
// CHARTD_GATE_HISTORIES says so.
func gateHistories(t *testing.T) int {
	if s := os.Getenv("CHARTD_GATE_HISTORIES"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("CHARTD_GATE_HISTORIES is %q: want a number", s)
		}
		return n
	}
	if testing.Short() {
		return 50
	}
	return 100
}

// Eight clients bump, promote, roll back, report, halt, resolve, approve and
// change policies at once: what they are told is one history of the world, and
// the journal of it has no pin that breaks the gate in force.
func TestGateIsLinearizable(t *testing.T) {
	told := map[string]int{}
	for i := range gateHistories(t) {
		f, start := newField(t, memstore.New(), uint64(i))
		h := f.play(start, uint64(i))
		if t.Failed() {
			t.Fatalf("history %d failed", i)
		}
		if wrong := f.judge(start, h); wrong != "" {
			t.Fatalf("history %d: %s", i, wrong)
		}
		for _, o := range h {
			in, out := o.Input.(gatetest.Ask), o.Output.(gatetest.Told)
			told[in.Verb+" "+string(in.Pin.Kind)+" "+out.Rule]++
		}
		if i%20 == 0 {
			for _, p := range f.problems() {
				t.Errorf("history %d: check: %s", i, p)
			}
		}
	}
	t.Logf("the clients were told %v", told)
}

// Histories of a gate that is wrong are found out.
func TestSeededBugsAreFound(t *testing.T) {
	for _, bug := range []struct {
		name string
		seed func(*lock.Lockfile)
	}{
		{"halts are ignored", func(l *lock.Lockfile) { l.Seed(lock.NoHalts) }},
		{"soak by dates", func(l *lock.Lockfile) { l.Seed(lock.DatedSoak) }},
		{"one's own approval counts", func(l *lock.Lockfile) { l.Seed(lock.SelfApprovals) }},
	} {
		t.Run(bug.name, func(t *testing.T) {
			for i := range 100 {
				f, start := newField(t, memstore.New(), uint64(i))
				bug.seed(f.Lockfile)
				if wrong := f.judge(start, f.play(start, uint64(i))); wrong != "" {
					t.Logf("history %d: %.200s", i, wrong)
					return
				}
			}
			t.Error("100 histories are fine")
		})
	}
}
