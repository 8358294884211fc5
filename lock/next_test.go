package lock_test

import (
	"testing"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/lock"
)

// What a halted environment needs is said as things stand: after the rollback
// that is to deploy it and to report, not the rollback again.
func TestNextStep(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		one, two := r.publish("1.0.0"), r.publish("2.0.0")
		r.create("data8/dev")
		r.create("data8/prod")
		dev := env("data8/dev")
		next := func(e string, want lock.Next) {
			t.Helper()
			if got := must(r.Status(r.ctx, env(e))).Next; got != want {
				t.Errorf("%s needs %+v, want %+v", e, got, want)
			}
		}
		next("data8/dev", lock.Next{Step: model.StepPin, Env: dev})
		r.bump("data8/dev", one)
		next("data8/dev", lock.Next{Step: model.StepReport, Env: dev, Revision: 1})
		r.report("data8/dev", 1, model.Passed)
		next("data8/dev", lock.Next{})
		r.bump("data8/dev", two)
		h := r.halt(r.report("data8/dev", 2, model.Failed))
		back := lock.Next{Step: model.StepRollback, Env: dev, Halt: h.ID}
		next("data8/dev", back)
		next("data8/prod", back)
		r.halted("data8/prod", two, "roll data8/dev back", "chartctl rollback data8/dev")

		must(r.MakePin(r.ctx, alice, r.back("data8/dev", 1)))
		report := lock.Next{Step: model.StepReport, Env: dev, Revision: 3, Halt: h.ID}
		next("data8/dev", report)
		next("data8/prod", report)
		if open := must(r.OpenHalts(r.ctx)); len(open) != 1 || open[0].Awaits != 3 {
			t.Errorf("open halts %+v", open)
		}
		r.halted("data8/prod", two, "deploy revision 3 of data8/dev and report that it passed", "chartctl report data8/dev --revision 3 --passed")
		r.report("data8/dev", 3, model.Failed)
		next("data8/prod", back)

		r.policy("data8/dev", lock.Policy{})
		must(r.MakePin(r.ctx, alice, r.fix("data8/dev", two)))
		r.report("data8/dev", 4, model.Passed)
		next("data8/dev", lock.Next{})
		hand := must(r.Halt(r.ctx, alice, lock.NewHalt{Env: dev, Reason: "the storage moves"}))
		next("data8/dev", lock.Next{Step: model.StepResolve, Env: dev, Halt: hand.ID})
	})
}
