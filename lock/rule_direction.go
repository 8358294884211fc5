package lock

import (
	"errors"
	"fmt"
	"slices"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock/store"
)

// direction is rule 5: no half goes back but by proof and on purpose.
func (q *question) direction(r *RuleVerdict) error {
	if q.from == nil {
		r.fact("the first pin has no direction")
		return nil
	}
	d, err := directionOf(q, *q.from, q.b)
	if err != nil {
		return err
	}
	q.way = d
	proof := q.b.Evidence.Proof()
	r.fact("from %s, %s", q.from.Chart, d)
	switch byVersion(d, *q.from, q.b) {
	case model.Forward:
		r.fact("%s was published before %s, though its version is higher", q.b.Chart, q.from.Chart)
	case model.Back:
		r.fact("%s was published after %s, though its version is lower", q.b.Chart, q.from.Chart)
	}
	switch {
	case d.back() && proof:
		r.fact("content proves this pair (%s)", q.b.Evidence)
		if q.np.Downgrade == "" {
			need, facts := model.NeedDowngrade, model.Facts{Env: q.e.Env, Binding: q.b.ID}
			if q.np.Kind == model.Rollback {
				need, facts = model.NeedDowngradeBack, model.Facts{Env: q.e.Env, Revision: q.back}
			}
			r.refuse(need, facts)
		}
	case d.back():
		r.fact("nothing but %q says that this pair belongs together", q.b.Evidence)
		if d.mixed() {
			r.fact("one half goes back and the other forward")
		}
		q.unproven(r)
	case d.unknown():
		r.Unknown = true
		r.fact("the order is unknown, and the evidence is %q", q.b.Evidence)
		if !proof {
			q.unproven(r)
		}
	}
	return nil
}

func (q *question) unproven(r *RuleVerdict) {
	r.refuse(model.NeedProof, model.Facts{Chart: q.b.Chart})
}

// Direction is where a pin takes an environment from the pin before it; zero
// for the first one.
type Direction struct {
	Chart model.Heading `json:"chart,omitempty"`
	Image model.Heading `json:"image,omitempty"` // of the hub image, or of the main one
}

// back reports whether any half goes back.
func (d Direction) back() bool { return d.Chart == model.Back || d.Image == model.Back }

func (d Direction) unknown() bool { return d.Chart == model.Unknown || d.Image == model.Unknown }

// mixed reports whether one half goes back and the other forward.
func (d Direction) mixed() bool {
	return d.Chart == model.Back && d.Image == model.Forward || d.Chart == model.Forward && d.Image == model.Back
}

// String writes the direction as a fact.
func (d Direction) String() string {
	return fmt.Sprintf("the chart goes %s and the image %s", d.Chart, d.Image)
}

// directionOf compares a pair with the one that is pinned now.
func directionOf(t store.Tx, from, to Binding) (Direction, error) {
	chart, err := chartHeading(t, from, to)
	if err != nil {
		return Direction{}, err
	}
	image, err := imageHeading(t, from, to)
	return Direction{chart, image}, err
}

func chartHeading(t store.Tx, from, to Binding) (model.Heading, error) {
	if from.Chart == to.Chart {
		return model.Same, nil
	}
	v, err := getChart(t, from.Chart)
	if err != nil {
		return "", err
	}
	w, err := getChart(t, to.Chart)
	if err != nil {
		return "", err
	}
	return heading(v.Seq, w.Seq, v.OrderUnknown || w.OrderUnknown), nil
}

// mainImage is the image whose direction counts.
func (b Binding) mainImage() (BoundImage, bool) {
	at := func(role ref.Role) int {
		return slices.IndexFunc(b.Images, func(i BoundImage) bool { return i.Role == role })
	}
	role, ok := ref.Own(func(r ref.Role) bool { return at(r) >= 0 })
	if !ok {
		return BoundImage{}, false
	}
	return b.Images[at(role)], true
}

func imageHeading(t store.Tx, from, to Binding) (model.Heading, error) {
	a, ok := from.mainImage()
	b, too := to.mainImage()
	if !ok && !too || ok && too && a.Image.Digest == b.Image.Digest {
		return model.Same, nil
	}
	if !ok || !too {
		return model.Unknown, nil
	}
	i, err := get[Image](t, bucketImages, a.Image.String())
	if errors.Is(err, store.ErrNoKey) {
		return model.Unknown, nil
	}
	if err != nil {
		return "", err
	}
	j, err := get[Image](t, bucketImages, b.Image.String())
	if errors.Is(err, store.ErrNoKey) {
		return model.Unknown, nil
	}
	return heading(i.Seq, j.Seq, i.OrderUnknown || j.OrderUnknown), err
}

func heading(from, to uint64, unknown bool) model.Heading {
	switch {
	case unknown:
		return model.Unknown
	case to > from:
		return model.Forward
	case to < from:
		return model.Back
	}
	return model.Same
}
