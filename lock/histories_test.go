package lock_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
	"github.com/anishathalye/porcupine"
)

// gateAsk is what a client asks of the lock file.
type gateAsk struct {
	verb string // "pin", "set", "report", "halt", "resolve", "approve", "policy", "beat", "read", "time"
	pin  worldPin
	more worldPin // the other one of a set

	env, revision, binding int
	state                  lock.ReportState
	halt                   int
	soak, approvals        int
	client                 int
	// line is the number of the journal line that it left, 0 for none, and
	// after that of the last line that it saw: the answer must fit at that
	// place.
	line, after uint64
}

// placing notes for each transaction where in the journal it stands.
type placing struct{ lock.Store }

type placeKey struct{}

// placed is a context whose transactions note their place in at.
func placed(ctx context.Context, at *uint64) context.Context {
	return context.WithValue(ctx, placeKey{}, at)
}

func note(ctx context.Context, t lock.Tx) (err error) {
	if at, ok := ctx.Value(placeKey{}).(*uint64); ok {
		*at, err = t.Count("journal")
	}
	return err
}

func (s placing) View(ctx context.Context, fn func(lock.Tx) error) error {
	return s.Store.View(ctx, func(t lock.Tx) error {
		if err := note(ctx, t); err != nil {
			return err
		}
		return fn(t)
	})
}

func (s placing) Update(ctx context.Context, fn func(lock.Txn) error) error {
	return s.Store.Update(ctx, func(t lock.Txn) error {
		if err := note(ctx, t); err != nil {
			return err
		}
		return fn(t)
	})
}

// gateTold is what the client is told.
type gateTold struct {
	rule     string // that refused it; "" if it was done
	revision int
	halt     int // raised
	ended    int // halts
	// Of a read.
	binding, halts, held, approvals int
	verdict                         lock.ReportState
}

// gateModel is the lock file as its clients see it: the world.
func gateModel(start world) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return start },
		Step: func(state, input, output any) (bool, any) {
			w, in, out := state.(world), input.(gateAsk), output.(gateTold)
			return w.step(in, out), w
		},
		DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v → %+v", in, out) },
	}
}

// step does what was asked, and reports whether the answer fits.
func (w *world) step(in gateAsk, out gateTold) bool {
	var want gateTold
	if w.line != in.after || in.line != 0 && in.line != w.line+1 {
		return false
	}
	w.line = max(w.line, in.line)
	was := *w
	switch in.verb {
	case "pin":
		if want.rule = w.rule(in.pin, true); want.rule == "" {
			w.pin(in.pin)
		}
		want.revision = w.envs[in.pin.env].revision
	case "set":
		if want.rule = w.rule(in.pin, true); want.rule == "" {
			want.rule = w.rule(in.more, true)
		}
		if want.rule == "" {
			w.pin(in.pin)
			w.pin(in.more)
		}
	case "report":
		halt, ended := w.report(in.env, in.revision, in.binding, in.state)
		want.ended = ended
		if halt != nil {
			if halt.id == newHalt {
				halt.id = out.halt
			}
			want.halt = halt.id
		}
	case "halt":
		want.halt = out.halt
		w.hand(in.env, out.halt)
	case "resolve":
		w.resolve(in.halt)
	case "approve":
		w.envs[in.env].approved[in.binding][in.client] = true
	case "policy":
		w.envs[in.env].soak, w.envs[in.env].approvals = in.soak, in.approvals
	case "beat":
		w.beat()
	case "read":
		want = w.read(in.env)
	}
	return out == want && (in.line != 0 || in.verb == "beat" || was == *w)
}

func (w *world) read(env int) gateTold {
	e := w.envs[env]
	out := gateTold{revision: e.revision}
	out.halts, _ = w.halts(env)
	for _, all := range e.approved {
		for _, yes := range all {
			if yes {
				out.approvals++
			}
		}
	}
	if s := w.sums[env][e.binding]; e.revision > 0 {
		out.binding = e.binding
		if s.revision == e.revision {
			out.verdict, out.held = s.verdict, s.held
		}
	}
	return out
}

// field is the lock file that a history plays on.
type field struct {
	*rig
	bindings [worldBindings]ref.BindingID
	number   map[ref.BindingID]int
	began    time.Time
	hands    atomic.Int64
}

func newField(t testing.TB, store lock.Store, seed uint64) (*field, world) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, worldClients))
	f := &field{rig: open(t, placing{store}), number: map[ref.BindingID]int{}, began: time.Now()}
	own1 := f.publish("1.0.0")
	must(f.Publish(f.ctx, alice, version(hub("1.5.0"), "")))
	own2 := f.publish("2.0.0")
	word := f.declared("1.5.0", image("quay.io/berkeley/word", "w"))
	rebuilt := f.bind(binding("1.0.0", candidate("1.0.0", built("1.0.0", "users"))))
	for i, b := range []lock.Binding{own1, own2, rebuilt, word} {
		f.bindings[i], f.number[b.ID] = b.ID, i
	}
	var w world
	for i, name := range envNames {
		f.create(name)
		w.envs[i].scope = []lock.Scope{lock.ScopeEnvironment, lock.ScopeHub, lock.ScopeEverything}[random.IntN(3)]
		if upOf[i] >= 0 {
			w.envs[i].soak = 10 * random.IntN(3)
		}
		w.envs[i].approvals = random.IntN(2)
		f.policy(name, f.policyOf(w, i))
	}
	w.line = uint64(len(f.lines()))
	return f, w
}

func (f *field) policyOf(w world, i int) lock.Policy {
	e := w.envs[i]
	p := lock.Policy{
		Accept: []lock.Evidence{lock.ChartValues, lock.BaseLayers, lock.DeclaredBy}, Halt: e.scope,
		Soak: lock.Duration(time.Duration(e.soak) * time.Second), Approvals: e.approvals,
	}
	if upOf[i] >= 0 {
		p.Upstream = []ref.Env{env(envNames[upOf[i]])}
	}
	return p
}

// client asks at random, guided by what it looks up, so that much of it passes.
type client struct {
	*field
	start  world
	id     int
	random *rand.Rand
}

// op is the client's, marked so that its line in the journal is found again.
func (c *client) op(n int) lock.Op {
	op := by(fmt.Sprint("client-", c.id))
	op.Actor.Source = fmt.Sprintf("client-%d op-%d", c.id, n)
	return op
}

func (c *client) one(n int) bool { return c.random.IntN(n) == 0 }

func (c *client) ask() gateAsk {
	in := gateAsk{client: c.id, env: c.random.IntN(worldEnvs), binding: c.random.IntN(worldBindings)}
	s := must(c.Environment(c.ctx, env(envNames[in.env])))
	switch n := c.random.IntN(100); {
	case n < 40:
		in.verb, in.pin = "pin", c.drawPin(in.env, s, in.binding)
	case n < 44:
		in.verb, in.pin = "set", c.drawPin(in.env, s, in.binding)
		other := (in.env + 1 + c.random.IntN(worldEnvs-1)) % worldEnvs
		in.pin.kind = lock.Bump
		in.more = in.pin
		in.more.env, in.more.base = other, int(must(c.Environment(c.ctx, env(envNames[other]))).Revision)
	case n < 64 && s.Revision > 0:
		in.verb, in.revision = "report", int(s.Revision)
		if in.revision > 1 && c.one(6) {
			in.revision--
		}
		in.binding = c.number[must(c.Pin(c.ctx, s.Env, uint64(in.revision))).Binding]
		in.state = []lock.ReportState{lock.ReportPassed, lock.ReportPassed, lock.ReportPassed, lock.ReportPassed, lock.ReportStarted, lock.ReportFailed}[c.random.IntN(6)]
	case n < 66 && c.hands.Add(1) <= maxHands:
		in.verb = "halt"
	case n < 73:
		open := must(c.OpenHalts(c.ctx))
		if len(open) == 0 {
			in.verb = "beat"
			break
		}
		in.verb, in.halt = "resolve", int(open[c.random.IntN(len(open))].Seq)
	case n < 80:
		in.verb = "approve"
	case n < 82:
		in.verb, in.approvals = "policy", c.random.IntN(2)
		if upOf[in.env] >= 0 {
			in.soak = 10 * c.random.IntN(3)
		}
	case n < 83:
		in.verb = "time"
	case n < 93:
		in.verb = "beat"
	default:
		in.verb = "read"
	}
	return in
}

func (c *client) drawPin(e int, s lock.EnvironmentState, binding int) worldPin {
	p := worldPin{env: e, base: int(s.Revision), binding: binding, kind: lock.Bump, client: c.id, downgrade: c.one(2), glass: c.one(15)}
	switch n := c.random.IntN(10); {
	case n < 3 && upOf[e] >= 0:
		from := must(c.Environment(c.ctx, env(envNames[upOf[e]])))
		p.kind, p.from = lock.Promote, upOf[e]
		if from.Pin != nil && !c.one(8) {
			p.binding = c.number[from.Pin.Binding]
		}
	case n < 6 && s.Revision > 0:
		p.kind, p.from = lock.Rollback, 1+c.random.IntN(int(s.Revision))
		p.binding = c.number[must(c.Pin(c.ctx, s.Env, uint64(p.from))).Binding]
	case n < 8 && (len(s.Halts) > 0 || c.one(10)):
		p.kind = lock.Fix
	}
	return p
}

// pinOf is the pin as the lock file takes it.
func (f *field) pinOf(p worldPin) lock.NewPin {
	np := lock.NewPin{Env: env(envNames[p.env]), Base: uint64(p.base), Binding: f.bindings[p.binding], Kind: p.kind}
	switch p.kind {
	case lock.Promote:
		np.From = envNames[p.from]
	case lock.Rollback:
		np.From = fmt.Sprint(p.from)
	}
	if p.downgrade {
		np.Downgrade = "any"
	}
	if p.glass {
		np.BreakGlass = "any"
	}
	return np
}

// do asks the lock file.
func (c *client) do(ctx context.Context, in gateAsk, op lock.Op) (out gateTold, err error) {
	e := env(envNames[in.env])
	switch in.verb {
	case "pin":
		var p lock.Pin
		p, err = c.MakePin(ctx, op, c.pinOf(in.pin))
		out.revision = int(p.Revision)
	case "set":
		one, two := c.pinOf(in.pin), c.pinOf(in.more)
		_, err = c.MakePinSet(ctx, op, lock.NewPinSet{Pins: []lock.NewPin{one, two}, Kind: one.Kind, Downgrade: one.Downgrade, BreakGlass: one.BreakGlass})
	case "report":
		var r lock.Report
		r, err = c.AddReport(ctx, op, lock.NewReport{Env: e, Revision: uint64(in.revision), State: in.state})
		out.halt, out.ended = haltNumber(r.Halt), len(r.Ended)
	case "halt":
		var h lock.Halt
		h, err = c.Halt(ctx, op, lock.NewHalt{Env: e, Reason: "any"})
		out.halt = int(h.Seq)
	case "resolve":
		_, err = c.ResolveHalt(ctx, op, fmt.Sprint("halt-", in.halt), "any")
	case "approve":
		_, err = c.Approve(ctx, op, lock.NewApproval{Env: e, Binding: c.bindings[in.binding]})
	case "policy":
		w := c.start
		w.envs[in.env].soak, w.envs[in.env].approvals = in.soak, in.approvals
		_, err = c.SetPolicy(ctx, op, e, c.policyOf(w, in.env))
	case "beat":
		err = c.Beat(ctx, beatSeconds*time.Second)
	case "time":
		c.pass(365 * 24 * time.Hour)
		_, err = c.OpenHalts(ctx) // for its place
	case "read":
		return c.read(ctx, e)
	}
	var stale *lock.StaleError
	var no *lock.Refusal
	switch {
	case errors.As(err, &stale):
		return gateTold{rule: "stale", revision: int(stale.Revision)}, nil
	case errors.As(err, &no):
		return gateTold{rule: no.Rule, revision: in.pin.base}, nil
	}
	return out, err
}

func (c *client) read(ctx context.Context, e ref.Env) (out gateTold, err error) {
	s, err := c.Status(ctx, e)
	if err != nil {
		return out, err
	}
	out = gateTold{revision: int(s.Revision), halts: len(s.Halts), held: int(time.Duration(s.Held).Seconds()), approvals: len(s.Approvals), verdict: s.Verdict}
	if s.Pin != nil {
		out.binding = c.number[s.Pin.Binding]
	}
	return out, nil
}

func haltNumber(id string) int {
	n, _ := strconv.Atoi(strings.TrimPrefix(id, "halt-"))
	return n
}

// play lets the clients ask at once and returns what each was told.
func (f *field) play(start world, seed uint64) []porcupine.Operation {
	const each = 40
	all := make([][]porcupine.Operation, worldClients)
	var wait sync.WaitGroup
	for id := range worldClients {
		wait.Go(func() {
			c := &client{f, start, id, rand.New(rand.NewPCG(seed, uint64(id)))}
			for n := range each {
				in := c.ask()
				called := time.Since(f.began)
				out, err := c.do(placed(c.ctx, &in.after), in, c.op(n))
				if in.verb == "set" {
					out.revision = 0
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
			in := o.Input.(gateAsk)
			in.line = lines[fmt.Sprintf("client-%d op-%d", id, n)]
			o.Input = in
			out = append(out, o)
		}
	}
	return out
}

// judge says what is wrong with a history; "" if nothing is.
func (f *field) judge(start world, h []porcupine.Operation) string {
	if broken := f.broken(start); len(broken) > 0 {
		return fmt.Sprintf("the journal breaks the gate: %q", broken)
	}
	if !porcupine.CheckOperations(gateModel(start), h) {
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
		f, start := newField(t, lock.NewMemory(), uint64(i))
		h := f.play(start, uint64(i))
		if t.Failed() {
			t.Fatalf("history %d failed", i)
		}
		if wrong := f.judge(start, h); wrong != "" {
			t.Fatalf("history %d: %s", i, wrong)
		}
		for _, o := range h {
			in, out := o.Input.(gateAsk), o.Output.(gateTold)
			told[in.verb+" "+string(in.pin.kind)+" "+out.rule]++
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
				f, start := newField(t, lock.NewMemory(), uint64(i))
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
