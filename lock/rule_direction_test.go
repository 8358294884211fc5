package lock_test

import (
	"testing"
	"time"

	"chartd.dev/chartd/lock"

	"chartd.dev/chartd/internal/model"
)

// declared binds a version to an image on somebody's word.
func (r *rig) declared(v string, i lock.Image) lock.Binding {
	r.t.Helper()
	c := candidate(v, i)
	c.Own = nil
	nb := binding(v, c)
	nb.Declare, nb.Reason = true, "trust me"
	return r.bind(nb)
}

// Each half goes somewhere by the one sequence of publications and first
// observations; the pairs are made in the order of their numbers.
func TestDirection(t *testing.T) {
	r := checked(t)
	anything := lock.Policy{Accept: []model.Evidence{model.ChartValues, model.BaseLayers, model.Declared}}
	early, late := image("quay.io/berkeley/early", "e"), image("quay.io/berkeley/late", "l")
	one := r.publish("1.0.0")
	must(r.Publish(r.ctx, alice, version(hub("1.5.0"), "")))
	wordEarly := r.declared("1.5.0", early)
	two := r.publish("2.0.0")
	rebuilt := r.bind(binding("1.0.0", candidate("1.0.0", built("1.0.0", "users"))))
	wordLate := r.declared("1.5.0", late)
	older := version(hub("0.9.0"), "")
	nb := binding("0.9.0", candidate("0.9.0", own("0.9.0")))
	older.Import, older.Created, older.Binding = true, start.Add(-time.Hour), &nb
	behind := *must(r.Publish(r.ctx, alice, older)).Binding
	undated := version(hub("0.8.0"), "")
	undated.Import, undated.Undated = true, true
	must(r.Publish(r.ctx, alice, undated))
	wordUndated := r.declared("0.8.0", late)

	for name, c := range map[string]struct {
		from, to     lock.Binding
		chart, image model.Heading
		rule         string // that refuses without --downgrade
		downgrade    bool   // passes with it
	}{
		"same pair":                     {one, one, model.Same, model.Same, "", true},
		"both forward":                  {one, two, model.Forward, model.Forward, "", true},
		"both back, proven":             {two, one, model.Back, model.Back, "direction", true},
		"rebuilt image of the chart":    {one, rebuilt, model.Same, model.Forward, "", true},
		"chart's own image again":       {rebuilt, one, model.Same, model.Back, "direction", true},
		"chart on, image back, proven":  {rebuilt, two, model.Forward, model.Back, "direction", true},
		"chart back, newer build":       {two, rebuilt, model.Back, model.Forward, "direction", true},
		"both forward, on a word":       {one, wordLate, model.Forward, model.Forward, "", true},
		"both back, on a word":          {two, wordEarly, model.Back, model.Back, "direction", false},
		"chart back, image on, a word":  {two, wordLate, model.Back, model.Forward, "direction", false},
		"image back, on a word":         {wordLate, wordEarly, model.Same, model.Back, "direction", false},
		"unknown, proven":               {two, behind, model.Unknown, model.Unknown, "", true},
		"from unknown, proven":          {behind, two, model.Unknown, model.Unknown, "", true},
		"unknown chart, on a word":      {wordLate, wordUndated, model.Unknown, model.Same, "direction", false},
		"from an unknown, known images": {wordUndated, wordLate, model.Unknown, model.Same, "direction", false},
	} {
		t.Run(name, func(t *testing.T) {
			r.t = t
			e := "hub-" + digest(name).Hex()[:8] + "/prod"
			r.create(e)
			r.policy(e, anything)
			r.bump(e, c.from)
			np := r.move(e, c.to)
			if v := must(r.Gate(r.ctx, alice, np)); v.Direction != (lock.Direction{Chart: c.chart, Image: c.image}) {
				t.Errorf("the direction is %+v", v.Direction)
			}
			if c.rule != "" {
				r.refusedPin(c.rule, np)
			} else {
				p := must(r.MakePin(r.ctx, alice, np))
				if p.Direction.Chart != c.chart || p.Direction.Image != c.image {
					t.Errorf("the pin shows %+v", p.Direction)
				}
				return
			}
			np.Downgrade = "replay"
			if c.downgrade {
				if p := must(r.MakePin(r.ctx, alice, np)); p.Downgrade != "replay" {
					t.Errorf("the pin is %+v", p)
				}
				return
			}
			r.refusedPin(c.rule, np)
			r.says(np, "break-glass")
			np.BreakGlass = "there is no other way"
			must(r.MakePin(r.ctx, alice, np))
		})
	}
	r.t = t
}

// An image named first by a chart of unknown order has the place of the first
// one whose order is known.
func TestOrderOfImages(t *testing.T) {
	r := checked(t)
	r.publish("1.0.0")
	shared := own("2.0.0")
	publish := func(v string, undated bool) lock.Binding {
		c := candidate(v, shared)
		c.Own = &shared
		nb := binding(v, c)
		nv := version(hub(v), "")
		nv.Binding, nv.Import, nv.Undated = &nb, undated, undated
		return *must(r.Publish(r.ctx, alice, nv)).Binding
	}
	seq := func() lock.Image { return must(r.Image(r.ctx, shared.Image)) }
	publish("2.0.0", true)
	if i := seq(); !i.OrderUnknown || i.Seq != 2 {
		t.Errorf("the image is %+v", i)
	}
	publish("3.0.0", false)
	if i := seq(); i.OrderUnknown || i.Seq != 3 {
		t.Errorf("the image is %+v", i)
	}
	publish("4.0.0", false)
	publish("5.0.0", true)
	if i := seq(); i.OrderUnknown || i.Seq != 3 {
		t.Errorf("the image is %+v", i)
	}
}

// A chart without images has one half only.
func TestDirectionWithoutImages(t *testing.T) {
	r := checked(t)
	plain := func(v string) lock.Binding {
		nv := version(chart("binderhub", v), "")
		nv.Binding = &lock.NewBinding{Chart: nv.Version.Chart, Package: nv.Version.Package}
		return *must(r.Publish(r.ctx, alice, nv)).Binding
	}
	one, two := plain("1.0.0"), plain("2.0.0")
	must(r.CreateEnvironment(r.ctx, alice, lock.NewEnvironment{Env: env("data8/prod"), Chart: "binderhub"}))
	if p := r.bump("data8/prod", one); p.Direction != (lock.Direction{}) {
		t.Errorf("the first pin goes %+v", p.Direction)
	}
	if p := r.bump("data8/prod", two); p.Direction.Chart != model.Forward || p.Direction.Image != model.Same {
		t.Errorf("the pin goes %+v", p.Direction)
	}
	r.refusedPin("direction", r.move("data8/prod", one))
	r.down("data8/prod", one)
}
