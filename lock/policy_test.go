package lock_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
)

func full() lock.Policy {
	return lock.Policy{
		Accept: []model.Evidence{model.ChartValues}, Upstream: []ref.Env{env("data8/staging")}, Soak: lock.Duration(90 * time.Minute), Approvals: 2,
		Freeze: []lock.Freeze{{Cron: "0 17 * * 5", Zone: "America/Los_Angeles", For: lock.Duration(63 * time.Hour), Reason: "weekend"}},
		Halt:   model.ScopeEverything, Deadline: lock.Duration(time.Hour), Overdue: model.OverdueHalt,
	}
}

func TestSetPolicy(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		r.create("data8/staging")
		r.create("data8/prod")
		n := len(r.lines())
		e := must(r.SetPolicy(r.ctx, by("bob"), env("data8/prod"), full()))
		if !reflect.DeepEqual(e.Policy, full()) || !reflect.DeepEqual(must(r.Environment(r.ctx, e.Env)).Policy, full()) {
			t.Errorf("the policy is %+v", e.Policy)
		}
		last := r.lines()[n]
		var d struct{ Old, New lock.Policy }
		if err := json.Unmarshal(last.Detail, &d); err != nil || last.Verb != "policy" || last.Object != "data8/prod" || last.By.Name != "bob" {
			t.Fatalf("the line is %+v, %v", last, err)
		}
		if !reflect.DeepEqual(d.New, full()) || len(d.Old.Accept) != 3 || d.Old.Approvals != 0 {
			t.Errorf("the line says %+v", d)
		}
		must(r.SetPolicy(r.ctx, alice, env("data8/prod"), full()))
		if len(r.lines()) != n+1 {
			t.Error("the same policy left a line")
		}
		e = must(r.SetPolicy(r.ctx, alice, env("data8/prod"), lock.Policy{Upstream: []ref.Env{}, Freeze: []lock.Freeze{}}))
		if len(e.Policy.Accept) != 3 || e.Policy.HaltScope() != model.ScopeHub || len(r.lines()) != n+2 {
			t.Errorf("the default policy is %+v", e.Policy)
		}
		must(r.SetPolicy(r.ctx, alice, env("data8/prod"), lock.Policy{}))
		if len(r.lines()) != n+2 {
			t.Error("the default policy again left a line")
		}
	})
}

func TestPolicyRefused(t *testing.T) {
	r := checked(t)
	for _, e := range []string{"data8/dev", "data8/staging", "data8/prod", "data8/free"} {
		r.create(e)
	}
	must(r.CreateEnvironment(r.ctx, alice, lock.NewEnvironment{Env: env("binder/prod"), Chart: "binderhub"}))
	r.policy("data8/staging", lock.Policy{Upstream: []ref.Env{env("data8/prod")}})
	r.policy("data8/dev", lock.Policy{Upstream: []ref.Env{env("data8/staging")}})
	freeze := func(edit func(*lock.Freeze)) func(*lock.Policy) {
		return func(p *lock.Policy) { edit(&p.Freeze[0]) }
	}
	for _, c := range []struct {
		says string
		edit func(*lock.Policy)
	}{
		{`"luck"`, func(p *lock.Policy) { p.Accept = []model.Evidence{"luck"} }},
		{"accepted twice", func(p *lock.Policy) { p.Accept = []model.Evidence{model.BaseLabel, model.BaseLabel} }},
		{"its own upstream", func(p *lock.Policy) { p.Upstream = []ref.Env{env("data8/prod")} }},
		{"named twice", func(p *lock.Policy) { p.Upstream = []ref.Env{env("data8/free"), env("data8/free")} }},
		{"at most 8", func(p *lock.Policy) { p.Upstream = make([]ref.Env, 9) }},
		{"could ever pass", func(p *lock.Policy) { p.Upstream = []ref.Env{env("binder/prod")} }},
		{"lead back to it", func(p *lock.Policy) { p.Upstream = []ref.Env{env("data8/staging")} }},
		{"lead back to it", func(p *lock.Policy) { p.Upstream = []ref.Env{env("data8/dev")} }},
		{"-1s", func(p *lock.Policy) { p.Soak = lock.Duration(-time.Second) }},
		{"2160h", func(p *lock.Policy) { p.Soak = lock.MaxSoak + 1 }},
		{"no upstream stage", func(p *lock.Policy) { p.Soak = lock.Duration(time.Hour) }},
		{"-1 approvals", func(p *lock.Policy) { p.Approvals = -1 }},
		{"11 approvals", func(p *lock.Policy) { p.Approvals = 11 }},
		{`"galaxy"`, func(p *lock.Policy) { p.Halt = "galaxy" }},
		{`"shrug"`, func(p *lock.Policy) { p.Overdue = "shrug" }},
		{"deadline of -1s", func(p *lock.Policy) { p.Deadline = lock.Duration(-time.Second) }},
		{"168h", func(p *lock.Policy) { p.Deadline = lock.MaxDeadline + 1 }},
		{"there is no deadline", func(p *lock.Policy) { p.Deadline = 0 }},
		{"at most 8 freeze windows", func(p *lock.Policy) { p.Freeze = make([]lock.Freeze, 9) }},
		{`"TZ=0"`, freeze(func(f *lock.Freeze) { f.Cron = "TZ=0" })},
		{`"@daily"`, freeze(func(f *lock.Freeze) { f.Cron = "@daily" })},
		{`"0 0 * *"`, freeze(func(f *lock.Freeze) { f.Cron = "0 0 * *" })},
		{`"0 25 * * *"`, freeze(func(f *lock.Freeze) { f.Cron = "0 25 * * *" })},
		{`"*/0 * * * *"`, freeze(func(f *lock.Freeze) { f.Cron = "*/0 * * * *" })},
		{"never opens", freeze(func(f *lock.Freeze) { f.Cron = "0 0 30 2 *" })},
		{`"Mars/Olympus"`, freeze(func(f *lock.Freeze) { f.Zone = "Mars/Olympus" })},
		{`""`, freeze(func(f *lock.Freeze) { f.Zone = "" })},
		{`"Local"`, freeze(func(f *lock.Freeze) { f.Zone = "Local" })},
		{"lasts 1s", freeze(func(f *lock.Freeze) { f.For = lock.Duration(time.Second) })},
		{"lasts 745h", freeze(func(f *lock.Freeze) { f.For = lock.MaxFreeze + lock.Duration(time.Hour) })},
		{"201 bytes", freeze(func(f *lock.Freeze) { f.Reason = strings.Repeat("x", 201) })},
	} {
		p := full()
		p.Upstream, p.Soak = nil, 0
		c.edit(&p)
		r.refused(lock.ErrInvalid, func() error { _, err := r.SetPolicy(r.ctx, alice, env("data8/prod"), p); return err }, c.says)
	}
	missing := lock.Policy{Upstream: []ref.Env{env("no/where")}}
	r.refused(lock.ErrNotFound, func() error { _, err := r.SetPolicy(r.ctx, alice, env("data8/prod"), missing); return err }, "no/where")
	r.refused(lock.ErrNotFound, func() error { _, err := r.SetPolicy(r.ctx, alice, env("no/where"), lock.Policy{}); return err }, "no/where")
}

func TestDuration(t *testing.T) {
	for text, d := range map[string]time.Duration{
		"0s": 0, "10s": 10 * time.Second, "1m": time.Minute, "90s": 90 * time.Second, "24h": 24 * time.Hour, "1h30m": 90 * time.Minute, "10m": 10 * time.Minute, "1h0m10s": time.Hour + 10*time.Second,
	} {
		var got lock.Duration
		if err := got.UnmarshalText([]byte(text)); err != nil || got != lock.Duration(d) {
			t.Errorf("%s is read as %s, %v", text, got, err)
		}
		var again lock.Duration
		if err := again.UnmarshalText([]byte(got.String())); err != nil || again != got {
			t.Errorf("%s is written as %q and read as %s, %v", text, got.String(), again, err)
		}
		if text != "90s" && got.String() != text {
			t.Errorf("%s is written as %q", text, got.String())
		}
	}
	var d lock.Duration
	if err := d.UnmarshalText([]byte("a day")); err == nil || !strings.Contains(err.Error(), `"a day"`) {
		t.Errorf("a day is read: %v", err)
	}
}

func TestStatus(t *testing.T) {
	r := checked(t)
	one, two := r.publish("1.0.0"), r.publish("2.0.0")
	r.stages()
	if s := must(r.Status(r.ctx, env("data8/prod"))); s.Pin != nil || s.Report != nil || len(s.Upstream) != 0 {
		t.Errorf("before its first pin: %+v", s)
	}
	r.bump("data8/dev", one)
	r.report("data8/dev", 1, model.Passed)
	r.beats(3)
	r.bump("data8/staging", one)
	r.report("data8/staging", 1, model.Passed)
	r.beats(4)
	r.bump("data8/prod", one)
	s := must(r.Status(r.ctx, env("data8/prod")))
	half := lock.Duration(30 * time.Second)
	if len(s.Upstream) != 1 || !s.Upstream[0].OK || !s.Upstream[0].Current || s.Upstream[0].Held != half || s.Upstream[0].Need != half || s.Verdict != "" {
		t.Errorf("prod: %+v", s)
	}
	if s := must(r.Status(r.ctx, env("data8/staging"))); s.Verdict != model.Passed || s.Held != half || s.Report.N != 1 {
		t.Errorf("staging: %+v", s)
	}
	must(r.Approve(r.ctx, by("bob"), lock.NewApproval{Env: env("data8/prod"), Binding: two.ID}))
	r.report("data8/staging", 1, model.Failed)
	all := must(r.Statuses(r.ctx)).Environments
	if len(all) != 3 || all[0].Env != env("data8/dev") {
		t.Fatalf("all: %+v", all)
	}
	for _, s := range all {
		if len(s.Halts) != 1 || s.Halts[0].Env != env("data8/staging") {
			t.Errorf("%s: %+v", s.Env, s.Halts)
		}
	}
	if p := all[1]; len(p.Approvals) != 1 || p.Approvals[0].By.Name != "bob" || p.Upstream[0].OK || p.Upstream[0].Verdict != model.Failed {
		t.Errorf("prod: %+v", p)
	}
	r.refused(lock.ErrNotFound, func() error { _, err := r.Status(r.ctx, env("no/where")); return err }, "no/where")
}

// Two policies that ask for the same are equal, however they are written; any
// field that differs is told, and nothing else is written.
func TestPolicyChanges(t *testing.T) {
	r := checked(t)
	for _, e := range []string{"data8/staging", "r/dev", "data8/prod"} {
		r.create(e)
	}
	prod := env("data8/prod")
	window := func(length time.Duration) []lock.Freeze {
		return []lock.Freeze{{Cron: "0 17 * * 5", Zone: "UTC", For: lock.Duration(length)}}
	}
	hours := lock.Duration(24 * time.Hour)
	for _, same := range [][2]lock.Policy{
		{{}, {Accept: []model.Evidence{model.ValuesOnly, model.BaseLayers, model.ChartValues}, Halt: model.ScopeHub, Overdue: model.OverdueUnknown}},
		{{Upstream: []ref.Env{env("data8/staging"), env("r/dev")}, Soak: hours}, {Upstream: []ref.Env{env("r/dev"), env("data8/staging")}, Soak: hours}},
		{{Freeze: window(90 * time.Minute)}, {Freeze: window(90 * time.Minute), Upstream: []ref.Env{}}},
	} {
		first := must(r.SetPolicy(r.ctx, alice, prod, same[0]))
		before := r.dump()
		if got := must(r.SetPolicy(r.ctx, by("bob"), prod, same[1])); len(got.Changes) != 0 || r.dump() != before {
			t.Errorf("%+v and %+v differ by %v", same[0], same[1], got.Changes)
		}
		must(r.SetPolicy(r.ctx, by("bob"), prod, lock.Policy{Approvals: 1}))
		if s := must(r.StateOf(r.ctx, first.Environment)); !reflect.DeepEqual(s.Policy, first.Policy) {
			t.Errorf("what was set is answered as %+v, not %+v", s.Policy, first.Policy)
		}
	}
	must(r.SetPolicy(r.ctx, alice, prod, lock.Policy{}))
	before := r.dump()
	for field, p := range map[string]lock.Policy{
		"accepts": {Accept: []model.Evidence{model.ChartValues}}, "upstream": {Upstream: []ref.Env{env("data8/staging")}}, "approvals": {Approvals: 1},
		"freeze": {Freeze: window(time.Hour)}, "failure halts": {Halt: model.ScopeEnvironment}, "deadline": {Deadline: hours}, "seal": {Seal: model.SealPlain},
	} {
		got := must(r.TryPolicy(r.ctx, prod, p)).Changes
		if len(got) != 1 || got[0].Field != field || got[0].New == "" {
			t.Errorf("%s: %v", field, got)
		}
	}
	if got := must(r.TryPolicy(r.ctx, prod, lock.Policy{Upstream: []ref.Env{env("no/where")}})).Changes; len(got) != 1 {
		t.Errorf("a stage that is to be made: %v", got)
	}
	if r.dump() != before {
		t.Error("to try a policy wrote something")
	}
	must(r.SetPolicy(r.ctx, alice, prod, lock.Policy{Deadline: hours}))
	if got := must(r.TryPolicy(r.ctx, prod, lock.Policy{Deadline: hours, Overdue: model.OverdueHalt})).Changes; len(got) != 1 {
		t.Errorf("overdue: %v", got)
	}
}

// A request that is repeated is answered with the policy that it set, though
// another one is in force by now.
func TestRepeatedPolicy(t *testing.T) {
	r := checked(t)
	r.create("data8/prod")
	prod, op := env("data8/prod"), keyed("k1", "policy data8/prod", "one")
	first := must(r.SetPolicy(r.ctx, op, prod, lock.Policy{Approvals: 1}))
	must(r.SetPolicy(r.ctx, alice, prod, lock.Policy{Approvals: 2}))
	again := must(r.SetPolicy(r.ctx, op, prod, lock.Policy{Approvals: 1}))
	if !reflect.DeepEqual(again.Policy, first.Policy) || !reflect.DeepEqual(again.Changes, first.Changes) {
		t.Errorf("answered %+v, and again %+v", first, again)
	}
	if now := must(r.Environment(r.ctx, prod)).Policy.Approvals; now != 2 {
		t.Errorf("the repetition set %d approvals", now)
	}
}

// A policy chooses among the forms that a binding has.
func TestServed(t *testing.T) {
	guarded, plain := ref.DigestOf([]byte("guarded")), ref.DigestOf([]byte("plain"))
	both := lock.Binding{Sealed: guarded, SealSize: 2, Seal: &lock.Seal{Forms: []lock.SealedForm{{Plain: true, Sealed: plain, Size: 1}}}}
	for name, c := range map[string]struct {
		b    lock.Binding
		seal model.Seal
		want ref.Digest
	}{
		"default":           {both, "", guarded},
		"guarded":           {both, model.SealGuarded, guarded},
		"plain":             {both, model.SealPlain, plain},
		"an old one":        {lock.Binding{Sealed: guarded}, model.SealPlain, guarded},
		"nothing is sealed": {lock.Binding{Seal: &lock.Seal{}}, model.SealPlain, ref.Digest{}},
	} {
		if got := c.b.Served(lock.Policy{Seal: c.seal}); got.Sealed != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A policy that was written before values-only was a word meant it by
// chart-values; one that says chart-values alone today is strict.
func TestOldPoliciesAcceptValuesOnly(t *testing.T) {
	for text, want := range map[string][]model.Evidence{
		`{"accept":["chart-values","base-layers"],"approvals":2}`: {model.ChartValues, model.BaseLayers, model.ValuesOnly},
		`{"accept":["base-layers"]}`:                              {model.BaseLayers},
		`{"words":2,"accept":["chart-values"]}`:                   {model.ChartValues},
	} {
		var p lock.Policy
		if err := json.Unmarshal([]byte(text), &p); err != nil || !slices.Equal(p.Accept, want) {
			t.Errorf("%s is %+v, %v", text, p, err)
		}
		raw, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var again lock.Policy
		if err := json.Unmarshal(raw, &again); err != nil || !reflect.DeepEqual(p, again) {
			t.Errorf("%s comes back as %+v, %v", raw, again, err)
		}
	}
}

// The default takes a pair that only the values name, and says so; a policy
// that leaves values-only out refuses it, and a chart of which nobody knows
// whether it shows an image.
func TestValuesOnlyAtTheGate(t *testing.T) {
	r := checked(t)
	r.create("data8/prod")
	must(r.Publish(r.ctx, alice, version(hub("1.0.0"), "")))
	must(r.Publish(r.ctx, alice, version(hub("1.1.0"), "")))
	c := candidate("1.0.0", own("1.0.0"))
	c.Unshown = true
	nb := binding("1.0.0", c)
	nb.Unshown = "not rendered: chart: a value is missing"
	named := r.bind(nb)
	without := binding("1.1.0")
	without.Requires, without.Unshown = []ref.Role{}, "not rendered: rendering is off"
	empty := r.bind(without)
	if named.Unshown != nb.Unshown || empty.Evidence != model.ValuesOnly {
		t.Errorf("bound %+v and %+v", named, empty)
	}
	for _, b := range []lock.Binding{named, empty} {
		v := must(r.Gate(r.ctx, alice, r.move("data8/prod", b)))
		var facts []string
		for _, rule := range v.Rules {
			facts = append(facts, rule.Facts...)
		}
		if !v.OK || !strings.Contains(strings.Join(facts, "; "), "warning: values-only says that no rendering of the chart showed what is bound ("+b.Unshown+")") {
			t.Errorf("the gate says %+v", v)
		}
	}
	r.policy("data8/prod", lock.Policy{Accept: []model.Evidence{model.ChartValues, model.BaseLayers}})
	r.refusedPin("evidence", r.move("data8/prod", named))
	r.says(r.move("data8/prod", named), "the hub image of jupyterhub@1.0.0 rests on \"values-only\"")
	r.says(r.move("data8/prod", empty), "that jupyterhub@1.1.0 has no image rests on \"values-only\"")
}
