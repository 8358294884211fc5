package lock_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/memstore"
	"chartd.dev/chartd/lock/store"
)

func TestPages(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		var b lock.Binding
		for i := range 5 {
			b = r.publish(fmt.Sprintf("1.%d.0", i))
		}
		must(r.Publish(r.ctx, alice, version(hub("1.1.0-rc.1"), "")))
		must(r.Publish(r.ctx, alice, version(chart("jupyterhu", "9.0.0"), "")))
		must(r.Publish(r.ctx, alice, version(chart("jupyterhub-2", "1.0.0"), "")))
		r.create("data8/prod")
		r.create("data8/prod-2")
		r.pin("data8/prod-2", 0, b)
		for i := range 7 {
			r.pin("data8/prod", uint64(i), b)
		}
		all, next, err := r.AllVersions(r.ctx, "", 1000)
		if err != nil || next != "" || len(all) != 8 {
			t.Fatalf("all versions: %d, %q, %v", len(all), next, err)
		}
		lines := r.lines()
		for limit := 1; limit < 10; limit++ {
			var got []lock.ChartVersion
			for after := ""; ; after = next {
				var page []lock.ChartVersion
				page, next, err = r.AllVersions(r.ctx, after, limit)
				if got = append(got, page...); err != nil || next == "" {
					break
				}
			}
			if err != nil || fmt.Sprint(got) != fmt.Sprint(all) {
				t.Errorf("pages of %d versions differ: %d, %v", limit, len(got), err)
			}
			want := uint64(7)
			for before := uint64(0); ; {
				pins, next, err := r.Pins(r.ctx, env("data8/prod"), before, limit)
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range pins {
					if p.Env != env("data8/prod") || p.Revision != want {
						t.Errorf("revision %d follows %d", p.Revision, want+1)
					}
					want--
				}
				if before = next; next == 0 {
					break
				}
			}
			if want != 0 {
				t.Errorf("pages of %d pins end at %d", limit, want)
			}
			n := 0
			for after := uint64(0); ; {
				page, next, err := r.Journal(r.ctx, after, limit)
				if err != nil {
					t.Fatal(err)
				}
				for _, l := range page {
					if l.Seq != lines[n].Seq {
						t.Errorf("line %d follows %d", l.Seq, n)
					}
					n++
				}
				if after = next; next == 0 {
					break
				}
			}
			if n != len(lines) {
				t.Errorf("pages of %d lines end at %d", limit, n)
			}
		}
		if last, _, err := r.Journal(r.ctx, math.MaxUint64, 10); err != nil || len(last) != 0 {
			t.Errorf("after the last line that can be: %d, %v", len(last), err)
		}
		for _, limit := range []int{0, -1} {
			for _, page := range []func() error{
				func() error { _, _, err := r.AllVersions(r.ctx, "", limit); return err },
				func() error { _, _, err := r.Pins(r.ctx, env("data8/prod"), 0, limit); return err },
				func() error { _, _, err := r.Journal(r.ctx, 0, limit); return err },
			} {
				r.refused(lock.ErrInvalid, page, fmt.Sprint(limit))
			}
		}
		r.refused(lock.ErrInvalid, func() error { _, _, err := r.AllVersions(r.ctx, "nonsense", 1); return err }, "nonsense")
		r.refused(lock.ErrNotFound, func() error { _, _, err := r.Pins(r.ctx, env("no/where"), 0, 1); return err })
		r.refused(lock.ErrNotFound, func() error { _, err := r.Pin(r.ctx, env("data8/prod"), 8); return err }, "8")
		r.refused(lock.ErrNotFound, func() error { _, err := r.Environment(r.ctx, env("no/where")); return err })
		if p, b, err := r.PinnedState(r.ctx, env("data8/prod"), 3); err != nil || p.Revision != 3 || b.ID != p.Binding {
			t.Errorf("pinned state: %+v, %v", p, err)
		}
	})
}

func TestTokens(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		token := lock.Token{ID: "t1", Name: "ci", Scopes: []string{"read"}, Hash: "secret-hash"}
		create := func(tok lock.Token) func() error {
			return func() error { return r.CreateToken(r.ctx, alice, tok) }
		}
		if err := create(token)(); err != nil {
			t.Fatal(err)
		}
		r.refused(lock.ErrExists, create(lock.Token{ID: "t2", Name: "ci"}), "ci")
		r.refused(lock.ErrExists, create(lock.Token{ID: "t1", Name: "other"}))
		if got := must(r.Token(r.ctx, "t1")); got.Hash != token.Hash || !got.Created.Equal(start) {
			t.Errorf("the token is %+v", got)
		}
		n := len(r.lines())
		used := start.Add(time.Hour)
		for _, at := range []time.Time{used, start} { // the second is older and changes nothing
			if err := r.TouchToken(r.ctx, "t1", at); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.TouchToken(r.ctx, "none", used); err != nil {
			t.Errorf("touching no token: %v", err)
		}
		if got := must(r.Token(r.ctx, "t1")); !got.LastUsed.Equal(used) {
			t.Errorf("last used %s, want %s", got.LastUsed, used)
		}
		if len(r.lines()) != n {
			t.Error("a use left a line")
		}
		for range 2 { // twice is fine
			if err := r.RevokeToken(r.ctx, alice, "t1"); err != nil {
				t.Fatal(err)
			}
		}
		if got := must(r.Token(r.ctx, "t1")); !got.Revoked {
			t.Error("the token is not revoked")
		}
		r.refused(lock.ErrNotFound, func() error { return r.RevokeToken(r.ctx, alice, "t9") }, "t9")
		r.refused(lock.ErrNotFound, func() error { _, err := r.Token(r.ctx, "t9"); return err }, "t9")
		if err := create(lock.Token{ID: "t2", Name: "ci"})(); err != nil {
			t.Errorf("the name of a revoked token: %v", err)
		}
		if all := must(r.Tokens(r.ctx)); len(all) != 2 {
			t.Errorf("the tokens are %+v", all)
		}
		for _, l := range r.lines() {
			if strings.Contains(string(l.Detail), "secret-hash") {
				t.Errorf("the journal has the hash: %s", l.Detail)
			}
		}
	})
}

func TestOpen(t *testing.T) {
	r := checked(t)
	r.publish("1.0.0")
	if err := r.Ping(r.ctx); err != nil {
		t.Errorf("ping: %v", err)
	}
	if _, err := lock.Open(r.ctx, r.store, time.Now); err != nil {
		t.Errorf("open again: %v", err)
	}
	err := r.store.Update(r.ctx, func(tx store.Txn) error { return tx.Put("meta", "format", []byte("2")) })
	if err != nil {
		t.Fatal(err)
	}
	r.refused(lock.ErrRefused, func() error { _, err := lock.Open(r.ctx, r.store, time.Now); return err }, `"2"`)
}

func TestFaultLeavesNoTrace(t *testing.T) {
	s := memstore.New()
	r := checkedOn(t, s)
	b := r.publish("1.0.0")
	r.create("data8/prod")
	before := r.dump()
	broken := errors.New("the disk is gone")
	for _, step := range []string{"update", "commit"} {
		s.SetFault(func(at string) error {
			if at == step {
				return broken
			}
			return nil
		})
		_, err := r.MakePin(r.ctx, alice, lock.NewPin{Env: env("data8/prod"), Binding: b.ID})
		s.SetFault(nil)
		if !errors.Is(err, broken) || r.dump() != before {
			t.Errorf("a fault at %s: %v, and changed is %v", step, err, r.dump() != before)
		}
	}
	// The answer is lost after the commit: the key tells what became of it.
	s.SetFault(func(at string) error {
		if at == "committed" {
			return broken
		}
		return nil
	})
	np := lock.NewPin{Env: env("data8/prod"), Binding: b.ID}
	_, err := r.MakePin(r.ctx, keyed("k", "pin", ""), np)
	s.SetFault(nil)
	if !errors.Is(err, broken) {
		t.Fatalf("the lost answer is %v", err)
	}
	if p := must(r.PinByKey(r.ctx, np.Env, "k")); p.Revision != 1 {
		t.Errorf("by its key: %+v", p)
	}
	if p := must(r.MakePin(r.ctx, keyed("k", "pin", ""), np)); p.Revision != 1 {
		t.Errorf("tried again: %+v", p)
	}
}
