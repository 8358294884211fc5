package lock_test

import (
	"testing"
	"time"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
)

func (r *rig) defaultOf(version string) ref.BindingID {
	r.t.Helper()
	return must(r.ChartVersion(r.ctx, hub(version))).Default
}

func TestBindAgain(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		first := r.publish("1.0.0")
		before := r.dump()
		nb := binding("1.0.0", candidate("1.0.0", own("1.0.0")))
		nb.Images[0].Tag = "1.0.0"
		again, existed, err := r.Bind(r.ctx, alice, nb)
		if err != nil || !existed || again.ID != first.ID {
			t.Errorf("bound again: %+v, %v, %v", again, existed, err)
		}
		if r.dump() != before {
			t.Error("the same binding changed something")
		}
		r.pass(time.Hour)
		second, existed, err := r.Bind(r.ctx, alice, binding("1.0.0", candidate("1.0.0", built("1.0.0", "x"))))
		if err != nil || existed || second.ID == first.ID {
			t.Errorf("a new digest gives %+v, %v, %v", second, existed, err)
		}
		if got := r.defaultOf("1.0.0"); got != second.ID {
			t.Errorf("the default is %s, want the newest, %s", got, second.ID)
		}
		list := must(r.BindingsOf(r.ctx, hub("1.0.0")))
		if len(list) != 2 || list[0].ID != first.ID || list[1].ID != second.ID {
			t.Errorf("the bindings are %+v", list)
		}
	})
}

func TestRevoke(t *testing.T) {
	r := checked(t)
	first := r.publish("1.0.0")
	nb := binding("1.0.0", candidate("1.0.0", built("1.0.0", "x")))
	second := r.bind(nb)
	r.refused(lock.ErrInvalid, func() error { _, err := r.Revoke(r.ctx, alice, second.ID, ""); return err }, "reason")
	must(r.Revoke(r.ctx, alice, second.ID, "CVE"))
	if got := r.defaultOf("1.0.0"); got != first.ID {
		t.Errorf("the default is %s, want %s", got, first.ID)
	}
	before := r.dump()
	if b := must(r.Revoke(r.ctx, alice, second.ID, "again")); b.Why != "CVE" {
		t.Errorf("revoked again: %q", b.Why)
	}
	if r.dump() != before {
		t.Error("a second revoke changed something")
	}
	bind := func() error { _, _, err := r.Bind(r.ctx, alice, nb); return err }
	r.refused(lock.ErrRefused, bind, "revoked", "CVE")
	nb.Declare, nb.Reason = true, "please"
	r.refused(lock.ErrRefused, bind, "revoked")
	nb.Declare = false
	r.create("data8/prod")
	r.refused(lock.ErrRefused, func() error {
		_, err := r.AdoptPin(r.ctx, alice, lock.NewAdoption{Env: env("data8/prod"), Binding: nb, Reason: "it runs"})
		return err
	}, "revoked")
	must(r.Revoke(r.ctx, alice, first.ID, "CVE too"))
	if got := r.defaultOf("1.0.0"); !got.IsZero() {
		t.Errorf("the default is %s, with no binding left", got)
	}
}

func TestDeclaredIsDefaultOnlyWithoutProof(t *testing.T) {
	r := checked(t)
	must(r.Publish(r.ctx, alice, version(hub("1.0.0"), "")))
	declare := func(layer string) lock.Binding {
		c := candidate("1.0.0", image("a.io/x", layer))
		c.Own = nil
		nb := binding("1.0.0", c)
		nb.Declare, nb.Reason = true, "trust me"
		return r.bind(nb)
	}
	first := declare("a")
	second := declare("b")
	if got := r.defaultOf("1.0.0"); got != second.ID {
		t.Errorf("the default is %s, want the newer declaration", got)
	}
	proven := r.bind(binding("1.0.0", candidate("1.0.0", own("1.0.0"))))
	declare("c")
	if got := r.defaultOf("1.0.0"); got != proven.ID {
		t.Errorf("the default is %s, want the proven one", got)
	}
	must(r.Revoke(r.ctx, alice, second.ID, "x"))
	must(r.Revoke(r.ctx, alice, proven.ID, "x"))
	if got := r.defaultOf("1.0.0"); got == first.ID || got.IsZero() {
		t.Errorf("the default is %q, want the last declaration", got)
	}
}

func TestTagMoved(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		must(r.Publish(r.ctx, alice, version(hub("1.0.0"), "")))
		tagged := func(layer string) lock.NewBinding {
			c := candidate("1.0.0", built("1.0.0", layer))
			c.Tag = "latest"
			return binding("1.0.0", c)
		}
		one := r.bind(tagged("a"))
		byDigest := tagged("other")
		byDigest.Images[0].ByDigest = true
		two := r.bind(byDigest)
		if seen := must(r.Observations(r.ctx, one.Images[0].Image.Repository, "latest")); len(seen) != 1 {
			t.Errorf("a digest that was given is an observation: %+v", seen)
		}
		r.pass(48 * time.Hour)
		three := r.bind(tagged("b"))
		for id, moved := range map[ref.BindingID]bool{one.ID: true, two.ID: true, three.ID: false} {
			b := must(r.Binding(r.ctx, id))
			if moved != (len(b.Moved) == 1) {
				t.Errorf("the moved tags of %s are %q", b.Images[0].Image, b.Moved)
			}
		}
		// The tag goes back: found by binding the first image again.
		n := len(r.lines())
		_, existed, err := r.Bind(r.ctx, alice, tagged("a"))
		if err != nil || !existed || len(r.lines()) != n+1 {
			t.Errorf("the finding is answered with existed %v, %v, and %d lines", existed, err, len(r.lines())-n)
		}
		if b := must(r.Binding(r.ctx, three.ID)); len(b.Moved) != 1 {
			t.Errorf("the moved tags are %q", b.Moved)
		}
		if seen := must(r.Observations(r.ctx, one.Images[0].Image.Repository, "latest")); len(seen) != 3 {
			t.Errorf("the log of the tag is %+v", seen)
		}
	})
}

func TestBaseTagMoved(t *testing.T) {
	r := checked(t)
	r.publish("1.0.0")
	b := r.bind(binding("1.0.0", candidate("1.0.0", built("1.0.0", "x"))))
	// The chart's own tag now shows an image with fewer layers: still a base.
	c := candidate("1.0.0", built("1.0.0", "x"))
	moved := image(ownRepo, "debian")
	c.Own = &moved
	if _, existed, err := r.Bind(r.ctx, alice, binding("1.0.0", c)); err != nil || !existed {
		t.Fatalf("bound again: %v, %v", existed, err)
	}
	if got := must(r.Binding(r.ctx, b.ID)); len(got.Moved) != 1 {
		t.Errorf("the moved tags are %q, want that of the base", got.Moved)
	}
}

func TestLaterProof(t *testing.T) {
	r := checked(t)
	must(r.Publish(r.ctx, alice, version(hub("1.0.0"), "")))
	unread := candidate("1.0.0", built("1.0.0", "x"))
	unread.Own = nil
	r.create("data8/prod")
	nb := binding("1.0.0", unread)
	p, err := r.AdoptPin(r.ctx, alice, lock.NewAdoption{Env: env("data8/prod"), Binding: nb, Reason: "it runs"})
	if err != nil {
		t.Fatal(err)
	}
	before := must(r.Binding(r.ctx, p.Binding))
	if before.State != model.Unverified || !r.defaultOf("1.0.0").IsZero() {
		t.Fatalf("adopted %+v, default %s", before, r.defaultOf("1.0.0"))
	}
	proof := binding("1.0.0", candidate("1.0.0", built("1.0.0", "x")))
	proof.Images[0].Tag, proof.Sealed = "another", digest("sealed again")
	after, existed, err := r.Bind(r.ctx, alice, proof)
	if err != nil || !existed || after.ID != p.Binding || after.State != model.Verified || after.Evidence != model.BaseLayers {
		t.Fatalf("proven later: %+v, %v, %v", after, existed, err)
	}
	if after.Sealed != before.Sealed || after.Images[0].Tag != before.Images[0].Tag {
		t.Errorf("the proof changed what is sealed: %+v, was %+v", after, before)
	}
	if got := r.defaultOf("1.0.0"); got != after.ID {
		t.Errorf("the default is %q", got)
	}
	r.pin("data8/prod", 1, after)
	// Weaker evidence afterwards takes nothing away.
	nb.Declare, nb.Reason = true, "sure"
	if b := r.bind(nb); b.Evidence != model.BaseLayers {
		t.Errorf("a declaration weakened the binding: %+v", b)
	}
}

// A seal that could not be made at first is taken when it is found; after that
// it stays.
func TestSealedLater(t *testing.T) {
	r := checked(t)
	must(r.Publish(r.ctx, alice, version(hub("1.0.0"), "")))
	nb := binding("1.0.0", candidate("1.0.0", built("1.0.0", "x")))
	nb.Sealed, nb.Unsealed = ref.Digest{}, "not proven within 10s"
	if b := r.bind(nb); !b.Sealed.IsZero() || b.Unsealed == "" {
		t.Fatalf("%+v", b)
	}
	for _, name := range []string{"one", "another"} {
		nb.Sealed, nb.Unsealed, nb.SealSize = digest(name), "", 1
		if b := r.bind(nb); b.Sealed != digest("one") || b.Unsealed != "" {
			t.Errorf("%s: %+v", name, b)
		}
	}
}

func TestUnboundIsBookkeeping(t *testing.T) {
	r := checked(t)
	must(r.Publish(r.ctx, alice, version(hub("1.0.0"), "")))
	gen, lines := must(r.IndexGeneration(r.ctx)), len(r.lines())
	if err := r.SetUnbound(r.ctx, hub("1.0.0"), "no answer"); err != nil {
		t.Fatal(err)
	}
	if v := must(r.ChartVersion(r.ctx, hub("1.0.0"))); v.Unbound != "no answer" {
		t.Errorf("unbound because %q", v.Unbound)
	}
	if must(r.IndexGeneration(r.ctx)) != gen || len(r.lines()) != lines {
		t.Error("bookkeeping moved the index or the journal")
	}
}
