package lock_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/store"
)

func keyed(key, route, body string) lock.Op {
	op := alice
	op.Key, op.Route, op.Body = key, route, digest(body)
	return op
}

func TestSameKeySameAnswer(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		one, two := r.publish("1.0.0"), r.publish("2.0.0")
		r.create("data8/prod")
		prod := env("data8/prod")
		op := keyed("k1", "pin data8/prod", "body")
		first := must(r.MakePin(r.ctx, op, lock.NewPin{Env: prod, Binding: one.ID}))
		r.pin("data8/prod", 1, two)
		before := r.dump()
		again := must(r.MakePin(r.ctx, op, lock.NewPin{Env: prod, Binding: one.ID}))
		if again != first {
			t.Errorf("the answer is %+v, was %+v", again, first)
		}
		if r.dump() != before {
			t.Error("the same key wrote again")
		}
		for _, other := range []lock.Op{keyed("k1", "pin data8/prod", "other"), keyed("k1", "pin data8/dev", "body")} {
			r.refused(lock.ErrRefused, func() error {
				_, err := r.MakePin(r.ctx, other, lock.NewPin{Env: prod, Base: 2, Binding: one.ID})
				return err
			}, "k1")
		}
		r.refused(lock.ErrInvalid, func() error {
			_, err := r.MakePin(r.ctx, keyed(strings.Repeat("k", 256), "", ""), lock.NewPin{Env: prod, Base: 2, Binding: one.ID})
			return err
		}, "256")
	})
}

func TestSameKeySameRefusal(t *testing.T) {
	r := checked(t)
	one := r.publish("1.0.0")
	must(r.Yank(r.ctx, alice, hub("1.0.0"), "broken"))
	r.create("data8/prod")
	for key, np := range map[string]lock.NewPin{
		"gate":  {Env: env("data8/prod"), Binding: one.ID},
		"stale": {Env: env("data8/prod"), Base: 7, Binding: one.ID},
	} {
		_, first := r.MakePin(r.ctx, keyed(key, "pin", key), np)
		before := r.dump()
		_, again := r.MakePin(r.ctx, keyed(key, "pin", key), np)
		if first == nil || again == nil || first.Error() != again.Error() {
			t.Errorf("%s: the answer is %v, was %v", key, again, first)
		}
		if errors.Is(first, lock.ErrGate) != errors.Is(again, lock.ErrGate) || errors.Is(first, lock.ErrStale) != errors.Is(again, lock.ErrStale) {
			t.Errorf("%s: the answer is a %T, was a %T", key, again, first)
		}
		if r.dump() != before {
			t.Errorf("%s: the repetition wrote", key)
		}
		r.refused(lock.ErrNotFound, func() error { _, err := r.PinByKey(r.ctx, np.Env, key); return err }, key)
	}
}

// A request that found nothing to do holds its key like any other.
func TestKeyOfNoChange(t *testing.T) {
	r := checked(t)
	must(r.Publish(r.ctx, alice, version(hub("1.0.0"), "")))
	again := must(r.Publish(r.ctx, keyed("k", "publish", "a"), version(hub("1.0.0"), "")))
	must(r.Yank(r.ctx, alice, hub("1.0.0"), "broken"))
	if p := must(r.Publish(r.ctx, keyed("k", "publish", "a"), version(hub("1.0.0"), ""))); p.Existed != again.Existed {
		t.Errorf("the answer is %+v, was %+v", p, again)
	}
	r.refused(lock.ErrRefused, func() error {
		_, err := r.Publish(r.ctx, keyed("k", "publish", "b"), version(hub("2.0.0"), ""))
		return err
	}, `"k"`)
	if n := len(r.lines()); n != 2 {
		t.Errorf("the journal has %d lines", n)
	}
}

func TestPinByKey(t *testing.T) {
	r := checked(t)
	b := r.publish("1.0.0")
	r.create("data8/prod")
	prod := env("data8/prod")
	np := lock.NewPin{Env: prod, Binding: b.ID}
	p := must(r.MakePin(r.ctx, keyed("pin", "pin", ""), np))
	if got := must(r.PinByKey(r.ctx, prod, "pin")); got != p {
		t.Errorf("by its key: %+v, want %+v", got, p)
	}
	must(r.Publish(r.ctx, keyed("publish", "publish", ""), version(hub("2.0.0"), "")))
	_, _, err := r.Bind(r.ctx, keyed("bind", "bind", ""), binding("2.0.0", candidate("2.0.0", own("2.0.0"))))
	if err != nil {
		t.Fatal(err)
	}
	a := must(r.AdoptPin(r.ctx, keyed("adopt", "adopt", ""), lock.NewAdoption{
		Env: env("data8/dev"), Chart: "jupyterhub", Reason: "it runs", Binding: binding("1.0.0", candidate("1.0.0", own("1.0.0"))),
	}))
	if got := must(r.PinByKey(r.ctx, a.Env, "adopt")); got != a {
		t.Errorf("by its key: %+v, want %+v", got, a)
	}
	for _, key := range []string{"publish", "bind", "adopt", "never"} { // of another request, of another environment, of none
		r.refused(lock.ErrNotFound, func() error { _, err := r.PinByKey(r.ctx, prod, key); return err }, key)
	}
}

func TestExpireKeys(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		b := r.publish("1.0.0")
		r.create("data8/prod")
		must(r.MakePin(r.ctx, keyed("pin", "pin", ""), lock.NewPin{Env: env("data8/prod"), Binding: b.ID}))
		_, _ = r.MakePin(r.ctx, keyed("refused", "pin", ""), lock.NewPin{Env: env("data8/prod"), Binding: b.ID})
		for i := range 150 { // more than one transaction takes
			must(r.Publish(r.ctx, keyed("old"+string(rune('0'+i)), "publish", "a"), version(hub("1.0.0"), "")))
		}
		r.pass(4 * 24 * time.Hour)
		must(r.Publish(r.ctx, keyed("young", "publish", "a"), version(hub("1.0.0"), "")))
		r.pass(3*24*time.Hour + time.Second)
		n := len(r.lines())
		if err := r.ExpireKeys(r.ctx); err != nil {
			t.Fatal(err)
		}
		keys := map[string]int{}
		err := r.store.View(r.ctx, func(tx store.Tx) error {
			for _, bucket := range []string{"keys", "keytimes"} {
				if err := tx.Scan(bucket, store.ScanOptions{}, func(k string, _ []byte) error {
					_, key, ok := strings.Cut(k, "\x00")
					if !ok {
						key = k
					}
					keys[key]++
					return nil
				}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || len(keys) != 3 || keys["pin"] != 1 || keys["refused"] != 1 || keys["young"] != 2 {
			t.Errorf("the keys left are %v, %v", keys, err)
		}
		if len(r.lines()) != n {
			t.Error("expiry left a line")
		}
		must(r.PinByKey(r.ctx, env("data8/prod"), "pin"))
	})
}
