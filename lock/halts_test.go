package lock_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
)

// halted holds that the pin is refused by a halt: with its own sentinel.
func (r *rig) halted(e string, b lock.Binding, words ...string) {
	r.t.Helper()
	r.refusedPin("halt", r.move(e, b))
	r.says(r.move(e, b), words...)
	_, err := r.MakePin(r.ctx, alice, r.move(e, b))
	if !errors.Is(err, lock.ErrHalted) || errors.Is(err, lock.ErrGate) {
		r.t.Errorf("the answer is %v, want %v", err, lock.ErrHalted)
	}
}

func (r *rig) fix(e string, b lock.Binding) lock.NewPin {
	np := r.move(e, b)
	np.Kind, np.Downgrade = model.Fix, "as the test needs it"
	return np
}

func (r *rig) back(e string, revision uint64) lock.NewPin {
	r.t.Helper()
	np := r.move(e, lock.Binding{ID: must(r.Pin(r.ctx, env(e), revision)).Binding})
	np.Kind, np.From = model.Rollback, fmt.Sprint(revision)
	return np
}

// A failed report halts the hub at once: the next transaction is refused.
func TestFailureHalts(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		one, two := r.publish("1.0.0"), r.publish("2.0.0")
		for _, e := range []string{"data8/dev", "data8/prod", "eecs/prod"} {
			r.create(e)
			r.bump(e, one)
		}
		r.report("data8/dev", 1, model.Passed)
		r.bump("data8/dev", two)
		failed := must(r.AddReport(r.ctx, by("ci"), lock.NewReport{Env: env("data8/dev"), Revision: 2, State: model.Failed, Note: "hub does not answer"}))
		n := len(r.lines())
		r.halted("data8/prod", two, failed.Halt+" halts every stage of data8", "revision 2 of data8/dev failed, ci said", "hub does not answer", "chartctl rollback data8/dev")
		if next := r.lines()[n]; next.Seq != failed.Seq+1 || next.Result != "refused" {
			t.Errorf("the next transaction is %+v", next)
		}
		r.halted("data8/dev", two)
		r.bump("eecs/prod", two)
		r.refusedPin("halt", r.back("data8/prod", 1)) // it never passed there

		must(r.MakePin(r.ctx, alice, r.back("data8/dev", 1)))
		r.report("data8/dev", 3, model.Started)
		r.halted("data8/prod", two)
		passed := r.report("data8/dev", 3, model.Passed)
		h := must(r.HaltByID(r.ctx, failed.Halt))
		if len(passed.Ended) != 1 || passed.Ended[0] != h.ID || h.Open() || h.Ended.Revision != 3 || h.Ended.By != "alice" {
			t.Errorf("%+v ended %+v", passed, h)
		}
		r.bump("data8/prod", two)
		if open := must(r.OpenHalts(r.ctx)); len(open) != 0 {
			t.Errorf("still open: %+v", open)
		}
	})
}

func TestHaltScopes(t *testing.T) {
	r := checked(t)
	one := r.publish("1.0.0")
	envs := []string{"data8/dev", "data8/prod", "eecs/prod"}
	for _, e := range envs {
		r.create(e)
		r.bump(e, one)
	}
	for scope, stopped := range map[model.Scope]int{"": 2, model.ScopeHub: 2, model.ScopeEnvironment: 1, model.ScopeEverything: 3} {
		r.policy("data8/dev", lock.Policy{Halt: scope})
		h := r.halt(r.report("data8/dev", must(r.Environment(r.ctx, env("data8/dev"))).Revision, model.Failed))
		for i, e := range envs {
			if i < stopped {
				r.halted(e, one)
			} else {
				r.bump(e, one)
			}
		}
		must(r.ResolveHalt(r.ctx, alice, h.ID, "next case"))
		r.bump("data8/dev", one)
	}
}

func TestOneFixIsLetThrough(t *testing.T) {
	r := checked(t)
	one, two, three := r.publish("1.0.0"), r.publish("2.0.0"), r.publish("3.0.0")
	r.stages()
	r.bump("data8/dev", one)
	r.policy("data8/dev", lock.Policy{Approvals: 1})
	r.refusedPin("fix", r.fix("data8/dev", two))
	h := r.halt(r.report("data8/dev", 1, model.Failed))
	r.refusedPin("halt", r.fix("data8/staging", two)) // the failure was elsewhere
	np := r.fix("data8/dev", two)
	np.Base = 0
	r.refusedPin("stale", np)
	fixed := must(r.MakePin(r.ctx, alice, r.fix("data8/dev", two))) // no approval is asked for
	if fixed.Kind != model.Fix {
		t.Errorf("the fix is %+v", fixed)
	}
	r.refusedPin("halt", r.fix("data8/dev", three))
	r.says(r.fix("data8/dev", three), "revision 2 is the fix that was let through")
	// The fix fails as well: the same halt, and one more fix.
	if again := r.halt(r.report("data8/dev", 2, model.Failed)); again.ID != h.ID || again.Revision != 2 {
		t.Errorf("the halt is %+v, was %+v", again, h)
	}
	must(r.MakePin(r.ctx, alice, r.fix("data8/dev", three)))
	r.refusedPin("halt", r.fix("data8/dev", two))
	if p := r.report("data8/dev", 3, model.Passed); len(p.Ended) != 1 {
		t.Errorf("the pass of the fix ended %q", p.Ended)
	}
	r.bump("data8/staging", three)
	// A fix is under the rule of direction.
	r.report("data8/dev", 3, model.Failed)
	np = r.fix("data8/dev", one)
	np.Downgrade = ""
	r.refusedPin("direction", np)
}

// A pass of the revision that failed, or of a bump by break-glass, is not the
// pass of a rollback or a fix.
func TestWhatDoesNotEndAHalt(t *testing.T) {
	r := checked(t)
	one, two := r.publish("1.0.0"), r.publish("2.0.0")
	r.create("data8/dev")
	r.create("data8/prod")
	r.bump("data8/dev", one)
	h := r.halt(r.report("data8/dev", 1, model.Failed))
	np := r.move("data8/prod", two)
	np.BreakGlass = "an exam"
	must(r.MakePin(r.ctx, alice, np))
	for _, pass := range []lock.Report{
		r.report("data8/dev", 1, model.Passed), r.report("data8/prod", 1, model.Passed),
	} {
		if len(pass.Ended) > 0 {
			t.Errorf("%+v ended a halt", pass)
		}
	}
	np = r.move("data8/dev", two)
	np.BreakGlass = "an exam"
	must(r.MakePin(r.ctx, alice, np))
	r.report("data8/dev", 2, model.Passed)
	r.halted("data8/dev", two, h.ID)
	must(r.ResolveHalt(r.ctx, by("bob"), h.ID, "seen to"))
	n := len(r.lines())
	again := must(r.ResolveHalt(r.ctx, alice, h.ID, "me too"))
	if again.Ended.By != "bob" || again.Ended.Reason != "seen to" || len(r.lines()) != n {
		t.Errorf("resolved twice: %+v", again)
	}
	r.bump("data8/dev", two)
}

// A late failure halts only where its binding is still pinned in scope; the
// verdict is failed all the same.
func TestLateFailure(t *testing.T) {
	r := checked(t)
	one, two := r.publish("1.0.0"), r.publish("2.0.0")
	for _, e := range []string{"data8/dev", "data8/prod", "eecs/prod"} {
		r.create(e)
		r.bump(e, one)
	}
	r.report("data8/dev", 1, model.Passed)
	for _, e := range []string{"data8/dev", "data8/prod"} {
		r.bump(e, two)
	}
	if late := r.report("data8/dev", 1, model.Failed); late.Halt != "" || !late.Superseded {
		t.Errorf("eecs alone is pinned to it, and %+v halts", late)
	}
	r.refusedPin("direction", r.back("data8/dev", 1)) // its last verdict is failed
	r.policy("data8/dev", lock.Policy{Halt: model.ScopeEverything})
	h := r.halt(r.report("data8/dev", 1, model.Failed))
	r.halted("eecs/prod", one)
	must(r.ResolveHalt(r.ctx, alice, h.ID, "next"))

	r.policy("data8/dev", lock.Policy{Halt: model.ScopeEnvironment})
	if late := r.report("data8/dev", 1, model.Failed); late.Halt != "" {
		t.Errorf("dev has moved on, and %+v halts", late)
	}
	r.down("data8/dev", one) // the same binding at a newer revision
	h = r.halt(r.report("data8/dev", 1, model.Failed))
	r.halted("data8/dev", one, h.ID)
	r.policy("data8/dev", lock.Policy{})
	must(r.ResolveHalt(r.ctx, alice, h.ID, "next"))
	r.down("data8/prod", one)
	r.bump("data8/dev", two)
	h = r.halt(r.report("data8/dev", 1, model.Failed)) // prod is in the hub
	r.halted("data8/prod", one, h.ID)
}

// A rollback to what passed here needs nothing more, halted or not.
func TestRollbackToAPass(t *testing.T) {
	r := checked(t)
	one, two := r.publish("1.0.0"), r.publish("2.0.0")
	r.create("data8/prod")
	r.bump("data8/prod", one)
	r.bump("data8/prod", two)
	r.refusedPin("direction", r.back("data8/prod", 1))
	np := r.back("data8/prod", 1)
	np.Downgrade = "it never reported"
	must(r.MakePin(r.ctx, alice, np))
	r.report("data8/prod", 3, model.Passed)
	r.bump("data8/prod", two)
	r.report("data8/prod", 4, model.Failed)
	r.policy("data8/prod", lock.Policy{
		Approvals: 2, Freeze: []lock.Freeze{{Cron: "* * * * *", Zone: "UTC", For: lock.Duration(time.Hour)}},
	})
	must(r.Yank(r.ctx, alice, hub("1.0.0"), "broken"))
	r.refusedPin("yanked", r.move("data8/prod", one))
	p := must(r.MakePin(r.ctx, alice, r.back("data8/prod", 1)))
	if p.Kind != model.Rollback || p.Direction.Chart != model.Back || p.Downgrade != "" {
		t.Errorf("rolled back with %+v", p)
	}
	must(r.Revoke(r.ctx, alice, one.ID, "CVE"))
	r.refusedPin("revoked", r.back("data8/prod", 1))
	r.refusedPin("rollback", func() lock.NewPin { np := r.back("data8/prod", 1); np.Binding = two.ID; return np }())
}

func TestHaltByHand(t *testing.T) {
	r := checked(t)
	one, two := r.publish("1.0.0"), r.publish("2.0.0")
	r.create("data8/prod")
	r.create("eecs/prod")
	r.bump("data8/prod", one)
	n := len(r.lines())
	h := must(r.Halt(r.ctx, by("bob"), lock.NewHalt{Env: env("data8/prod"), Scope: model.ScopeEverything, Reason: "exams"}))
	if h.Cause != model.CauseHand || h.Revision != 1 || h.ID != fmt.Sprintf("halt-%d", n+1) || len(r.lines()) != n+1 {
		t.Errorf("the halt is %+v", h)
	}
	r.halted("eecs/prod", one, "halts everything", "raised by bob for data8/prod (exams)")
	hub := must(r.Halt(r.ctx, alice, lock.NewHalt{Env: env("data8/prod"), Reason: "more"}))
	if open := must(r.OpenHalts(r.ctx)); len(open) != 2 || open[0].ID != h.ID || open[1].Scope != model.ScopeHub {
		t.Errorf("open are %+v", open)
	}
	// There is no failure to fix, and a pass says nothing of why it was raised.
	r.refusedPin("halt", r.fix("data8/prod", two))
	r.says(r.move("data8/prod", two), "chartctl resolve "+hub.ID)
	r.report("data8/prod", 1, model.Passed)
	must(r.MakePin(r.ctx, alice, r.back("data8/prod", 1)))
	if p := r.report("data8/prod", 2, model.Passed); len(p.Ended) != 0 {
		t.Errorf("the rollback ended %q", p.Ended)
	}
	// Nor does a failure let a fix through that somebody halted by hand.
	failed := r.halt(r.report("data8/prod", 2, model.Failed))
	r.refusedPin("halt", r.fix("data8/prod", two))
	for _, id := range []string{h.ID, hub.ID} {
		must(r.ResolveHalt(r.ctx, alice, id, "over"))
	}
	must(r.MakePin(r.ctx, alice, r.fix("data8/prod", two)))
	if p := r.report("data8/prod", 3, model.Passed); len(p.Ended) != 1 || p.Ended[0] != failed.ID {
		t.Errorf("the fix ended %q", p.Ended)
	}
	all, next, err := r.Halts(r.ctx, failed.Seq, 1)
	if err != nil || len(all) != 1 || all[0].ID != hub.ID || next != hub.Seq {
		t.Errorf("the first page is %+v, %d, %v", all, next, err)
	}
	all, next, err = r.Halts(r.ctx, next, 1)
	if err != nil || len(all) != 1 || all[0].ID != h.ID || next != 0 {
		t.Errorf("the second page is %+v, %d, %v", all, next, err)
	}
}

// A pair that failed in one stage is no fix for the failure of another one.
func TestFixOfWhatFailedElsewhere(t *testing.T) {
	r := checked(t)
	one, two, three := r.publish("1.0.0"), r.publish("2.0.0"), r.publish("3.0.0")
	r.create("data8/dev")
	r.create("data8/prod")
	r.bump("data8/prod", one)
	r.bump("data8/dev", two)
	r.report("data8/dev", 1, model.Failed)
	r.report("data8/prod", 1, model.Failed)
	r.refusedPin("halt", r.fix("data8/prod", two))
	r.says(r.fix("data8/prod", two), "revision 1 of data8/dev failed", "chartctl rollback data8/dev")
	must(r.MakePin(r.ctx, alice, r.fix("data8/dev", two))) // tried again where it failed
	must(r.MakePin(r.ctx, alice, r.fix("data8/prod", three)))
}

func TestHaltsRefused(t *testing.T) {
	r := checked(t)
	r.create("data8/prod")
	for want, c := range map[string]struct {
		kind error
		nh   lock.NewHalt
	}{
		"needs a reason": {lock.ErrInvalid, lock.NewHalt{Env: env("data8/prod")}},
		"no/where":       {lock.ErrNotFound, lock.NewHalt{Env: env("no/where"), Reason: "x"}},
		`"galaxy"`:       {lock.ErrInvalid, lock.NewHalt{Env: env("data8/prod"), Reason: "x", Scope: "galaxy"}},
		"1001 bytes":     {lock.ErrInvalid, lock.NewHalt{Env: env("data8/prod"), Reason: strings.Repeat("x", 1001)}},
	} {
		r.refused(c.kind, func() error { _, err := r.Halt(r.ctx, alice, c.nh); return err }, want)
	}
	for range 16 {
		must(r.Halt(r.ctx, alice, lock.NewHalt{Env: env("data8/prod"), Reason: "x"}))
	}
	r.refused(lock.ErrRefused, func() error {
		_, err := r.Halt(r.ctx, alice, lock.NewHalt{Env: env("data8/prod"), Reason: "x"})
		return err
	}, "16 open halts")
	for id, kind := range map[string]error{"halt-999": lock.ErrNotFound, "12": lock.ErrInvalid, "halt-012": lock.ErrInvalid, "halt-x": lock.ErrInvalid} {
		r.refused(kind, func() error { _, err := r.ResolveHalt(r.ctx, alice, id, "x"); return err }, id)
		r.refused(kind, func() error { _, err := r.HaltByID(r.ctx, id); return err }, id)
	}
	r.refused(lock.ErrInvalid, func() error { _, err := r.ResolveHalt(r.ctx, alice, "halt-2", ""); return err }, "needs a reason")
	r.refused(lock.ErrInvalid, func() error { _, err := r.ResolveHalt(r.ctx, alice, "halt-2", strings.Repeat("x", 1001)); return err }, "1001 bytes")
	// A failure is never refused.
	r.publish("1.0.0")
	np := r.move("data8/prod", lock.Binding{ID: must(r.ChartVersion(r.ctx, hub("1.0.0"))).Default})
	np.BreakGlass = "x"
	must(r.MakePin(r.ctx, alice, np))
	r.halt(r.report("data8/prod", 1, model.Failed))
}

func TestDeadline(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		one, two := r.publish("1.0.0"), r.publish("2.0.0")
		r.stages()
		minute := lock.Duration(time.Minute)
		r.policy("data8/dev", lock.Policy{Deadline: minute})
		r.bump("data8/dev", one)
		r.beats(6)
		r.says(r.move("data8/staging", one), "no verdict came yet")
		if s := must(r.Status(r.ctx, env("data8/dev"))); s.Overdue || s.Waited != lock.Duration(50*time.Second) {
			t.Errorf("the status is %+v", s)
		}
		r.pass(365 * 24 * time.Hour)
		r.says(r.move("data8/staging", one), "no verdict came yet")
		n := len(r.lines())
		r.beats(9)
		if s := must(r.Status(r.ctx, env("data8/dev"))); !s.Overdue || s.Waited != minute || len(r.lines()) != n {
			t.Errorf("the status is %+v", s)
		}
		r.says(r.move("data8/staging", one), "no verdict came by its deadline")

		// The policy makes it a halt, once.
		r.policy("data8/dev", lock.Policy{Deadline: minute, Overdue: model.OverdueHalt})
		r.beats(3)
		open := must(r.OpenHalts(r.ctx))
		if len(open) != 1 || open[0].Cause != model.CauseDeadline || open[0].By != "chartd" || len(r.lines()) != n+3 {
			t.Fatalf("open are %+v", open)
		}
		r.halted("data8/prod", two, "revision 1 of data8/dev missed its report deadline", "no verdict on revision 1 within 1m")
		if p := r.report("data8/dev", 1, model.Passed); len(p.Ended) != 1 || p.Ended[0] != open[0].ID {
			t.Errorf("the verdict ended %q", p.Ended)
		}
		r.bump("data8/dev", two)
		r.beats(8)
		open = must(r.OpenHalts(r.ctx))
		if len(open) != 1 || open[0].Revision != 2 {
			t.Fatalf("open are %+v", open)
		}
		must(r.ResolveHalt(r.ctx, alice, open[0].ID, "it is slow"))
		r.beats(3)
		if open := must(r.OpenHalts(r.ctx)); len(open) != 0 {
			t.Errorf("halted again: %+v", open)
		}
	})
}

// What was adopted may count as passed.
func TestAdoptAssumePassed(t *testing.T) {
	r := checked(t)
	one := binding("1.0.0", candidate("1.0.0", own("1.0.0")))
	r.publish("1.0.0")
	two := r.publish("2.0.0")
	for _, assume := range []bool{true, false} {
		e := map[bool]string{true: "data8/prod", false: "eecs/prod"}[assume]
		must(r.AdoptPin(r.ctx, alice, lock.NewAdoption{Env: env(e), Chart: "jupyterhub", Binding: one, Reason: "it runs", AssumePassed: assume}))
		if n := len(must(r.Reports(r.ctx, env(e), 1))); (n == 1) != assume {
			t.Errorf("%s has %d reports", e, n)
		}
		r.bump(e, two)
		if np := r.back(e, 1); assume {
			must(r.MakePin(r.ctx, alice, np))
		} else {
			r.refusedPin("direction", np)
		}
	}
	r.create("data8/next")
	r.policy("data8/next", lock.Policy{Upstream: []ref.Env{env("data8/prod")}})
	r.bump("data8/next", lock.Binding{ID: one.ID()})
}
