package repo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/render"
	"chartd.dev/chartd/lock"
)

// BindRequest asks to bind a published chart version. Images names roles to
// bind in place of, or besides, those that the chart itself requires.
type BindRequest struct {
	Chart   ref.ChartVersion
	Images  map[ref.Role]ref.Reference
	Declare bool
	Reason  string
}

// planned is one image of a binding before any registry was asked.
type planned struct {
	role  ref.Role
	image ref.Reference // to bind
	own   ref.Reference // what the chart itself names; zero if it names none
	shown bool          // rendering shows own
}

// planBinding finds the images of a binding: those that the chart requires
// and those that the caller names, each with the one that the chart's own
// templates were made for.
func planBinding(t traced, q BindRequest) ([]planned, error) {
	if err := t.alike(); err != nil {
		return nil, err
	}
	var out []planned
	done := map[ref.Role]bool{}
	for _, i := range t.images() {
		given, explicit := q.Images[i.Role]
		if done[i.Role] || !i.Required && !explicit {
			continue
		}
		done[i.Role] = true
		p, err := t.plan(i, given)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	for role, given := range q.Images {
		if done[role] {
			continue
		}
		p, err := t.planUnnamed(role, given)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	if len(out) == 0 {
		return nil, t.noRole()
	}
	for _, p := range out {
		if p.image.Tag == "" && p.image.Digest.IsZero() {
			return nil, fmt.Errorf("%w: image %q for role %s has neither tag nor digest: name one", lock.ErrInvalid, p.image, p.role)
		}
	}
	slices.SortFunc(out, func(a, b planned) int { return cmp.Compare(a.role, b.role) })
	return out, nil
}

// plan is an image that the chart names, or the one given in its place.
func (t traced) plan(i naming, given ref.Reference) (p planned, err error) {
	v, explicit := t.version.Chart, !given.Repository.IsZero()
	p = planned{role: i.Role, shown: i.shown}
	if i.Problem != "" && !explicit {
		return p, fmt.Errorf("%w: the %s image of %s: %s", lock.ErrRefused, i.Role, v, i.Problem)
	}
	if p.image, err = reference(i.ChartImage); err != nil && !explicit {
		return p, fmt.Errorf("%w: %s names the %s image %q: %v", lock.ErrRefused, v, i.Role, i.Repository+":"+i.Tag, err)
	}
	if err == nil {
		p.own = p.image
	}
	if i.Override {
		p.own = ref.Reference{}
		if i.Base != "" {
			if p.own, err = ref.ParseReference(i.Base); err != nil {
				return p, fmt.Errorf("%w: %s: base of the %s image: %v", lock.ErrRefused, v, i.Role, err)
			}
		}
	}
	if explicit {
		p.image = given
	}
	return p, nil
}

// planUnnamed is an image for a role that the chart does not require: that of
// a part which is off by default, one that it renders and no value feeds, or
// one that is not the chart's at all.
func (t traced) planUnnamed(role ref.Role, given ref.Reference) (planned, error) {
	if n := slices.IndexFunc(t.version.Images, func(i lock.ChartImage) bool { return i.Role == role }); n >= 0 {
		return t.plan(naming{t.version.Images[n], false}, given)
	}
	p := planned{role: role, image: given}
	if t.shows(given) {
		p.own, p.shown = given, true
	}
	return p, nil
}

func reference(i lock.ChartImage) (ref.Reference, error) {
	s := i.Repository
	if i.Tag != "" {
		s += ":" + i.Tag
	}
	if i.Digest != "" {
		s += "@" + i.Digest
	}
	return ref.ParseReference(s)
}

// candidates asks the registries for the images of a binding.
func (r *Repository) candidates(ctx context.Context, m traced, plan []planned, q BindRequest) (*sealedBinding, error) {
	nb := &sealedBinding{NewBinding: lock.NewBinding{
		Chart: m.version.Chart, Package: m.version.Package, Declare: q.Declare, Reason: q.Reason,
		Requires: m.requires(), Unshown: m.unshown(), Rendering: m.fresh,
	}}
	for _, p := range plan {
		c, err := r.candidate(ctx, p, q)
		if err != nil {
			return nil, err
		}
		nb.Images = append(nb.Images, c)
	}
	return nb, nil
}

// candidate reads the image to bind, and the chart's own where it is another.
func (r *Repository) candidate(ctx context.Context, p planned, q BindRequest) (lock.Candidate, error) {
	c := lock.Candidate{Role: p.role, Required: true, Tag: p.image.Tag, ByDigest: !p.image.Digest.IsZero(), OwnRef: p.own, Unshown: !p.shown}
	if r.Resolver == nil {
		return c, fmt.Errorf("%w: the server asks no registry", ErrUnavailable)
	}
	var err error
	if c.Image, err = r.Resolver.Resolve(ctx, p.image); err != nil {
		known, e := r.known(ctx, p.image)
		if e != nil {
			return c, fmt.Errorf("resolve the %s image %s: %w", p.role, p.image, err)
		}
		c.Image = known
	}
	switch {
	case p.own == p.image:
		own := c.Image
		c.Own = &own
	case !p.own.Repository.IsZero():
		own, err := r.ownImage(ctx, p.own)
		if err != nil && !q.Declare {
			return c, fmt.Errorf("the base of %s is unknown: read the %s image that %s names, %s: %w", p.image, p.role, q.Chart, p.own, err)
		}
		if err != nil {
			c.OwnReason = err.Error()
			break
		}
		c.Own = &own
	}
	return c, nil
}

// known is an image by digest that was read before: what its registry said
// then holds for ever.
func (r *Repository) known(ctx context.Context, image ref.Reference) (lock.Image, error) {
	if image.Digest.IsZero() {
		return lock.Image{}, fmt.Errorf("%w: %s names no digest", lock.ErrNotFound, image)
	}
	return r.Lock.Image(ctx, ref.Image{Repository: image.Repository, Digest: image.Digest})
}

// ownImage reads the chart's own image, at the registry or, where that does
// not answer, as it was read before.
func (r *Repository) ownImage(ctx context.Context, own ref.Reference) (lock.Image, error) {
	image, err := r.Resolver.Resolve(ctx, own)
	if err == nil || ctx.Err() != nil {
		return image, err
	}
	if own.Digest.IsZero() {
		seen, e := r.Lock.Observations(ctx, own.Repository, own.Tag)
		if e != nil || len(seen) == 0 {
			return image, err
		}
		own.Digest = seen[len(seen)-1].Digest
	}
	known, e := r.known(ctx, own)
	if e != nil {
		return image, err
	}
	return known, nil
}

// prepare reads a published version and prepares a binding for it.
func (r *Repository) prepare(ctx context.Context, q BindRequest) (*sealedBinding, error) {
	v, err := r.Lock.ChartVersion(ctx, q.Chart)
	if err != nil {
		return nil, err
	}
	if _, err := r.packageBlob(ctx, v, false); err != nil {
		return nil, err
	}
	pkg, err := r.read(ctx, v.Package)
	if err != nil {
		return nil, err
	}
	m, err := r.traced(ctx, v, pkg)
	if err != nil {
		return nil, err
	}
	plan, err := planBinding(m, q)
	if err != nil {
		return nil, err
	}
	nb, err := r.candidates(ctx, m, plan, q)
	if err != nil {
		return nil, err
	}
	return nb, r.seal(ctx, nb, m)
}

// standing finds the verified binding that a request by digests alone names.
// No registry is needed for what was proven before.
func (r *Repository) standing(ctx context.Context, q BindRequest) (lock.Binding, bool) {
	v, err := r.Lock.ChartVersion(ctx, q.Chart)
	if err != nil {
		return lock.Binding{}, false
	}
	m := traced{version: v, trace: unrendered(render.Failure{Reason: render.Off})}
	if t, ok := r.traceOf(ctx, v.Package); ok {
		m.trace = t
	}
	plan, err := planBinding(m, q)
	if err != nil || len(plan) == 0 {
		return lock.Binding{}, false
	}
	images := map[ref.Role]ref.Image{}
	for _, p := range plan {
		if p.image.Digest.IsZero() {
			return lock.Binding{}, false
		}
		images[p.role] = ref.Image{Repository: p.image.Repository, Digest: p.image.Digest}
	}
	b, err := r.Lock.Binding(ctx, ref.BindingIDOf(v.Package, images))
	return b, err == nil && b.State == model.Verified
}

// Bind binds a published version: to the images that it names, as their tags
// are today, or to the given ones.
func (r *Repository) Bind(ctx context.Context, op lock.Op, q BindRequest) (b lock.Binding, existed bool, err error) {
	if b, ok := r.standing(ctx, q); ok {
		return b, true, nil
	}
	nb, err := r.prepare(ctx, q)
	if err != nil {
		if errors.Is(err, ErrUnavailable) || errors.Is(err, errNotUnderstood) || errors.Is(err, errTwice) {
			err = errors.Join(err, r.Lock.SetUnbound(ctx, q.Chart, err.Error()))
		}
		return lock.Binding{}, false, err
	}
	err = r.withSealed(ctx, nb, func() (err error) {
		b, existed, err = r.Lock.Bind(ctx, op, nb.NewBinding)
		return err
	})
	return b, existed, err
}

// Revoke ends a binding.
func (r *Repository) Revoke(ctx context.Context, op lock.Op, id ref.BindingID, reason string) (lock.Binding, error) {
	b, err := r.Lock.Revoke(ctx, op, id, reason)
	if err != nil {
		return b, err
	}
	return b, r.refresh(ctx)
}

// AdoptRequest makes revision 1 of an environment from what runs today.
type AdoptRequest struct {
	Env     ref.Env
	Chart   string // needed where the environment does not exist
	Version string
	Images  map[ref.Role]ref.Reference
	Reason  string
	// AssumePassed counts what runs today as passed.
	AssumePassed bool
}

// Adopt records what runs today, proven or not.
func (r *Repository) Adopt(ctx context.Context, op lock.Op, q AdoptRequest) (p lock.Pin, err error) {
	name := q.Chart
	if name == "" {
		e, err := r.Lock.Environment(ctx, q.Env)
		if err != nil {
			return p, err
		}
		name = e.Chart
	}
	v, err := r.Lock.FindVersion(ctx, name, q.Version)
	if err != nil {
		return p, err
	}
	nb, err := r.prepare(ctx, BindRequest{Chart: v.Chart, Images: q.Images, Declare: true, Reason: "adopted: " + q.Reason})
	if err != nil {
		return p, err
	}
	// Declaring lets an unreadable base pass here; what evidence there is,
	// and whether it is enough, is judged without it.
	nb.Declare = false
	err = r.withSealed(ctx, nb, func() (err error) {
		p, err = r.Lock.AdoptPin(ctx, op, lock.NewAdoption{Env: q.Env, Chart: q.Chart, Binding: nb.NewBinding, Reason: q.Reason, AssumePassed: q.AssumePassed})
		return err
	})
	return p, err
}
