package lock_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
)

func by(name string) lock.Op {
	return lock.Op{Actor: lock.Actor{Name: name, TokenID: "token of " + name}}
}

func (r *rig) policy(e string, p lock.Policy) {
	r.t.Helper()
	if _, err := r.SetPolicy(r.ctx, alice, env(e), p); err != nil {
		r.t.Fatal(err)
	}
}

// beats lets n beats of ten seconds go by.
func (r *rig) beats(n int) {
	r.t.Helper()
	for range n {
		if err := r.Beat(r.ctx, lock.BeatInterval); err != nil {
			r.t.Fatal(err)
		}
	}
}

// move is a bump of an environment from the revision it is at.
func (r *rig) move(e string, b lock.Binding) lock.NewPin {
	r.t.Helper()
	return lock.NewPin{Env: env(e), Base: must(r.Environment(r.ctx, env(e))).Revision, Binding: b.ID}
}

// bump pins without --downgrade and expects it to pass.
func (r *rig) bump(e string, b lock.Binding) lock.Pin {
	r.t.Helper()
	p, err := r.MakePin(r.ctx, alice, r.move(e, b))
	if err != nil {
		r.t.Fatalf("bump %s to %s: %v", e, b.Chart, err)
	}
	return p
}

// says holds that the answer to the pin names each of the words, among what it
// wants too.
func (r *rig) says(np lock.NewPin, words ...string) {
	r.t.Helper()
	_, err := r.MakePin(r.ctx, alice, np)
	var no *lock.Refusal
	if !errors.As(err, &no) {
		r.t.Errorf("the answer is %v, want a refusal", err)
		return
	}
	want, command := advice.Of(no.Need)
	all := string(no.Rule) + ": " + no.Facts + " | " + want + " | " + command
	for _, w := range words {
		if !strings.Contains(all, w) {
			r.t.Errorf("the refusal does not say %q: %s", w, all)
		}
	}
	if len(no.List) == 0 || strings.Join(no.List, "; ") != no.Facts || command == "" {
		r.t.Errorf("the refusal is %+v", no)
	}
}

// stages are three stages of a hub, each with the one before it upstream.
func (r *rig) stages() {
	r.t.Helper()
	for _, s := range []string{"dev", "staging", "prod"} {
		r.create("data8/" + s)
	}
	r.policy("data8/staging", lock.Policy{Upstream: []ref.Env{env("data8/dev")}})
	r.policy("data8/prod", lock.Policy{Upstream: []ref.Env{env("data8/staging")}, Soak: lock.Duration(30 * time.Second)})
}

func TestPromotionNeedsAPass(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		one, two := r.publish("1.0.0"), r.publish("2.0.0")
		r.stages()
		r.bump("data8/dev", one)
		r.refusedPin("upstream", r.move("data8/staging", one))
		r.says(r.move("data8/staging", one), "data8/dev is pinned to this pair at revision 1, and no verdict came yet", "chartctl report data8/dev --revision 1 --passed")
		r.report("data8/dev", 1, model.Started)
		r.refusedPin("upstream", r.move("data8/staging", one))
		r.report("data8/dev", 1, model.Passed)
		r.refusedPin("upstream", r.move("data8/staging", two))
		r.says(r.move("data8/staging", two), "data8/dev never passed this pair, and is not pinned to it", "chartctl bump data8/dev --binding "+two.ID.String())
		r.bump("data8/staging", one)
		// Dev has moved on: that it passed stays.
		r.bump("data8/dev", two)
		r.bump("data8/staging", one)
	})
}

// A pass after the revision was superseded satisfies nothing.
func TestLatePassSatisfiesNothing(t *testing.T) {
	r := checked(t)
	one, two := r.publish("1.0.0"), r.publish("2.0.0")
	r.stages()
	r.bump("data8/dev", one)
	r.bump("data8/dev", two)
	r.report("data8/dev", 1, model.Passed)
	r.refusedPin("upstream", r.move("data8/staging", one))
}

func TestSoak(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		one, two := r.publish("1.0.0"), r.publish("2.0.0")
		r.stages()
		r.policy("data8/staging", lock.Policy{})
		r.bump("data8/staging", one)
		r.beats(10) // before the pass nothing counts
		r.report("data8/staging", 1, model.Passed)
		r.refusedPin("upstream", r.move("data8/prod", one))
		r.says(r.move("data8/prod", one), "held it for 0s of 30s", "30s more", "chartctl why data8/staging")
		r.beats(1) // it began before the pass
		r.beats(2)
		r.says(r.move("data8/prod", one), "held it for 20s of 30s")
		// The same revision passes once more: it goes on being held.
		r.report("data8/staging", 1, model.Passed)
		r.beats(1)
		r.bump("data8/prod", one)

		// What one revision held does not count for another one.
		r.bump("data8/staging", two)
		r.beats(10)
		r.report("data8/staging", 2, model.Passed)
		r.beats(3)
		r.down("data8/staging", one)
		r.beats(10)
		r.says(r.move("data8/prod", two), "held it for 20s of 30s")
		r.bump("data8/staging", two)
		r.report("data8/staging", 4, model.Passed)
		r.beats(3)
		r.says(r.move("data8/prod", two), "held it for 20s of 30s")
		r.beats(1)
		r.bump("data8/prod", two)
	})
}

// down pins with --downgrade.
func (r *rig) down(e string, b lock.Binding) lock.Pin {
	r.t.Helper()
	np := r.move(e, b)
	np.Downgrade = "as the test needs it"
	return must(r.MakePin(r.ctx, alice, np))
}

// A clock that jumps a year ahead, and a server that stood still for a year,
// satisfy nothing.
func TestSoakIsCounted(t *testing.T) {
	r := checked(t)
	one := r.publish("1.0.0")
	r.stages()
	r.policy("data8/staging", lock.Policy{})
	r.bump("data8/staging", one)
	r.report("data8/staging", 1, model.Passed)
	r.beats(1)
	r.pass(365 * 24 * time.Hour)
	r.refusedPin("upstream", r.move("data8/prod", one))
	for _, elapsed := range []time.Duration{365 * 24 * time.Hour, -time.Hour, 0} {
		if err := r.Beat(r.ctx, elapsed); err != nil {
			t.Fatal(err)
		}
	}
	r.says(r.move("data8/prod", one), "held it for 10s of 30s")
	if s := must(r.SummaryOf(r.ctx, env("data8/staging"), one.ID)); s.Held != lock.Duration(10*time.Second) || !s.Passed() {
		t.Errorf("the summary is %+v", s)
	}
}

// While a halt is open nothing soaks, and a failure takes what was held.
func TestSoakIsUnhalted(t *testing.T) {
	r := checked(t)
	one := r.publish("1.0.0")
	r.stages()
	r.policy("data8/staging", lock.Policy{})
	r.bump("data8/staging", one)
	r.report("data8/staging", 1, model.Passed)
	r.beats(2)
	h := must(r.Halt(r.ctx, alice, lock.NewHalt{Env: env("data8/dev"), Reason: "the registry is moving"}))
	r.beats(10)
	must(r.ResolveHalt(r.ctx, alice, h.ID, "it has moved"))
	r.says(r.move("data8/prod", one), "held it for 10s of 30s")
	r.beats(1) // it began while halted
	r.says(r.move("data8/prod", one), "held it for 10s of 30s")
	r.beats(2)
	r.bump("data8/prod", one)

	h = r.halt(r.report("data8/staging", 1, model.Failed))
	must(r.ResolveHalt(r.ctx, alice, h.ID, "it was the network"))
	r.says(r.move("data8/prod", one), "data8/staging failed this pair at revision 1", "deploy it there again", "chartctl why data8/staging")
	r.report("data8/staging", 1, model.Passed)
	r.beats(1)
	r.says(r.move("data8/prod", one), "held it for 0s of 30s")
}

// halt is the one that the report raised.
func (r *rig) halt(about lock.Report) lock.Halt {
	r.t.Helper()
	if about.Halt == "" {
		r.t.Fatalf("the report %+v halted nothing", about)
	}
	return must(r.HaltByID(r.ctx, about.Halt))
}

func TestBeatsOfManyEnvironments(t *testing.T) {
	r := checked(t)
	one := r.publish("1.0.0")
	for i := range 250 {
		e := fmt.Sprintf("hub%d/prod", i)
		r.create(e)
		r.bump(e, one)
		r.report(e, 1, model.Passed)
	}
	n := len(r.lines())
	r.beats(3)
	for i := range 250 {
		if s := must(r.SummaryOf(r.ctx, env(fmt.Sprintf("hub%d/prod", i)), one.ID)); s.Held != lock.Duration(20*time.Second) {
			t.Fatalf("hub%d held %s", i, s.Held)
		}
	}
	if len(r.lines()) != n {
		t.Error("beats left lines")
	}
}

// What no policy asks for is counted for a day, and then left alone.
func TestBeatsEnd(t *testing.T) {
	r := checked(t)
	one := r.publish("1.0.0")
	r.create("data8/prod")
	r.bump("data8/prod", one)
	r.report("data8/prod", 1, model.Passed)
	r.beats(24*360 + 1)
	before := r.dump()
	r.beats(1)
	if r.dump() != before {
		t.Error("a beat wrote with nothing to count")
	}
	r.create("data8/later")
	r.policy("data8/later", lock.Policy{Upstream: []ref.Env{env("data8/prod")}, Soak: lock.Duration(24*time.Hour + time.Minute)})
	r.beats(5)
	r.refusedPin("upstream", r.move("data8/later", one))
	r.beats(1)
	r.bump("data8/later", one)
}

func TestApprovals(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		one, two := r.publish("1.0.0"), r.publish("2.0.0")
		r.create("data8/prod")
		r.policy("data8/prod", lock.Policy{Approvals: 2})
		prod := env("data8/prod")
		approve := func(op lock.Op, b lock.Binding) lock.Approval {
			return must(r.Approve(r.ctx, op, lock.NewApproval{Env: prod, Binding: b.ID, Reason: "I looked"}))
		}
		r.refusedPin("approvals", r.move("data8/prod", one))
		r.says(r.move("data8/prod", one), "0 of 2 approvals", "let 2 more approve it, who are not alice", "chartctl approve data8/prod --binding "+one.ID.String())
		approve(alice, one) // one's own does not count
		approve(by("bob"), two)
		first := approve(by("bob"), one)
		n := len(r.lines())
		if again := approve(by("bob"), one); again != first || len(r.lines()) != n {
			t.Errorf("approved twice: %+v and %+v", first, again)
		}
		// Another name with the same token is the same principal.
		approve(lock.Op{Actor: lock.Actor{Name: "bobby", TokenID: "token of bob"}}, one)
		r.says(r.move("data8/prod", one), "1 of 2 approvals", "the approval of alice does not count for their own pin")
		approve(by("carol"), one)
		carols := r.move("data8/prod", one)
		carols.Base = 0
		_, err := r.MakePin(r.ctx, lock.Op{Actor: lock.Actor{Name: "other", TokenID: "token of carol"}}, carols)
		if err != nil { // alice and bob
			t.Errorf("carol's other name: %v", err)
		}
		if left := must(r.Approvals(r.ctx, prod, one.ID)); len(left) != 0 {
			t.Errorf("a pin leaves the approvals %+v", left)
		}
		r.refusedPin("approvals", r.move("data8/prod", one))
		if left := must(r.Approvals(r.ctx, prod, two.ID)); len(left) != 1 || left[0].By.Name != "bob" {
			t.Errorf("a pin of another binding leaves the approvals %+v", left)
		}
		approve(by("carol"), one)
		approve(by("dave"), one)
		r.bump("data8/prod", one)
	})
}

func TestApprovalsRefused(t *testing.T) {
	r := checked(t)
	one, gone := r.publish("1.0.0"), r.publish("2.0.0")
	must(r.Revoke(r.ctx, alice, gone.ID, "CVE"))
	other := version(chart("binderhub", "1.0.0"), "")
	other.Binding = &lock.NewBinding{Chart: other.Version.Chart, Package: other.Version.Package}
	foreign := must(r.Publish(r.ctx, alice, other)).Binding
	r.create("data8/prod")
	for _, c := range []struct {
		kind error
		says string
		na   lock.NewApproval
	}{
		{lock.ErrNotFound, "no/where", lock.NewApproval{Env: env("no/where"), Binding: one.ID}},
		{lock.ErrNotFound, "no binding", lock.NewApproval{Env: env("data8/prod"), Binding: ref.BindingIDOf(digest("none"), nil)}},
		{lock.ErrRefused, "revoked", lock.NewApproval{Env: env("data8/prod"), Binding: gone.ID}},
		{lock.ErrRefused, "binderhub", lock.NewApproval{Env: env("data8/prod"), Binding: foreign.ID}},
		{lock.ErrInvalid, "1001 bytes", lock.NewApproval{Env: env("data8/prod"), Binding: one.ID, Reason: strings.Repeat("x", 1001)}},
	} {
		r.refused(c.kind, func() error { _, err := r.Approve(r.ctx, alice, c.na); return err }, c.says)
	}
	approve := func(who string, b lock.Binding) error {
		_, err := r.Approve(r.ctx, by(who), lock.NewApproval{Env: env("data8/prod"), Binding: b.ID})
		return err
	}
	for i := range 20 {
		if err := approve(fmt.Sprint("person ", i), one); err != nil {
			t.Fatal(err)
		}
	}
	r.refused(lock.ErrRefused, func() error { return approve("one more", one) }, "20 approvals")
}

// Whose token was revoked has no say any more, nor has the token's finder.
func TestApprovalOfARevokedToken(t *testing.T) {
	r := checked(t)
	one := r.publish("1.0.0")
	r.create("data8/prod")
	r.policy("data8/prod", lock.Policy{Approvals: 1})
	must(0, r.CreateToken(r.ctx, alice, lock.Token{ID: "token of bob", Name: "bob"}))
	must(r.Approve(r.ctx, by("bob"), lock.NewApproval{Env: env("data8/prod"), Binding: one.ID}))
	must(0, r.RevokeToken(r.ctx, alice, "token of bob"))
	r.refusedPin("approvals", r.move("data8/prod", one))
	r.says(r.move("data8/prod", one), "the token of bob was revoked since")
	again := lock.Op{Actor: lock.Actor{Name: "bob", TokenID: "new token of bob"}}
	must(r.Approve(r.ctx, again, lock.NewApproval{Env: env("data8/prod"), Binding: one.ID}))
	r.bump("data8/prod", one)
}

// A reason of blanks is none.
func TestBlankReasons(t *testing.T) {
	r := checked(t)
	one, two := r.publish("1.0.0"), r.publish("2.0.0")
	r.create("data8/prod")
	r.bump("data8/prod", two)
	down, glass := r.move("data8/prod", one), r.move("data8/prod", one)
	down.Downgrade, glass.BreakGlass = " ", "\t "
	for _, np := range []lock.NewPin{down, glass} {
		r.refused(lock.ErrInvalid, func() error { _, err := r.MakePin(r.ctx, alice, np); return err }, "nothing but blanks")
	}
	r.refused(lock.ErrInvalid, func() error {
		_, err := r.Halt(r.ctx, alice, lock.NewHalt{Env: env("data8/prod"), Reason: "  "})
		return err
	}, "nothing but blanks")
}

// Approvals that nobody used do not keep new ones out: the oldest is forgotten.
func TestApprovalsGoStale(t *testing.T) {
	r := checked(t)
	r.create("data8/prod")
	r.policy("data8/prod", lock.Policy{Approvals: 1})
	var all []lock.Binding
	for i := range 17 {
		b := r.publish(fmt.Sprintf("1.0.%d", i))
		must(r.Approve(r.ctx, by("bob"), lock.NewApproval{Env: env("data8/prod"), Binding: b.ID}))
		all = append(all, b)
	}
	r.refusedPin("approvals", r.move("data8/prod", all[0]))
	r.bump("data8/prod", all[1])
	must(r.Approve(r.ctx, by("eve"), lock.NewApproval{Env: env("data8/prod"), Binding: all[0].ID}))
	if have := must(r.Approvals(r.ctx, env("data8/prod"), all[0].ID)); len(have) != 1 || have[0].By.Name != "eve" {
		t.Errorf("what was forgotten came back: %+v", have)
	}
	r.bump("data8/prod", all[16])
}

func TestFreeze(t *testing.T) {
	r := checked(t)
	one := r.publish("1.0.0")
	r.create("data8/prod")
	// Tuesday, 9 April 2024, 12:00 UTC is 05:00 in California.
	r.policy("data8/prod", lock.Policy{Freeze: []lock.Freeze{
		{Cron: "0 17 * * FRI", Zone: "America/Los_Angeles", For: lock.Duration(63 * time.Hour), Reason: "weekend"},
		{Cron: "0 6 * * *", Zone: "America/Los_Angeles", For: lock.Duration(time.Hour)},
	}})
	at := func(day, hour, minute int) {
		r.ahead.Store(int64(time.Date(2024, 4, day, hour, minute, 0, 0, time.UTC).Sub(start)))
	}
	for _, c := range []struct {
		day, hour, minute int
		open              string
	}{
		{9, 12, 59, ""}, {9, 13, 0, "07:00 PDT"}, {9, 13, 59, "07:00 PDT"}, {9, 14, 0, ""},
		{12, 23, 59, ""}, {13, 0, 0, "2024-04-15 08:00 PDT"}, {15, 14, 59, "weekend"}, {15, 15, 0, ""},
	} {
		at(c.day, c.hour, c.minute)
		np := r.move("data8/prod", one)
		if c.open == "" {
			must(r.MakePin(r.ctx, alice, np))
			continue
		}
		r.refusedPin("freeze", np)
		r.says(np, c.open, "wait until", "chartctl gate data8/prod")
	}
}

func TestBreakGlass(t *testing.T) {
	r := checked(t)
	one, two := r.publish("1.0.0"), r.publish("2.0.0")
	r.stages()
	r.policy("data8/prod", lock.Policy{
		Upstream: []ref.Env{env("data8/staging")}, Approvals: 1,
		Freeze: []lock.Freeze{{Cron: "* * * * *", Zone: "UTC", For: lock.Duration(time.Hour)}},
	})
	np := r.move("data8/prod", two)
	np.BreakGlass = "production is down"
	p := must(r.MakePin(r.ctx, alice, np))
	if p.BreakGlass != np.BreakGlass {
		t.Errorf("the pin is %+v", p)
	}
	r.report("data8/prod", 1, model.Failed)
	r.refusedPin("halt", r.move("data8/prod", one))
	np = r.move("data8/prod", one)
	np.BreakGlass = "still down"
	must(r.MakePin(r.ctx, alice, np))
	if kept := must(r.Pin(r.ctx, env("data8/prod"), 2)); kept.BreakGlass != "still down" || kept.Direction.Chart != model.Back {
		t.Errorf("the pin is kept as %+v", kept)
	}
	// Rule 1 holds all the same.
	must(r.Revoke(r.ctx, alice, two.ID, "CVE"))
	np = r.move("data8/prod", two)
	np.BreakGlass = "please"
	r.refusedPin("revoked", np)
	np.Binding, np.Base = one.ID, 0
	r.refusedPin("stale", np)
}

func TestGateExplainsEveryRule(t *testing.T) {
	r := checked(t)
	one, two := r.publish("1.0.0"), r.publish("2.0.0")
	r.stages()
	r.bump("data8/dev", two)
	np := r.move("data8/prod", two)
	np.BreakGlass = "to begin with"
	must(r.MakePin(r.ctx, alice, np))
	r.policy("data8/prod", lock.Policy{
		Upstream: []ref.Env{env("data8/dev")}, Approvals: 1,
		Freeze: []lock.Freeze{{Cron: "* * * * *", Zone: "UTC", For: lock.Duration(time.Hour)}},
	})
	r.report("data8/dev", 1, model.Failed)
	np = r.move("data8/prod", one)
	np.Base = 9
	before := r.dump()
	v := must(r.Gate(r.ctx, alice, np))
	if r.dump() != before {
		t.Error("the question wrote something")
	}
	if v.OK || v.Revision != 1 || v.Direction.Chart != model.Back {
		t.Errorf("the verdict is %+v", v)
	}
	refused := func() (out []string) {
		for _, rule := range v.Rules {
			if !rule.OK && rule.Skipped == "" {
				out = append(out, string(rule.Rule))
			}
			want, command := advice.Of(rule.Need)
			if len(rule.Facts) == 0 && rule.Rule != model.RuleSource || !rule.OK && (want == "" || command == "") || rule.OK && want != "" {
				t.Errorf("the verdict of %q is %+v", rule.Rule, rule)
			}
		}
		return out
	}
	if got := refused(); !slices.Equal(got, []string{"base", "halt", "upstream", "approvals", "freeze", "direction"}) {
		t.Errorf("refused by %q", got)
	}
	np.BreakGlass = "x"
	v = must(r.Gate(r.ctx, alice, np))
	if got := refused(); !slices.Equal(got, []string{"base"}) {
		t.Errorf("break-glass is refused by %q", got)
	}
	np.Base = 1
	v = must(r.Gate(r.ctx, alice, np))
	if !v.OK {
		t.Errorf("the verdict is %+v", v)
	}
	for _, rule := range v.Rules {
		if rule.Number > 1 && (rule.OK || rule.Skipped != "break-glass: x") {
			t.Errorf("break-glass hides what %q says: %+v", rule.Rule, rule)
		}
	}
	r.refused(lock.ErrInvalid, func() error { _, err := r.Gate(r.ctx, alice, lock.NewPin{Env: env("data8/prod")}); return err }, "no binding")
	r.refused(lock.ErrNotFound, func() error {
		_, err := r.Gate(r.ctx, alice, lock.NewPin{Env: env("no/where"), Binding: one.ID})
		return err
	}, "no/where")
}
