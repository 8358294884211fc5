package lock_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
)

// refusedPin holds that the pin is refused by the rule, with exactly one line
// in the journal and nothing else.
func (r *rig) refusedPin(rule string, np lock.NewPin) {
	r.t.Helper()
	r.refusedMove(rule, np.Env, func() error { _, err := r.MakePin(r.ctx, alice, np); return err })
}

func (r *rig) refusedMove(rule string, e ref.Env, do func() error) {
	r.t.Helper()
	before, n := r.dump("journal meta"), len(r.lines())
	err := do()
	var no *lock.Refusal
	if rule == "stale" {
		if !errors.Is(err, lock.ErrStale) {
			r.t.Errorf("the answer is %v, want stale", err)
		}
	} else if !errors.As(err, &no) || string(no.Rule) != rule || no.Facts == "" || no.Need == nil {
		r.t.Errorf("the answer is %#v, want a refusal by %q", err, rule)
	}
	if r.dump("journal meta") != before {
		r.t.Errorf("refused by %q, and more than the journal was written", rule)
	}
	lines := r.lines()
	if len(lines) != n+1 {
		r.t.Fatalf("refused by %q with %d lines", rule, len(lines)-n)
	}
	if last := lines[n]; last.Result != "refused" || last.Object != e.String() || !strings.Contains(string(last.Detail), "why") {
		r.t.Errorf("refused by %q with the line %+v", rule, last)
	}
}

func TestPinRevisions(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		b := r.publish("1.0.0")
		r.create("data8/prod")
		if p := r.pin("data8/prod", 0, b); p.Revision != 1 || p.Kind != model.Bump || p.By != "alice" {
			t.Errorf("the first pin is %+v", p)
		}
		gen := must(r.IndexGeneration(r.ctx))
		r.pin("data8/prod", 1, b)
		bob := lock.Op{Actor: lock.Actor{Name: "bob"}}
		must(r.MakePin(r.ctx, bob, lock.NewPin{Env: env("data8/prod"), Base: 2, Binding: b.ID, Reason: "hotfix"}))

		_, err := r.MakePin(r.ctx, alice, lock.NewPin{Env: env("data8/prod"), Base: 2, Binding: b.ID})
		var stale *lock.StaleError
		if !errors.As(err, &stale) || stale.Revision != 3 || stale.Base != 2 || stale.Current.By != "bob" {
			t.Fatalf("the loser is told %v", err)
		}
		for _, w := range []string{"data8/prod", "revision 3", "bob", "hotfix", "jupyterhub@1.0.0"} {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("the loser is not told %q: %v", w, err)
			}
		}
		for _, base := range []uint64{0, 2, 4} {
			r.refusedPin("stale", lock.NewPin{Env: env("data8/prod"), Base: base, Binding: b.ID})
		}
		if must(r.IndexGeneration(r.ctx)) != gen {
			t.Error("a pin moved the index")
		}
		state := must(r.Environment(r.ctx, env("data8/prod")))
		if state.Revision != 3 || state.Pin.Revision != 3 || state.Binding.ID != b.ID {
			t.Errorf("the environment is %+v", state)
		}
	})
}

func TestGate(t *testing.T) {
	r := checked(t)
	good, yanked, purged, revoked := r.publish("1.0.0"), r.publish("1.1.0"), r.publish("1.2.0"), r.publish("1.3.0")
	must(r.Publish(r.ctx, alice, version(hub("1.4.0"), "")))
	unread := candidate("1.4.0", image("a.io/x", "y"))
	unread.Own = nil
	declared := binding("1.4.0", unread)
	declared.Declare, declared.Reason = true, "trust me"
	weak := r.bind(declared)
	r.create("data8/prod")
	r.create("data8/staging")
	prod := env("data8/prod")
	for i, b := range []lock.Binding{good, yanked, purged, revoked} {
		r.pin("data8/prod", uint64(i), b)
		if b.ID != good.ID {
			r.report("data8/prod", uint64(i+1), model.Passed)
		}
	}
	must(r.Yank(r.ctx, alice, hub("1.1.0"), "broken"))
	must(r.Purge(r.ctx, alice, hub("1.2.0"), "secret"))
	must(r.Revoke(r.ctx, alice, revoked.ID, "CVE"))

	other := version(chart("binderhub", "1.0.0"), "")
	other.Binding = &lock.NewBinding{Chart: other.Version.Chart, Package: other.Version.Package}
	foreign := must(r.Publish(r.ctx, alice, other)).Binding
	for rule, b := range map[string]lock.Binding{
		"chart": *foreign, "revoked": revoked, "evidence": weak, "yanked": yanked, "purged": purged,
	} {
		r.refusedPin(rule, lock.NewPin{Env: prod, Base: 4, Binding: b.ID})
	}
	back := func(rev string, b lock.Binding) lock.NewPin {
		return lock.NewPin{Env: prod, Base: 4, Binding: b.ID, Kind: model.Rollback, From: rev}
	}
	r.refusedPin("revoked", back("4", revoked))
	r.refusedPin("purged", back("3", purged))
	r.refusedPin("rollback", back("1", yanked))

	pin := func(np lock.NewPin) func() error {
		return func() error { _, err := r.MakePin(r.ctx, alice, np); return err }
	}
	r.refused(lock.ErrNotFound, pin(back("9", good)), "9")
	r.refused(lock.ErrInvalid, pin(back("", good)))
	r.refused(lock.ErrInvalid, pin(lock.NewPin{Env: prod, Base: 4, Binding: good.ID, Kind: model.Adopt}), "adopt")
	r.refused(lock.ErrNotFound, pin(lock.NewPin{Env: prod, Base: 4, Binding: ref.BindingIDOf(digest("none"), nil)}), "no binding")
	r.refused(lock.ErrNotFound, pin(lock.NewPin{Env: env("no/where"), Binding: good.ID}), "no/where")
	r.refused(lock.ErrInvalid, pin(lock.NewPin{Env: prod, Base: 4, Binding: good.ID, Reason: strings.Repeat("x", 1001)}), "1001 bytes")

	p := must(r.MakePin(r.ctx, alice, back("2", yanked)))
	if p.Revision != 5 || p.Kind != model.Rollback || p.From != "2" {
		t.Errorf("rolled back with %+v", p)
	}
}

func TestPolicyAcceptsDeclarations(t *testing.T) {
	r := checked(t)
	must(r.Publish(r.ctx, alice, version(hub("1.0.0"), "")))
	unread := candidate("1.0.0", image("a.io/x", "y"))
	unread.Own = nil
	nb := binding("1.0.0", unread)
	nb.Declare, nb.Reason = true, "trust me"
	ne := lock.NewEnvironment{Env: env("data8/dev"), Chart: "jupyterhub", Accept: []model.Evidence{model.Declared}}
	must(r.CreateEnvironment(r.ctx, alice, ne))
	r.pin("data8/dev", 0, r.bind(nb))
	r.refusedPin("evidence", lock.NewPin{Env: ne.Env, Base: 1, Binding: r.bind(binding("1.0.0", candidate("1.0.0", own("1.0.0")))).ID})
}

func TestPromote(t *testing.T) {
	r := checked(t)
	one, two := r.publish("1.0.0"), r.publish("2.0.0")
	r.create("data8/staging")
	r.create("data8/prod")
	promote := func(b lock.Binding, from string) lock.NewPin {
		return lock.NewPin{Env: env("data8/prod"), Binding: b.ID, Kind: model.Promote, From: from}
	}
	r.refusedPin("promote", promote(one, "data8/staging"))
	r.pin("data8/staging", 0, one)
	r.pin("data8/staging", 1, two)
	r.refusedPin("promote", promote(one, "data8/staging"))
	for from, kind := range map[string]error{"data8/prod": lock.ErrInvalid, "staging": lock.ErrInvalid, "data8/none": lock.ErrNotFound} {
		r.refused(kind, func() error { _, err := r.MakePin(r.ctx, alice, promote(two, from)); return err }, from)
	}
	if p := must(r.MakePin(r.ctx, alice, promote(two, "data8/staging"))); p.From != "data8/staging#2" {
		t.Errorf("promoted from %q", p.From)
	}
}

func TestAdopt(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		r.publish("1.0.0")
		must(r.Publish(r.ctx, alice, version(hub("2.0.0"), "")))
		prod := env("data8/prod")
		mixed := binding("2.0.0", candidate("2.0.0", built("1.0.0", "x")))
		adopt := func(na lock.NewAdoption) func() error {
			return func() error { _, err := r.AdoptPin(r.ctx, alice, na); return err }
		}
		r.refused(lock.ErrInvalid, adopt(lock.NewAdoption{Env: prod, Chart: "jupyterhub", Binding: mixed}), "reason")
		r.refused(lock.ErrNotFound, adopt(lock.NewAdoption{Env: prod, Binding: mixed, Reason: "x"}), "data8/prod")
		r.refused(lock.ErrRefused, adopt(lock.NewAdoption{Env: prod, Chart: "binderhub", Binding: mixed, Reason: "x"}), "binderhub")

		p := must(r.AdoptPin(r.ctx, alice, lock.NewAdoption{Env: prod, Chart: "jupyterhub", Binding: mixed, Reason: "it runs"}))
		b := must(r.Binding(r.ctx, p.Binding))
		if p.Kind != model.Adopt || p.Revision != 1 || b.State != model.Unverified || !strings.Contains(b.Why, "1.0.0") {
			t.Errorf("adopted %+v with %+v", p, b)
		}
		r.refused(lock.ErrExists, adopt(lock.NewAdoption{Env: prod, Binding: mixed, Reason: "again"}), "revision 1")
		r.create("data8/staging")
		r.refusedPin("unverified", lock.NewPin{Env: env("data8/staging"), Binding: b.ID, Kind: model.Promote, From: "data8/prod"})
		r.refusedPin("unverified", lock.NewPin{Env: prod, Base: 1, Binding: b.ID, Kind: model.Rollback, From: "1"})

		must(r.Yank(r.ctx, alice, hub("2.0.0"), "old"))
		must(r.AdoptPin(r.ctx, alice, lock.NewAdoption{Env: env("data8/staging"), Binding: mixed, Reason: "it runs there too"}))
		must(r.Purge(r.ctx, alice, hub("2.0.0"), "secret"))
		r.create("data8/dev")
		r.refused(lock.ErrRefused, adopt(lock.NewAdoption{Env: env("data8/dev"), Binding: mixed, Reason: "x"}), "purged")
	})
}

func TestPinSet(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		b := r.publish("1.0.0")
		var pins []lock.NewPin
		for i := range model.MaxPinSet {
			e := fmt.Sprintf("%s-%02d/%s", strings.Repeat("h", 60), i, strings.Repeat("s", 63))
			r.create(e)
			pins = append(pins, lock.NewPin{Env: env(e), Binding: b.ID})
		}
		set := lock.NewPinSet{Pins: pins, Kind: model.Bump, Reason: strings.Repeat("r", 960), Commit: strings.Repeat("c", 40)}
		op := lock.Op{Actor: lock.Actor{Name: strings.Repeat("a", 100)}, Key: strings.Repeat("k", model.MaxKey), Route: "pinset"}
		n := len(r.lines())
		made := must(r.MakePinSet(r.ctx, op, set))
		if len(made.Pins) != model.MaxPinSet || len(r.lines()) != n+1 {
			t.Fatalf("%d pins with %d lines", len(made.Pins), len(r.lines())-n)
		}
		for _, p := range made.Pins {
			if p.Set != made.ID || p.Revision != 1 || p.Reason != set.Reason {
				t.Errorf("the set made %+v", p)
			}
		}
		last := pins[model.MaxPinSet-1].Env
		if p := must(r.PinByKey(r.ctx, last, op.Key)); p.Env != last || p.Revision != 1 {
			t.Errorf("by its key: %+v", p)
		}
		move := func(ns lock.NewPinSet) func() error {
			return func() error { _, err := r.MakePinSet(r.ctx, alice, ns); return err }
		}
		// All or nothing: 59 are current, one is stale.
		for i := range pins {
			pins[i].Base = 1
		}
		pins[model.MaxPinSet-1].Base = 0
		r.refusedMove("stale", last, move(lock.NewPinSet{Pins: pins}))
		r.refused(lock.ErrInvalid, move(lock.NewPinSet{Pins: []lock.NewPin{pins[0], pins[0]}}), "twice")
		r.refused(lock.ErrInvalid, move(lock.NewPinSet{}), "1 to 60")
		r.refused(lock.ErrInvalid, move(lock.NewPinSet{Pins: append(pins, pins...)}), "120")
		// The longest reason that is let through fits, escapes and all.
		set.Reason, set.Commit = strings.Repeat("<", 166), ""
		pins[model.MaxPinSet-1].Base = 1
		must(r.MakePinSet(r.ctx, alice, set))
		set.Reason += "<"
		r.refused(lock.ErrInvalid, move(set), "1002 bytes")
	})
}

func TestNewEnvironment(t *testing.T) {
	r := checked(t)
	r.create("data8/staging")
	create := func(ne lock.NewEnvironment) func() error {
		return func() error { _, err := r.CreateEnvironment(r.ctx, alice, ne); return err }
	}
	prod, staging := env("data8/prod"), env("data8/staging")
	r.refused(lock.ErrExists, create(lock.NewEnvironment{Env: staging, Chart: "jupyterhub"}), "data8/staging")
	r.refused(lock.ErrInvalid, create(lock.NewEnvironment{Chart: "jupyterhub"}))
	r.refused(lock.ErrInvalid, create(lock.NewEnvironment{Env: prod}))
	r.refused(lock.ErrInvalid, create(lock.NewEnvironment{Env: prod, Chart: "x", Accept: []model.Evidence{"luck"}}), "luck")
	r.refused(lock.ErrInvalid, create(lock.NewEnvironment{Env: prod, Chart: "x", Accept: []model.Evidence{model.NoImages}}))
	r.refused(lock.ErrInvalid, create(lock.NewEnvironment{Env: prod, Chart: "x", Upstream: []ref.Env{prod}}), "upstream")
	r.refused(lock.ErrNotFound, create(lock.NewEnvironment{Env: prod, Chart: "x", Upstream: []ref.Env{env("data8/dev")}}), "data8/dev")
	r.refused(lock.ErrInvalid, create(lock.NewEnvironment{Env: prod, Chart: "jupyterhub", Upstream: []ref.Env{staging, staging}}), "twice")
	r.refused(lock.ErrInvalid, create(lock.NewEnvironment{Env: prod, Chart: "x", Upstream: []ref.Env{staging}}), "could ever pass")
	if err := create(lock.NewEnvironment{Env: prod, Chart: "jupyterhub", Upstream: []ref.Env{staging}})(); err != nil {
		t.Error(err)
	}
	if all := must(r.Environments(r.ctx)); len(all) != 2 || all[0].Env != prod || all[0].Pin != nil {
		t.Errorf("the environments are %+v", all)
	}
}

func TestPinArguments(t *testing.T) {
	r := checked(t)
	r.create("data8/prod")
	b := r.publish("1.0.0")
	for want, np := range map[string]lock.NewPin{
		"names no binding":     {Env: env("data8/prod")},
		"comes from nowhere":   {Env: env("data8/prod"), Binding: b.ID, From: "data8/staging"},
		"\"zzz\" is no commit": {Env: env("data8/prod"), Binding: b.ID, Commit: "zzz"},
	} {
		r.refused(lock.ErrInvalid, func() error { _, err := r.MakePin(r.ctx, alice, np); return err }, want)
	}
}
