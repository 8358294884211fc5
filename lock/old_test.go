package lock_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"chartd.dev/chartd/lock"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/lock/memstore"
	"chartd.dev/chartd/lock/store"
)

// What a version without reports, policies and halts wrote is sound, answers
// its keys as it did, and goes on under the gate of today.
func TestOpensWhatWasWrittenBeforeReports(t *testing.T) {
	s := memstore.New()
	r := checkedOn(t, s)
	lines := bufio.NewScanner(bytes.NewReader(must(os.ReadFile("testdata/before-reports.jsonl"))))
	for lines.Scan() {
		var kept [3]string // bucket, key, value
		if err := json.Unmarshal(lines.Bytes(), &kept); err != nil {
			t.Fatal(err)
		}
		if err := s.Update(r.ctx, func(tx store.Txn) error { return tx.Put(kept[0], kept[1], []byte(kept[2])) }); err != nil {
			t.Fatal(err)
		}
	}
	if p := r.problems(); len(p) > 0 {
		t.Fatalf("it has problems: %q", p)
	}
	prod := must(r.Status(r.ctx, env("data8/prod")))
	if prod.Revision != 1 || len(prod.Policy.Accept) != 3 || prod.Policy.HaltScope() != model.ScopeHub || prod.Pin.Direction != (lock.Direction{}) {
		t.Errorf("prod is %+v", prod)
	}
	kept := must(r.PinByKey(r.ctx, env("data8/staging"), "kept"))
	if f := must(r.FencePin(r.ctx, alice, env("data8/staging"), "kept")); f.Pin == nil || *f.Pin != kept || kept.Revision != 2 {
		t.Errorf("by its key: %+v, fenced %+v", kept, f)
	}
	one := must(r.ChartVersion(r.ctx, hub("1.0.0"))).Bindings[0]
	again := lock.NewPin{Env: env("data8/prod"), Base: 1, Binding: one}
	var no *lock.Refusal
	if _, err := r.MakePin(r.ctx, keyed("refused", "pin data8/prod", "body"), again); !errors.As(err, &no) || no.Rule != model.RuleYanked || no.Need != nil || no.Want == "" || !strings.Contains(no.Facts, "broken") {
		t.Errorf("the refusal is %v", err)
	}
	two := must(r.ChartVersion(r.ctx, hub("2.0.0")))
	if p := r.bump("data8/prod", lock.Binding{ID: two.Default}); p.Direction != (lock.Direction{Chart: model.Forward, Image: model.Forward}) {
		t.Errorf("the pin goes %+v", p.Direction)
	}
}
