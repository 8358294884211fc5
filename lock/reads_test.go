package lock_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/store"
)

// counting counts the keys that transactions read and write.
type counting struct {
	store.Store
	reads, writes atomic.Int64
}

func (s *counting) View(ctx context.Context, fn func(store.Tx) error) error {
	return s.Store.View(ctx, func(t store.Tx) error { return fn(countingTx{t, s}) })
}

func (s *counting) Update(ctx context.Context, fn func(store.Txn) error) error {
	return s.Store.Update(ctx, func(t store.Txn) error {
		s.reads.Store(0)
		s.writes.Store(0)
		return fn(countingTxn{t, s})
	})
}

type countingTx struct {
	store.Tx
	s *counting
}

func (t countingTx) Get(bucket, key string) ([]byte, error) {
	t.s.reads.Add(1)
	return t.Tx.Get(bucket, key)
}

func (t countingTx) Scan(bucket string, o store.ScanOptions, fn func(string, []byte) error) error {
	t.s.reads.Add(1) // the end of the scan is looked at too
	return t.Tx.Scan(bucket, o, func(k string, v []byte) error {
		t.s.reads.Add(1)
		return fn(k, v)
	})
}

type countingTxn struct {
	store.Txn
	s *counting
}

func (t countingTxn) Get(bucket, key string) ([]byte, error) {
	return countingTx{t.Txn, t.s}.Get(bucket, key)
}

func (t countingTxn) Scan(bucket string, o store.ScanOptions, fn func(string, []byte) error) error {
	return countingTx{t.Txn, t.s}.Scan(bucket, o, fn)
}

func (t countingTxn) Put(bucket, key string, v []byte) error {
	t.s.writes.Add(1)
	return t.Txn.Put(bucket, key, v)
}

func (t countingTxn) Delete(bucket, key string) error {
	t.s.writes.Add(1)
	return t.Txn.Delete(bucket, key)
}

// past pretends that the environment has a history: n pins, and for every
// fortieth a report, a halt that ended and a line. It is written below the
// rules, in the keys that they use.
func past(t *testing.T, r *rig, e string, n uint64) {
	t.Helper()
	s := must(r.Environment(r.ctx, env(e)))
	from := must(r.Pin(r.ctx, env(e), s.Revision))
	lines := uint64(len(r.lines()))
	state := s.Environment
	for at := s.Revision; at < n; {
		err := r.store.Update(r.ctx, func(tx store.Txn) error {
			for range 80 {
				at++
				p := from
				p.Revision, p.Seq = at, lines
				key := fmt.Sprintf("%s\x00%016x", e, at)
				if err := putJSON(tx, "pins", key, p); err != nil {
					return err
				}
				if at%40 != 0 {
					continue
				}
				lines++
				err := errors.Join(
					putJSON(tx, "reports", key+"\x00"+fmt.Sprintf("%016x", 1), lock.Report{Format: 1, Env: p.Env, Revision: at, N: 1, Binding: p.Binding, State: model.Failed, Seq: lines}),
					putJSON(tx, "halts", fmt.Sprintf("%016x", lines), lock.Halt{Format: 1, ID: fmt.Sprint("halt-", lines), Seq: lines, Env: p.Env, Ended: lock.HaltEnd{By: "x"}}),
					putJSON(tx, "journal", fmt.Sprintf("%016x", lines), lock.Line{Format: 1, Seq: lines, Verb: "pin", Result: "ok"}))
				if err != nil {
					return err
				}
			}
			state.Revision = at
			return putJSON(tx, "environments", e, state)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func putJSON(t store.Txn, bucket, key string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return t.Put(bucket, key, raw)
}

// readsOfPins is how many keys the pins after a history of n read: each kind
// of pin under a policy that asks for everything, halted and not.
func readsOfPins(t *testing.T, store store.Store, n uint64) (out []int64) {
	t.Helper()
	s := &counting{Store: store}
	r := open(t, s)
	one, two := r.publish("1.0.0"), r.publish("2.0.0")
	r.create("data8/staging")
	r.create("data8/prod")
	r.bump("data8/staging", one)
	r.report("data8/staging", 1, model.Passed)
	r.bump("data8/prod", one)
	r.report("data8/prod", 1, model.Passed)
	past(t, r, "data8/prod", n)
	r.bump("data8/staging", two)
	r.report("data8/staging", 2, model.Passed)
	r.policy("data8/prod", lock.Policy{
		Upstream: []ref.Env{env("data8/staging")}, Approvals: 1,
		Freeze: []lock.Freeze{{Cron: "0 0 1 1 *", Zone: "UTC", For: lock.Duration(time.Hour)}},
	})
	must(r.Approve(r.ctx, by("bob"), lock.NewApproval{Env: env("data8/prod"), Binding: two.ID}))
	count := func(np lock.NewPin, passes bool) {
		op := keyed(fmt.Sprint("key ", len(out)), "pin", "")
		if _, err := r.MakePin(r.ctx, op, np); (err == nil) != passes {
			t.Fatalf("pin %+v: %v", np, err)
		}
		out = append(out, s.reads.Load())
	}
	count(r.move("data8/prod", two), true)
	count(r.move("data8/prod", two), false)
	count(r.back("data8/prod", 1), true)
	r.report("data8/staging", 2, model.Failed)
	count(r.move("data8/prod", two), false)
	count(r.fix("data8/staging", two), true)
	count(r.back("data8/prod", 1), true)
	return out
}

// grown is the size at which work is compared with that at 1,000: usual, or
// what the environment says.
func grown(t *testing.T, usual uint64) uint64 {
	t.Helper()
	n := os.Getenv("CHARTD_GROWTH")
	switch {
	case n != "":
		return must(strconv.ParseUint(n, 10, 64))
	case testing.Short():
		return 10_000
	}
	return usual
}

// The gate of a pin reads as many keys after 1,000,000 pins as after 1,000.
func TestReadsOfAPinDoNotGrow(t *testing.T) {
	long := grown(t, 1_000_000)
	short := readsOfPins(t, bolt(t), 1000)
	if after := readsOfPins(t, bolt(t), long); fmt.Sprint(after) != fmt.Sprint(short) {
		t.Errorf("after %d pins a pin reads %d keys, after 1000 %d", long, after, short)
	}
	for _, n := range short {
		if n > 40 {
			t.Errorf("a pin reads %d keys", n)
		}
	}
	t.Logf("keys read by each pin: %d", short)
}

// 60 environments with the largest policies, names and reasons fit one
// transaction, break-glass and approvals and all.
func TestLargestPinSet(t *testing.T) {
	s := &counting{Store: bolt(t)}
	r := checkedOn(t, s)
	b, next := r.publish("1.0.0"), r.publish("2.0.0")
	up := make([]ref.Env, lock.MaxUpstream)
	long := func(hub, stage string) string {
		return hub + strings.Repeat("h", 63-len(hub)) + "/" + stage + strings.Repeat("s", 63-len(stage))
	}
	for i := range up {
		up[i] = env(long("up", fmt.Sprint(i)))
		r.create(up[i].String())
	}
	policy := lock.Policy{
		Accept: []model.Evidence{model.ChartValues, model.BaseLayers, model.BaseLabel, model.Declared}, Upstream: up, Soak: lock.MaxSoak - 1,
		Approvals: lock.MaxApprovals, Halt: model.ScopeEnvironment, Deadline: lock.MaxDeadline - 1, Overdue: model.OverdueHalt,
	}
	for range lock.MaxFreezes {
		policy.Freeze = append(policy.Freeze, lock.Freeze{
			Cron: "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24 0,1,2,3,4,5,6,7 * JAN,FEB *", Zone: "America/Argentina/ComodRivadavia",
			For: lock.MaxFreeze - 1, Reason: strings.Repeat("<", 33),
		})
	}
	var waiting []lock.Binding
	for i := range 15 {
		waiting = append(waiting, r.publish(fmt.Sprintf("3.0.%d", i)))
	}
	set := lock.NewPinSet{Reason: strings.Repeat("r", 300), BreakGlass: strings.Repeat("b", 300), Downgrade: strings.Repeat("d", 336), Commit: strings.Repeat("c", 64)}
	for i := range model.MaxPinSet {
		e := long(fmt.Sprint("h", i), "s")
		r.create(e)
		r.bump(e, b)
		for range 16 {
			must(r.Halt(r.ctx, alice, lock.NewHalt{Env: env(e), Scope: model.ScopeEnvironment, Reason: "x"}))
		}
		r.policy(e, policy)
		for _, w := range append(waiting, next) {
			must(r.Approve(r.ctx, by("bob"), lock.NewApproval{Env: env(e), Binding: w.ID}))
		}
		set.Pins = append(set.Pins, lock.NewPin{Env: env(e), Base: 1, Binding: next.ID})
	}
	op := lock.Op{Actor: lock.Actor{Name: strings.Repeat("a", 100)}, Key: strings.Repeat("k", model.MaxKey), Route: "pinset"}
	for _, kind := range []model.Kind{model.Fix, model.Bump} {
		set.Kind = kind
		must(r.MakePinSet(r.ctx, op, set))
		if n := s.writes.Load(); n > store.MaxWrites {
			t.Errorf("a %s set wrote %d keys", kind, n)
		}
		for i := range set.Pins {
			set.Pins[i].Base++
		}
		op.Key = op.Key[1:]
	}
	set.Pins[0].Base = 0
	if _, err := r.MakePinSet(r.ctx, op, set); err == nil {
		t.Error("a stale set passed")
	}
}
