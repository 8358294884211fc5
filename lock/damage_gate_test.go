package lock_test

import (
	"strings"
	"testing"
	"time"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/memstore"
	"chartd.dev/chartd/lock/store"
)

// damagedGate is a lock file with reports, halts, approvals and soak in it.
func damagedGate(t *testing.T, do func(store.Txn) error) *rig {
	t.Helper()
	r := open(t, memstore.New())
	one, two := r.publish("1.0.0"), r.publish("2.0.0")
	r.create("data8/staging")
	r.create("data8/prod")
	r.policy("data8/prod", lock.Policy{Upstream: []ref.Env{env("data8/staging")}, Approvals: 1, Deadline: lock.Duration(20 * time.Second), Overdue: model.OverdueHalt})
	r.bump("data8/staging", one)
	r.report("data8/staging", 1, model.Passed)
	r.beats(3)
	for _, who := range []string{"bob", "carol"} {
		must(r.Approve(r.ctx, by(who), lock.NewApproval{Env: env("data8/prod"), Binding: one.ID}))
	}
	r.bump("data8/prod", one)
	must(r.Approve(r.ctx, by("bob"), lock.NewApproval{Env: env("data8/prod"), Binding: two.ID}))
	r.beats(4) // prod misses its deadline
	r.report("data8/prod", 1, model.Passed)
	r.bump("data8/staging", two)
	r.report("data8/staging", 2, model.Failed)
	must(r.MakePin(r.ctx, alice, r.fix("data8/staging", two)))
	must(r.FencePin(r.ctx, alice, env("data8/prod"), "lost"))
	if err := r.store.Update(r.ctx, do); err != nil {
		t.Fatal(err)
	}
	return r
}

// editHalt replaces old in the first halt that has it.
func editHalt(old, with string) func(store.Txn) error {
	return func(tx store.Txn) error {
		return tx.Scan("halts", store.ScanOptions{}, func(k string, v []byte) error {
			if !strings.Contains(string(v), old) {
				return nil
			}
			if err := tx.Put("halts", k, []byte(strings.Replace(string(v), old, with, 1))); err != nil {
				return err
			}
			return store.ErrStop
		})
	}
}

func TestCheckFindsDamageOfTheGate(t *testing.T) {
	if p := damagedGate(t, func(store.Txn) error { return nil }).problems(); len(p) > 0 {
		t.Fatalf("the lock file is sound and has problems: %q", p)
	}
	one := binding("1.0.0", candidate("1.0.0", own("1.0.0"))).ID().String()
	two := binding("2.0.0", candidate("2.0.0", own("2.0.0"))).ID().String()
	soaked := "data8/staging\x00" + one
	for name, c := range map[string]struct {
		do   func(store.Txn) error
		says string
	}{
		"a soak was stretched":          {edit("summaries", soaked, `"held":"50s"`, `"held":"240h"`), "holds 240h"},
		"an earlier soak was made up":   {edit("summaries", soaked, `"held"`, `"best":"240h","held"`), "held 240h before"},
		"a failure became a pass":       {edit("summaries", "data8/staging\x00"+two, `"verdict":"failed"`, `"verdict":"passed"`), "not as the journal says"},
		"what failed is held":           {edit("summaries", "data8/staging\x00"+two, `"verdict"`, `"held":"10s","verdict"`), "holds 10s"},
		"a verdict on another revision": {edit("summaries", soaked, `"revision":1`, `"revision":2`), "not as the journal says"},
		"a summary is gone":             {drop("summaries", soaked), "made the summary"},
		"a summary under another key":   {move("summaries", soaked, "data8/dev\x00"+one), "has the key"},
		"nobody waits that long":        {edit("summaries", "data8/prod\x00"+one, `"waited":"20s"`, `"waited":"20h"`), "waited 20h"},
		"waited for another binding":    {edit("summaries", "data8/prod\x00"+one, `"waiting":1`, `"waiting":7`), "revision 7, which is not of it"},
		"the sum of beats went back":    {func(tx store.Txn) error { return tx.Put("meta", "counted", []byte(`"0s"`)) }, "all beats since have counted"},
		"the sum of beats is negative":  {func(tx store.Txn) error { return tx.Put("meta", "counted", []byte(`"-9s"`)) }, "all beats have counted -9s"},
		"a halt was closed":             {editHalt(`"cause":"report"`, `"ended":{"by":"x","at":"2024-04-09T12:00:00Z","seq":9},"cause":"report"`), "no such halt is open"},
		"an open halt is not seen":      {drop("openhalts", "hub data8"), "no pin would see it"},
		"a halt that is not there":      {func(tx store.Txn) error { return tx.Put("openhalts", "everything\x000000000000000001", nil) }, "stops pins, and no such halt is open"},
		"a halt is gone":                {drop("halts", ""), "made the halt"},
		"a halt under another number":   {edit("halts", "", `"id":"halt-`, `"id":"halt-9`), "has the key"},
		"the environment forgot it":     {edit("environments", "staging", `"halts":[`, `"old":[`), "does not list it"},
		"one more fix":                  {edit("environments", "staging", `"fixed":3`, `"fixed":0`), "environment data8/staging"},
		"an approval was used twice":    {edit("environments", "prod", `"approved":["`, `"approved":["`+one+`","`), "environment data8/prod"},
		"an approval by another":        {edit("approvals", "prod\x00"+one, "bob", "dave"), "list of approvals"},
		"the approvals are gone":        {drop("approvals", "prod\x00"+two), "list of approvals"},
		"a policy was relaxed":          {edit("environments", "prod", `"approvals":1`, `"approvals":0`), "environment data8/prod"},
		"a failure halted nothing":      {edit("reports", "staging\x000000000000000002", `"halt":"`, `"halted":"`), "failed and halted nothing"},
		"a pin hides its glass":         {edit("pins", "staging\x000000000000000003", `"kind":"fix"`, `"kind":"bump"`), "pin data8/staging#3"},
	} {
		t.Run(name, func(t *testing.T) {
			r := damagedGate(t, c.do)
			out, err := r.Check(r.ctx)
			found := strings.Join(out.Problems, "\n")
			if err != nil {
				found += err.Error()
			}
			if !strings.Contains(found, c.says) {
				t.Errorf("found %q, want %q", found, c.says)
			}
		})
	}
}
