package lock_test

import (
	"errors"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
)

// chooses asks the gate with a choice, on the revision that is current.
func (r *rig) chooses(e string, c lock.Choice) lock.Verdict {
	r.t.Helper()
	v, err := r.Judge(r.ctx, alice, lock.Ask{NewPin: lock.NewPin{Env: env(e)}, Choose: &c, Current: true})
	if err != nil {
		r.t.Fatalf("choose %+v for %s: %v", c, e, err)
	}
	return v
}

// choosesNone holds that the choice is refused by the rule and says the words.
func (r *rig) choosesNone(e string, c lock.Choice, rule model.Rule, words ...string) {
	r.t.Helper()
	_, err := r.Judge(r.ctx, alice, lock.Ask{NewPin: lock.NewPin{Env: env(e)}, Choose: &c, Current: true})
	var no *lock.Refusal
	if !errors.As(err, &no) || no.Rule != rule || len(no.List) == 0 || no.Need == nil {
		r.t.Fatalf("choose %+v for %s: %#v, want a refusal by %q", c, e, err, rule)
	}
	want, command := advice.Of(no.Need)
	for _, w := range words {
		if all := no.Facts + " | " + want + " | " + command; !strings.Contains(all, w) {
			r.t.Errorf("the refusal does not say %q: %s", w, all)
		}
	}
}

// The latest version is the highest, not the one published last; and the
// answer says so.
func TestLatestIsTheHighestVersion(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		r.publish("1.9.8")
		two := r.publish("2.0.0")
		r.publish("1.9.9")
		r.publish("2.1.0-rc.1")
		r.create("data8/prod")
		r.bump("data8/prod", two)
		v := r.chooses("data8/prod", lock.Choice{Latest: true})
		if v.Pair.ID != two.ID || v.PublishedLast != "1.9.9" || v.Pin == nil || v.Pin.Binding != v.Binding || v.Pinned.ID != two.ID || len(v.PassedOver) != 0 {
			t.Errorf("the latest is %+v", v)
		}
		if v := r.chooses("data8/prod", lock.Choice{Latest: true, Devel: true}); v.Pair.Chart != hub("2.1.0-rc.1") || v.PublishedLast != "" {
			t.Errorf("the latest with pre-releases is %s, published last %q", v.Pair.Chart, v.PublishedLast)
		}
		// By publication 1.9.9 is forward, and the gate says what it is.
		v = r.chooses("data8/prod", lock.Choice{Version: "1.9.9"})
		if !v.OK || v.Direction.Chart != model.Forward || v.ByVersion != model.Back {
			t.Errorf("to 1.9.9: %+v", v)
		}
		r.bump("data8/prod", v.Pair)
		v = r.chooses("data8/prod", lock.Choice{Latest: true})
		if v.OK || v.Direction.Chart != model.Back || v.ByVersion != model.Forward || !strings.Contains(v.Refusal().Error(), "jupyterhub@2.0.0 was published before jupyterhub@1.9.9, though its version is higher") {
			t.Errorf("back to 2.0.0: %v, %+v", v.Refusal(), v)
		}
	})
}

// What can't be taken is passed over, each with its reason.
func TestLatestPassesOver(t *testing.T) {
	r := checked(t)
	r.publish("1.0.0")
	mine := r.bind(binding("1.0.0", candidate("1.0.0", built("1.0.0", "x"))))
	r.publish("1.1.0")
	revoked := r.publish("1.2.0")
	must(r.Revoke(r.ctx, alice, revoked.ID, "CVE"))
	must(r.Publish(r.ctx, alice, version(hub("1.3.0"), "")))
	r.publish("1.4.0")
	must(r.Yank(r.ctx, alice, hub("1.4.0"), "broken"))
	unordered := version(hub("9.0.0"), "")
	nb := binding("9.0.0", candidate("9.0.0", own("9.0.0")))
	unordered.Import, unordered.Undated, unordered.Binding = true, true, &nb
	must(r.Publish(r.ctx, alice, unordered))
	r.create("data8/prod")
	r.bump("data8/prod", mine)
	v := r.chooses("data8/prod", lock.Choice{Latest: true})
	if v.Pair.ID != mine.ID {
		t.Errorf("the latest is %+v", v.Pair)
	}
	var over []string
	for _, p := range v.PassedOver {
		over = append(over, p.Chart.Version()+": "+p.Why)
	}
	want := []string{"1.3.0: it is bound to no images", "1.2.0: it has no binding that data8/prod accepts",
		"1.1.0: it is bound to hub from " + ownRepoName() + ", and data8/prod runs hub from quay.io/berkeley/hub"}
	if strings.Join(over, "\n") != strings.Join(want, "\n") {
		t.Errorf("passed over %q, want %q", over, want)
	}
	// With images that are to be bound, the highest version that is accepted.
	images := map[ref.Role]ref.Reference{"hub": reference("quay.io/berkeley/hub:new")}
	r.choosesNone("data8/prod", lock.Choice{Latest: true, Images: images}, model.RuleBinding, "no binding of jupyterhub@1.1.0 has hub=quay.io/berkeley/hub:new")
	r.create("data8/empty")
	must(r.Yank(r.ctx, alice, hub("1.0.0"), "x"))
	must(r.Yank(r.ctx, alice, hub("1.1.0"), "x"))
	r.refused(lock.ErrNotFound, func() error {
		_, err := r.Judge(r.ctx, alice, lock.Ask{NewPin: lock.NewPin{Env: env("data8/empty")}, Choose: &lock.Choice{Latest: true}})
		return err
	}, "no stable, verified version", "chartctl bind --unbound jupyterhub")
}

func ownRepoName() string { return own("1.0.0").Image.Repository.String() }

// Which binding of a version: the newest that is accepted, proven before
// declared, and never from another repository unasked.
func TestChooseBinding(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		plain := r.publish("1.0.0")
		mine := r.bind(binding("1.0.0", candidate("1.0.0", built("1.0.0", "x"))))
		newer := r.bind(binding("1.0.0", candidate("1.0.0", built("1.0.0", "y"))))
		r.publish("1.1.0")
		r.create("data8/prod")
		r.choosesNone("data8/prod", lock.Choice{Version: "1.0.0"}, model.RuleRepository, "different repositories", "has no pin yet", "hub=quay.io/berkeley/hub:t-", "hub="+ownRepoName()+":1.0.0")
		r.bump("data8/prod", mine)
		if v := r.chooses("data8/prod", lock.Choice{Version: "1.0.0"}); v.Pair.ID != newer.ID {
			t.Errorf("chosen is %+v, want the newer of the same repository", v.Pair)
		}
		r.choosesNone("data8/prod", lock.Choice{Version: "1.1.0"}, model.RuleRepository, "data8/prod runs hub from quay.io/berkeley/hub", "--image hub=REF")
		r.down("data8/prod", plain)
		if v := r.chooses("data8/prod", lock.Choice{Version: "1.0.0"}); v.Pair.ID != plain.ID {
			t.Errorf("chosen is %+v, want the chart's own", v.Pair)
		}

		tag := reference("quay.io/berkeley/hub:" + mine.Images[0].Tag)
		images := func(i ref.Reference) map[ref.Role]ref.Reference { return map[ref.Role]ref.Reference{"hub": i} }
		for _, i := range []ref.Reference{tag, {Repository: tag.Repository, Digest: mine.Images[0].Image.Digest}} {
			if v := r.chooses("data8/prod", lock.Choice{Version: "1.0.0", Images: images(i)}); v.Pair.ID != mine.ID {
				t.Errorf("with %s: %+v", i, v.Pair)
			}
		}
		r.choosesNone("data8/prod", lock.Choice{Version: "1.0.0", Images: images(reference("a.io/x:1"))}, model.RuleBinding, "no binding of jupyterhub@1.0.0 has hub=a.io/x:1", "chartctl bind jupyterhub@1.0.0 --image hub=a.io/x:1")

		must(r.Publish(r.ctx, alice, version(hub("1.2.0"), "")))
		r.choosesNone("data8/prod", lock.Choice{Version: "1.2.0"}, model.RuleBinding, "bound to no images", "chartctl bind jupyterhub@1.2.0")
		weak := r.declared("1.2.0", image("a.io/x", "y"))
		if v := r.chooses("data8/prod", lock.Choice{Version: "1.2.0"}); v.OK || v.Pair.ID != weak.ID {
			t.Errorf("what the environment does not accept is for the gate to refuse: %+v", v)
		}
		for _, wrong := range []lock.Choice{{}, {Version: "1.0.0", Latest: true}, {Devel: true, Version: "1.0.0"}, {Passed: true, Images: images(tag)}} {
			r.refused(lock.ErrInvalid, func() error {
				_, err := r.Judge(r.ctx, alice, lock.Ask{NewPin: lock.NewPin{Env: env("data8/prod")}, Choose: &wrong})
				return err
			})
		}
	})
}

// A rollback without a revision goes to the newest pair that passed here, not
// to what happened to be pinned before.
func TestRollbackToWhatPassed(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		one, two, three, four := r.publish("1.0.0"), r.publish("2.0.0"), r.publish("3.0.0"), r.publish("4.0.0")
		r.create("data8/prod")
		r.choosesNone("data8/prod", lock.Choice{Passed: true}, model.RuleRollback, "no earlier revision")
		r.bump("data8/prod", one)
		r.bump("data8/prod", two)
		r.choosesNone("data8/prod", lock.Choice{Passed: true}, model.RuleRollback, "revision 1 had jupyterhub@1.0.0, which has no verdict", "chartctl rollback data8/prod --to 1")
		r.report("data8/prod", 2, model.Passed)
		r.choosesNone("data8/prod", lock.Choice{Passed: true}, model.RuleRollback, "no pair but the present one passed")
		r.bump("data8/prod", three)
		r.bump("data8/prod", four)
		v := r.chooses("data8/prod", lock.Choice{Passed: true})
		if !v.OK || v.Pair.ID != two.ID || v.Kind != model.Rollback || v.From != "2" {
			t.Errorf("rolled back to %+v", v)
		}
		np := lock.NewPin{Env: env("data8/prod"), Base: v.Revision, Binding: v.Binding, Kind: v.Kind, From: v.From}
		must(r.MakePin(r.ctx, alice, np))
		r.choosesNone("data8/prod", lock.Choice{Passed: true}, model.RuleRollback, "revision 4 had jupyterhub@4.0.0")
		r.report("data8/prod", 5, model.Passed)
		r.bump("data8/prod", four)
		must(r.Revoke(r.ctx, alice, two.ID, "CVE"))
		r.choosesNone("data8/prod", lock.Choice{Passed: true}, model.RuleRollback, "revoked: CVE")
		if v := r.chooses("data8/prod", lock.Choice{Revision: 3}); v.Pair.ID != three.ID || v.From != "3" || v.Kind != model.Rollback {
			t.Errorf("to a revision: %+v", v)
		}
	})
}

func TestChoosePromote(t *testing.T) {
	r := checked(t)
	one := r.publish("1.0.0")
	r.create("data8/staging")
	r.create("data8/prod")
	ask := lock.Ask{NewPin: lock.NewPin{Env: env("data8/prod")}, Choose: &lock.Choice{From: env("data8/staging")}}
	r.refused(lock.ErrNotFound, func() error { _, err := r.Judge(r.ctx, alice, ask); return err }, "nothing to promote")
	r.bump("data8/staging", one)
	v := must(r.Judge(r.ctx, alice, ask))
	if !v.OK || v.From != "data8/staging" || v.Kind != model.Promote || v.Pair.ID != one.ID || v.Pin != nil {
		t.Errorf("promoted %+v", v)
	}
	ask.Kind = model.Rollback
	r.refused(lock.ErrInvalid, func() error { _, err := r.Judge(r.ctx, alice, ask); return err }, "rollback")
}
