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

func TestEvidence(t *testing.T) {
	unread := func(c lock.Candidate) lock.Candidate {
		c.Own, c.OwnReason = nil, "connection refused"
		return c
	}
	nameless := func(c lock.Candidate) lock.Candidate {
		c.Own, c.OwnRef = nil, ref.Reference{}
		return c
	}
	unshown := func(c lock.Candidate) lock.Candidate {
		c.Unshown = true
		return c
	}
	labelled := func(c lock.Candidate, base ref.Digest) lock.Candidate {
		c.Image.Labels = map[string]string{"org.opencontainers.image.base.digest": base.String()}
		return c
	}
	inRole := func(role ref.Role, c lock.Candidate) lock.Candidate {
		c.Role = role
		return c
	}
	custom := image("quay.io/berkeley/hub", "alpine", "own work")
	// 1.0.0 is bound before each row, so its base and its tag are known.
	for _, c := range []struct {
		name    string
		c       lock.Candidate
		declare bool
		want    model.Evidence
		refusal string
		says    []string
	}{
		{name: "the chart's own image", c: candidate("2.0.0", own("2.0.0")), want: model.ChartValues},
		{name: "built on it", c: candidate("2.0.0", built("2.0.0", "x")), want: model.BaseLayers},
		{name: "named by the values alone", c: unshown(candidate("2.0.0", own("2.0.0"))), want: model.ValuesOnly},
		{name: "built on what the values name", c: unshown(candidate("2.0.0", built("2.0.0", "x"))), want: model.BaseLayers},
		{name: "its layers in another order", c: candidate("2.0.0", image("a.io/x", "hub 2.0.0", "debian")), refusal: "base"},
		{name: "fewer layers than the base", c: candidate("2.0.0", image("a.io/x", "debian")), refusal: "base"},
		{name: "no layers", c: candidate("2.0.0", image("a.io/x")), refusal: "base"},
		{name: "a base without layers", c: func() lock.Candidate {
			c, empty := candidate("2.0.0", custom), image(ownRepo)
			empty.Platforms = []lock.Platform{{Platform: "linux/amd64"}}
			c.Own = &empty
			return c
		}(), refusal: "base"},
		{
			name: "built on another version", c: candidate("2.0.0", built("1.0.0", "x")), refusal: "base",
			says: []string{ownRepo + ":2.0.0", ownRepo + ":1.0.0", "jupyterhub@1.0.0", "expected base"},
		},
		{
			name: "declared, built on another version", c: candidate("2.0.0", built("1.0.0", "x")), declare: true, refusal: "base",
			says: []string{"jupyterhub@1.0.0"},
		},
		{name: "built on nothing known", c: candidate("2.0.0", custom), refusal: "base", says: []string{"something else"}},
		{name: "declared against a read base", c: candidate("2.0.0", custom), declare: true, refusal: "base"},
		{name: "unread", c: unread(candidate("2.0.0", custom)), refusal: "evidence", says: []string{"unknown", "connection refused"}},
		{name: "unread and the right layers", c: unread(candidate("2.0.0", built("2.0.0", "x"))), refusal: "evidence"},
		{name: "unread, declared", c: unread(candidate("2.0.0", custom)), declare: true, want: model.Declared},
		{
			name: "unread, declared, another chart's base", c: unread(candidate("2.0.0", built("1.0.0", "x"))), declare: true, refusal: "base",
			says: []string{"jupyterhub@1.0.0"},
		},
		{name: "label of a tag seen", c: unread(labelled(candidate("1.0.0", custom), own("1.0.0").Image.Digest)), want: model.BaseLabel},
		{name: "label of something else", c: unread(labelled(candidate("1.0.0", custom), digest("else"))), refusal: "evidence"},
		{name: "label of a tag never seen", c: unread(labelled(candidate("2.0.0", custom), own("2.0.0").Image.Digest)), refusal: "evidence"},
		{
			name: "label against the layers", c: unread(labelled(candidate("1.1.0", built("1.0.0", "x")), digest("claimed"))), refusal: "evidence",
		},
		{name: "label, but the base was read", c: labelled(candidate("2.0.0", custom), own("2.0.0").Image.Digest), refusal: "base"},
		{name: "the chart names none", c: nameless(candidate("2.0.0", custom)), refusal: "evidence", says: []string{"names no image"}},
		{name: "the chart names none, declared", c: nameless(candidate("2.0.0", custom)), declare: true, want: model.Declared},
		{name: "override with its base", c: candidate("2.0.0", built("2.0.0", "override")), want: model.BaseLayers},
		{name: "override without base", c: nameless(candidate("2.0.0", built("2.0.0", "override"))), refusal: "evidence"},
		{name: "other role, declared", c: inRole("singleuser", candidate("2.0.0", custom)), declare: true, want: model.Declared},
		{name: "other role, not declared", c: inRole("singleuser", candidate("2.0.0", custom)), refusal: "base"},
		{
			name: "other role, declared, another chart's base", c: inRole("singleuser", candidate("2.0.0", built("1.0.0", "x"))),
			declare: true, refusal: "base", says: []string{"jupyterhub@1.0.0"},
		},
		{name: "top-level image, declared against its base", c: inRole("main", candidate("2.0.0", custom)), declare: true, refusal: "base"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := checked(t)
			r.publish("1.0.0")
			for _, v := range []string{"1.1.0", "2.0.0"} {
				must(r.Publish(r.ctx, alice, version(hub(v), "")))
			}
			at := "2.0.0"
			if c.c.OwnRef.Tag != "" {
				at = c.c.OwnRef.Tag
			}
			nb := binding(at, c.c)
			if c.declare {
				nb.Declare, nb.Reason = true, "we built it"
			}
			before := r.dump()
			b, _, err := r.Bind(r.ctx, alice, nb)
			if c.refusal == "" {
				if err != nil || b.Evidence != c.want || b.State != model.Verified || b.Images[0].Evidence != c.want {
					t.Fatalf("bound %+v, %v; want %s", b, err, c.want)
				}
				if c.want == model.Declared && b.Why != "we built it" {
					t.Errorf("the declaration says %q", b.Why)
				}
				return
			}
			var no *lock.Refusal
			if !errors.As(err, &no) || string(no.Rule) != c.refusal || no.Need == nil {
				t.Fatalf("got %+v, %v; want a refusal by %q", b, err, c.refusal)
			}
			for _, w := range c.says {
				if !strings.Contains(no.Facts, w) {
					t.Errorf("the refusal does not say %q: %s", w, no.Facts)
				}
			}
			if want, _ := advice.Of(no.Need); want == "" || strings.Contains(want, "FROM  ") {
				t.Errorf("the refusal asks for %q", want)
			}
			if r.dump() != before {
				t.Error("a refused binding wrote something")
			}
		})
	}
}

func TestEvidenceOfEveryPlatform(t *testing.T) {
	const amd, arm = "linux/amd64", "linux/arm64"
	base := platforms(ownRepo, map[string][]string{amd: {"debian", "hub"}, arm: {"debian arm", "hub arm"}})
	for name, c := range map[string]struct {
		layers map[string][]string
		ok     bool
	}{
		"both":               {map[string][]string{amd: {"debian", "hub", "x"}, arm: {"debian arm", "hub arm", "x"}}, true},
		"one of two":         {map[string][]string{arm: {"debian arm", "hub arm", "x"}}, true},
		"one on another":     {map[string][]string{amd: {"debian", "hub", "x"}, arm: {"alpine", "x"}}, false},
		"platforms mixed up": {map[string][]string{amd: {"debian arm", "hub arm"}, arm: {"debian", "hub"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := checked(t)
			must(r.Publish(r.ctx, alice, version(hub("1.0.0"), "")))
			cand := candidate("1.0.0", platforms("a.io/x", c.layers))
			cand.Own = &base
			_, _, err := r.Bind(r.ctx, alice, binding("1.0.0", cand))
			if c.ok != (err == nil) {
				t.Errorf("the answer is %v", err)
			}
		})
	}
	t.Run("the base lacks a platform", func(t *testing.T) {
		r := checked(t)
		must(r.Publish(r.ctx, alice, version(hub("1.0.0"), "")))
		cand := candidate("1.0.0", platforms("a.io/x", map[string][]string{amd: {"debian", "hub 1.0.0"}, arm: {"debian", "hub 1.0.0"}}))
		r.refused(lock.ErrGate, func() error { _, _, err := r.Bind(r.ctx, alice, binding("1.0.0", cand)); return err }, "expected base")
	})
}

func TestBindArguments(t *testing.T) {
	r := checked(t)
	nv := version(hub("1.0.0"), "")
	nv.Version.Images = []lock.ChartImage{{Role: "hub", Required: true}, {Role: "proxy.chp"}}
	must(r.Publish(r.ctx, alice, nv))
	good := candidate("1.0.0", own("1.0.0"))
	note := good
	note.Required = false
	proxy := good
	proxy.Role, proxy.Required = "proxy.chp", false
	many := make([]lock.Candidate, 9)
	bind := func(change func(*lock.NewBinding)) func() error {
		return func() error {
			nb := binding("1.0.0", good)
			change(&nb)
			_, _, err := r.Bind(r.ctx, alice, nb)
			return err
		}
	}
	r.refused(lock.ErrInvalid, bind(func(nb *lock.NewBinding) { nb.Images = nil }), `"hub"`)
	r.refused(lock.ErrInvalid, bind(func(nb *lock.NewBinding) { nb.Images = []lock.Candidate{note} }), `"hub"`)
	r.refused(lock.ErrInvalid, bind(func(nb *lock.NewBinding) { nb.Images = append(nb.Images, good) }), "twice")
	r.refused(lock.ErrInvalid, bind(func(nb *lock.NewBinding) { nb.Declare = true }), "reason")
	r.refused(lock.ErrRefused, bind(func(nb *lock.NewBinding) { nb.Images = many }), "at most 8")
	r.refused(lock.ErrRefused, bind(func(nb *lock.NewBinding) { nb.Package = digest("other") }), digest("other").String())
	r.refused(lock.ErrNotFound, bind(func(nb *lock.NewBinding) { nb.Chart = hub("3.0.0") }), "3.0.0")

	b := r.bind(binding("1.0.0", good, proxy))
	if b.ID != binding("1.0.0", good).ID() || len(b.Images) != 2 {
		t.Errorf("an image that is not required is part of the identity: %+v", b)
	}
	must(r.Yank(r.ctx, alice, hub("1.0.0"), ""))
	r.refused(lock.ErrRefused, bind(func(*lock.NewBinding) {}), "yanked")
}

func TestChartWithoutImages(t *testing.T) {
	r := checked(t)
	must(r.Publish(r.ctx, alice, version(hub("1.0.0"), "")))
	b := r.bind(binding("1.0.0"))
	if b.Evidence != model.NoImages || b.State != model.Verified {
		t.Errorf("bound %+v", b)
	}
	r.create("data8/prod")
	r.pin("data8/prod", 0, b)
}
