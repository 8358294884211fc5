package lock_test

import (
	"fmt"
	"strings"
	"testing"

	"chartd.dev/chartd/lock"

	"chartd.dev/chartd/internal/model"
)

// report reports on a revision.
func (r *rig) report(e string, revision uint64, state model.Verdict) lock.Report {
	r.t.Helper()
	out, err := r.AddReport(r.ctx, alice, lock.NewReport{Env: env(e), Revision: revision, State: state})
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

func TestReports(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		one, two := r.publish("1.0.0"), r.publish("2.0.0")
		r.create("data8/prod")
		r.pin("data8/prod", 0, one)
		r.report("data8/prod", 1, model.Started)
		exit := 0
		nr := lock.NewReport{
			Env: env("data8/prod"), Revision: 1, State: model.Passed, URL: "https://ci.example.edu/7", Note: "green", Exit: &exit,
			Checks: []lock.ReportCheck{{Name: "health", OK: true, Detail: "200"}},
		}
		bob := lock.Op{Actor: lock.Actor{Name: "bob"}}
		p := must(r.AddReport(r.ctx, bob, nr))
		if p.N != 2 || p.By != "bob" || p.Binding != one.ID || p.Superseded || len(p.Checks) != 1 || *p.Exit != 0 {
			t.Errorf("the report is %+v", p)
		}
		r.pin("data8/prod", 1, two)
		if late := r.report("data8/prod", 1, model.Started); !late.Superseded || late.N != 3 {
			t.Errorf("a report about a superseded revision is %+v", late)
		}
		if first := r.report("data8/prod", 2, model.Started); first.N != 1 || first.Superseded {
			t.Errorf("the first report of the next revision is %+v", first)
		}
		all := must(r.Reports(r.ctx, env("data8/prod"), 1))
		if len(all) != 3 || all[1].Note != "green" || all[2].N != 3 {
			t.Errorf("the reports are %+v", all)
		}
		if last := r.lines()[len(r.lines())-1]; last.Verb != "report" || last.Object != "data8/prod" || last.Seq != must(r.Reports(r.ctx, env("data8/prod"), 2))[0].Seq {
			t.Errorf("the line is %+v", last)
		}
	})
}

func TestReportsRefused(t *testing.T) {
	r := checked(t)
	r.create("data8/prod")
	r.pin("data8/prod", 0, r.publish("1.0.0"))
	one := 1
	checks := func(n int, k lock.ReportCheck) (out []lock.ReportCheck) {
		for i := range n {
			out = append(out, k)
			out[i].Name = fmt.Sprint(k.Name, i)
		}
		return out
	}
	for _, c := range []struct {
		kind error
		says string
		edit func(*lock.NewReport)
	}{
		{lock.ErrNotFound, "no/where", func(n *lock.NewReport) { n.Env = env("no/where") }},
		{lock.ErrNotFound, "no revision 2", func(n *lock.NewReport) { n.Revision = 2 }},
		{lock.ErrInvalid, `"broken"`, func(n *lock.NewReport) { n.State = "broken" }},
		{lock.ErrInvalid, "1001 bytes", func(n *lock.NewReport) { n.Note = strings.Repeat("x", 1001) }},
		{lock.ErrInvalid, `"ftp://a/b"`, func(n *lock.NewReport) { n.URL = "ftp://a/b" }},
		{lock.ErrInvalid, `"https://"`, func(n *lock.NewReport) { n.URL = "https://" }},
		{lock.ErrInvalid, "this one has 65", func(n *lock.NewReport) { n.Checks = checks(65, lock.ReportCheck{Name: "a", OK: true}) }},
		{lock.ErrInvalid, `""`, func(n *lock.NewReport) { n.Checks = []lock.ReportCheck{{OK: true}} }},
		{lock.ErrInvalid, `"twice"`, func(n *lock.NewReport) {
			n.Checks = []lock.ReportCheck{{Name: "twice", OK: true}, {Name: "twice", OK: true}}
		}},
		{lock.ErrInvalid, "1001 bytes", func(n *lock.NewReport) {
			n.Checks = []lock.ReportCheck{{Name: "a", OK: true, Detail: strings.Repeat("x", 1001)}}
		}},
		{lock.ErrRefused, `"health" failed`, func(n *lock.NewReport) { n.Checks = []lock.ReportCheck{{Name: "health"}} }},
		{lock.ErrRefused, "exited with 1", func(n *lock.NewReport) { n.Exit = &one }},
	} {
		nr := lock.NewReport{Env: env("data8/prod"), Revision: 1, State: model.Passed}
		c.edit(&nr)
		r.refused(c.kind, func() error { _, err := r.AddReport(r.ctx, alice, nr); return err }, c.says)
	}
	r.refused(lock.ErrNotFound, func() error { _, err := r.Reports(r.ctx, env("no/where"), 1); return err }, "no/where")
	r.refused(lock.ErrNotFound, func() error { _, err := r.Reports(r.ctx, env("data8/prod"), 2); return err }, "no revision 2")
}

func TestFencePin(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		b := r.publish("1.0.0")
		r.create("data8/prod")
		r.create("data8/dev")
		prod := env("data8/prod")
		np := lock.NewPin{Env: prod, Binding: b.ID}
		fence := func(key string) (lock.Fence, error) { return r.FencePin(r.ctx, alice, prod, key) }

		if f := must(fence("lost")); f.Pin != nil {
			t.Errorf("fenced %+v", f)
		}
		if last := r.lines()[len(r.lines())-1]; last.Verb != "fence" || last.Object != "data8/prod" || !strings.Contains(string(last.Detail), "lost") {
			t.Errorf("the line is %+v", last)
		}
		before := r.dump()
		if f := must(fence("lost")); f.Pin != nil || r.dump() != before {
			t.Errorf("fenced again: %+v", f)
		}
		pin := func(key string) func() error {
			return func() error { _, err := r.MakePin(r.ctx, keyed(key, "pin data8/prod", "b"), np); return err }
		}
		r.refused(lock.ErrRefused, pin("lost"), `"lost" was fenced`, "new key")
		r.refused(lock.ErrNotFound, func() error { _, err := r.PinByKey(r.ctx, prod, "lost"); return err }, "lost")

		p := must(r.MakePin(r.ctx, keyed("used", "pin data8/prod", "b"), np))
		if f := must(fence("used")); f.Pin == nil || *f.Pin != p {
			t.Errorf("the key that was used gives %+v", f)
		}
		set := lock.NewPinSet{Pins: []lock.NewPin{{Env: prod, Base: 1, Binding: b.ID}, {Env: env("data8/dev"), Binding: b.ID}}}
		must(r.MakePinSet(r.ctx, keyed("set", "pinset", "b"), set))
		if f := must(fence("set")); f.Pin == nil || f.Pin.Revision != 2 {
			t.Errorf("the key of a set gives %+v", f)
		}
		// A refused pin answers the same for ever: there is nothing to fence.
		if err := pin("stale")(); err == nil {
			t.Fatal("a stale pin passed")
		}
		before = r.dump()
		if f := must(fence("stale")); f.Pin != nil || r.dump() != before {
			t.Errorf("the key of a refused pin gives %+v", f)
		}
		must(r.Yank(r.ctx, keyed("yank", "yank", "b"), hub("1.0.0"), "old")) // bound to another request
		r.refused(lock.ErrRefused, func() error { _, err := fence("yank"); return err }, `"yank"`, "another request")
	})
}

func TestFenceRefused(t *testing.T) {
	r := checked(t)
	r.create("data8/prod")
	for want, c := range map[string]struct {
		kind error
		env  string
		op   lock.Op
		key  string
	}{
		"0 characters":   {lock.ErrInvalid, "data8/prod", alice, ""},
		"256 characters": {lock.ErrInvalid, "data8/prod", alice, strings.Repeat("k", 256)},
		"fence itself":   {lock.ErrInvalid, "data8/prod", keyed("k", "fence", ""), "k"},
		"no/where":       {lock.ErrNotFound, "no/where", alice, "k"},
	} {
		r.refused(c.kind, func() error { _, err := r.FencePin(r.ctx, c.op, env(c.env), c.key); return err }, want)
	}
	must(r.FencePin(r.ctx, keyed("k", "fence", ""), env("data8/prod"), "lost"))
	before := r.dump()
	must(r.FencePin(r.ctx, keyed("k", "fence", ""), env("data8/prod"), "lost"))
	if r.dump() != before {
		t.Error("the same key fenced again")
	}
}
