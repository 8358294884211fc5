package lock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock/store"
)

// maxRoles bounds the images of one binding, so that a binding stays within
// the limits of a transaction.
const maxRoles = 8

// NewBinding is a binding to make. Everything in it was read before the
// transaction; what it proves is judged in it.
type NewBinding struct {
	Chart    ref.ChartVersion
	Package  ref.Digest
	Images   []Candidate
	Declare  bool   // accept on the caller's word what evidence does not show
	Reason   string // of a declaration
	Adopt    bool   // record it even where it is refused, as unverified
	Sealed   ref.Digest
	SealSize int64
	Unsealed string // why there is no sealed package
	Seal     *Seal

	// What rendering the chart showed.
	Requires  []ref.Role // roles that need an image; nil: those that the values require
	Unshown   string     // why it does not show all of the images, or that there are none
	Rendering *Rendering // to be kept; nil for none
}

// ID is the identity that the binding will have.
func (nb NewBinding) ID() ref.BindingID {
	required := map[ref.Role]ref.Image{}
	for _, c := range nb.Images {
		if c.Required {
			required[c.Role] = c.Image.Image
		}
	}
	return ref.BindingIDOf(nb.Package, required)
}

// bound is the stored answer of Bind.
type bound struct {
	Binding Binding `json:"binding"`
	Existed bool    `json:"existed,omitempty"`
}

// Bind binds a published chart version to images, or refuses with a *Refusal.
func (l *Lockfile) Bind(ctx context.Context, op Op, nb NewBinding) (b Binding, existed bool, err error) {
	if err := checkReason(nb.Reason); err != nil {
		return Binding{}, false, err
	}
	out, err := run(ctx, l, op, func(c *change) (bound, error) {
		v, err := getChart(c, nb.Chart)
		if err != nil {
			return bound{}, err
		}
		existed := slices.Contains(v.Bindings, nb.ID())
		b, changed, err := bind(c, &v, nb)
		if err == nil {
			err = c.keepRendering(nb.Rendering)
		}
		if err != nil || !changed {
			return bound{b, existed}, err
		}
		return bound{b, existed}, errors.Join(
			put(c, bucketCharts, chartKey(v.Chart), v),
			c.touchIndex(v.Chart),
			c.journal(verbBind, v.Chart.String(), b),
		)
	})
	return out.Binding, out.Existed, err
}

// bind judges the images and writes the binding. It changes v, which the
// caller writes, and reports whether anything changed. A refusal leaves
// nothing written.
func bind(c *change, v *ChartVersion, nb NewBinding) (Binding, bool, error) {
	if err := checkBinding(v, nb); err != nil {
		return Binding{}, false, err
	}
	b := Binding{
		Format: FormatVersion, ID: nb.ID(), Chart: v.Chart, Package: nb.Package, Evidence: nb.withoutImages(), State: model.Verified,
		Sealed: nb.Sealed, SealSize: nb.SealSize, Unsealed: nb.Unsealed, Seal: nb.Seal, At: c.now, By: c.op.Actor.Name,
	}
	old, err := get[Binding](c, bucketBindings, b.ID.String())
	known := err == nil
	if !known && !errors.Is(err, store.ErrNoKey) {
		return Binding{}, false, err
	}
	if old.State == model.Revoked {
		return old, false, fail(ErrRefused, "binding %s of %s was revoked (%s) and stays so: bind another image", b.ID, b.Chart, old.Why)
	}
	for _, cand := range nb.Images {
		evidence, err := judge(c, cand, nb)
		var no *Refusal
		switch {
		case errors.As(err, &no) && old.State == model.Verified:
			// It was proven when it was made; what its tags name today does
			// not undo that.
			moved, err := keepImages(c, v, nb)
			return old, moved, err
		case errors.As(err, &no) && nb.Adopt:
			b.State, b.Why = model.Unverified, no.Facts
			evidence = model.Declared
		case err != nil:
			return Binding{}, false, err
		}
		b.Images = append(b.Images, boundImage(cand, evidence))
		if cand.Required && evidence.Rank() > b.Evidence.Rank() {
			b.Evidence = evidence
		}
	}
	if b.Evidence == model.ValuesOnly || slices.ContainsFunc(b.Images, func(i BoundImage) bool { return i.Evidence == model.ValuesOnly }) {
		b.Unshown = nb.Unshown
	}
	slices.SortFunc(b.Images, func(x, y BoundImage) int { return cmp.Compare(x.Role, y.Role) })
	if b.Evidence == model.Declared && b.Why == "" {
		b.Why = nb.Reason
	}
	if known {
		sealed := old.Sealed.IsZero() && !b.Sealed.IsZero() && b.Evidence.Rank() <= old.Evidence.Rank()
		if better := b.State == model.Verified && (old.State != model.Verified || sealed || b.Evidence.Rank() < old.Evidence.Rank()); !better {
			moved, err := keepImages(c, v, nb)
			return old, moved, err
		}
		b.keep(old)
	}
	return b, true, writeBinding(c, v, b, nb)
}

// checkBinding holds the request against the chart version: each role stands
// once, and every role that the chart requires is there.
func checkBinding(v *ChartVersion, nb NewBinding) error {
	if v.State != model.Listed && !(nb.Adopt && v.State == model.Yanked) {
		return fail(ErrRefused, "%s was %s: it takes no new binding", v.Chart, v.State)
	}
	if v.Package != nb.Package {
		return fail(ErrRefused, "%s is package %s, not %s", v.Chart, v.Package, nb.Package)
	}
	if nb.Declare && nb.Reason == "" {
		return fail(ErrInvalid, "a declared binding of %s needs a reason: it stands in every later view", v.Chart)
	}
	if len(nb.Images) > maxRoles {
		return fail(ErrRefused, "a binding has at most %d images, this one has %d", maxRoles, len(nb.Images))
	}
	required := map[ref.Role]bool{}
	for _, cand := range nb.Images {
		if _, twice := required[cand.Role]; twice {
			return fail(ErrInvalid, "role %q stands twice in the binding of %s", cand.Role, v.Chart)
		}
		required[cand.Role] = cand.Required
	}
	for _, role := range nb.requires(v) {
		if !required[role] {
			return fail(ErrInvalid, "%s requires an image for role %q, and the binding has none", v.Chart, role)
		}
	}
	return nil
}

func (nb NewBinding) requires(v *ChartVersion) []ref.Role {
	if nb.Requires != nil {
		return nb.Requires
	}
	var out []ref.Role
	for _, i := range v.Images {
		if i.Required {
			out = append(out, i.Role)
		}
	}
	return out
}

// withoutImages is the evidence of a binding that has none.
func (nb NewBinding) withoutImages() model.Evidence {
	if len(nb.Images) == 0 && nb.Unshown != "" {
		return model.ValuesOnly
	}
	return model.NoImages
}

// keep takes over from the binding that was there what a later proof does not
// change: the sealed package, which is served for ever, and the tags in it. What
// had none takes the one that was found.
func (b *Binding) keep(old Binding) {
	b.At, b.By = old.At, old.By
	if old.Sealed.IsZero() && !b.Sealed.IsZero() {
		return
	}
	b.Sealed, b.SealSize, b.Unsealed, b.Seal = old.Sealed, old.SealSize, old.Unsealed, old.Seal
	for i := range b.Images {
		for _, was := range old.Images {
			if was.Role == b.Images[i].Role {
				b.Images[i].Tag = was.Tag
			}
		}
	}
}

func boundImage(cand Candidate, e model.Evidence) BoundImage {
	out := BoundImage{Role: cand.Role, Image: cand.Image.Image, Tag: cand.Tag, Evidence: e, Required: cand.Required}
	if e == model.BaseLayers && cand.Own != nil {
		out.Base, out.BaseTag = cand.Own.Image, cand.OwnRef.Tag
	}
	return out
}

func writeBinding(c *change, v *ChartVersion, b Binding, nb NewBinding) error {
	if _, err := keepImages(c, v, nb); err != nil {
		return err
	}
	for _, cand := range nb.Images {
		if err := keepBase(c, v.Chart, cand); err != nil {
			return err
		}
	}
	if !slices.Contains(v.Bindings, b.ID) {
		v.Bindings = append(v.Bindings, b.ID)
	}
	err := put(c, bucketBindings, b.ID.String(), b)
	for _, f := range b.SealedForms() {
		err = errors.Join(err, c.useBlob(f.Sealed, blobUse{v.Chart, "sealed", f.Size}))
	}
	if err != nil {
		return err
	}
	v.Unbound, v.BindAgain = "", false
	return chooseDefault(c, v)
}

// chooseDefault sets the default binding anew.
func chooseDefault(c *change, v *ChartVersion) error {
	var list []Binding
	for _, id := range v.Bindings {
		b, err := get[Binding](c, bucketBindings, id.String())
		if err != nil {
			return fmt.Errorf("read binding %s of %s: %w", id, v.Chart, err)
		}
		list = append(list, b)
	}
	v.Default = defaultOf(list)
	return nil
}

// defaultOf is the newest verified binding of a list, oldest first; one that
// rests on somebody's word only where no proven one is there.
func defaultOf(list []Binding) ref.BindingID {
	var id ref.BindingID
	proven := false
	for _, b := range list {
		if b.State == model.Verified && (b.Evidence.Proof() || !proven) {
			id, proven = b.ID, proven || b.Evidence.Proof()
		}
	}
	return id
}

// Revoke ends a binding: no new pin may use it, a rollback neither.
func (l *Lockfile) Revoke(ctx context.Context, op Op, id ref.BindingID, reason string) (Binding, error) {
	return run(ctx, l, op, func(c *change) (Binding, error) {
		b, err := getBinding(c, id)
		if err != nil || b.State == model.Revoked {
			return b, err
		}
		if reason == "" {
			return b, fail(ErrInvalid, "revoking binding %s needs a reason", id)
		}
		if err := checkReason(reason); err != nil {
			return b, err
		}
		v, err := getChart(c, b.Chart)
		if err != nil {
			return b, err
		}
		b.State, b.Why = model.Revoked, reason
		if err := put(c, bucketBindings, id.String(), b); err != nil {
			return b, err
		}
		if err := chooseDefault(c, &v); err != nil {
			return b, err
		}
		return b, errors.Join(
			put(c, bucketCharts, chartKey(v.Chart), v),
			c.touchIndex(v.Chart),
			c.journal(verbRevoke, id.String(), map[string]string{"chart": b.Chart.String(), "reason": reason}),
		)
	})
}

func getBinding(t store.Tx, id ref.BindingID) (Binding, error) {
	b, err := decodedBindings.Get(t, bucketBindings, id.String())
	if errors.Is(err, store.ErrNoKey) {
		err = fail(ErrNotFound, "there is no binding %s", id)
	}
	return b, err
}

// readBinding also tells which of its tags point elsewhere today.
func readBinding(t store.Tx, id ref.BindingID) (Binding, error) {
	b, err := getBinding(t, id)
	if err != nil {
		return b, err
	}
	for _, i := range b.Images {
		for _, tagged := range []struct {
			image ref.Image
			tag   string
		}{{i.Image, i.Tag}, {i.Base, i.BaseTag}} {
			if tagged.tag == "" || tagged.image.IsZero() {
				continue
			}
			last, seen, err := lastObservation(t, tagged.image.Repository, tagged.tag)
			if err != nil {
				return b, err
			}
			if seen && last.Digest != tagged.image.Digest {
				b.Moved = append(b.Moved, fmt.Sprintf("%s:%s is %s since %s", tagged.image.Repository, tagged.tag, short(last.Digest), last.At.Format("2006-01-02")))
			}
		}
	}
	return b, nil
}

// Binding returns a binding and the tags of its images that have moved.
func (l *Lockfile) Binding(ctx context.Context, id ref.BindingID) (Binding, error) {
	return view(ctx, l, func(t store.Tx) (Binding, error) { return readBinding(t, id) })
}

// Bindings returns several bindings by their IDs, from one snapshot.
func (l *Lockfile) Bindings(ctx context.Context, ids []ref.BindingID) (map[ref.BindingID]Binding, error) {
	return byID(ctx, l, ids, readBinding)
}

// ImagesOf returns the images of several bindings, which the caller does not
// change, from one snapshot.
func (l *Lockfile) ImagesOf(ctx context.Context, ids []ref.BindingID) (map[ref.BindingID][]BoundImage, error) {
	return byID(ctx, l, ids, func(t store.Tx, id ref.BindingID) ([]BoundImage, error) {
		b, err := getBinding(t, id)
		return b.Images, err
	})
}

// byID reads something of each binding, once.
func byID[T any](ctx context.Context, l *Lockfile, ids []ref.BindingID, read func(store.Tx, ref.BindingID) (T, error)) (map[ref.BindingID]T, error) {
	return view(ctx, l, func(t store.Tx) (map[ref.BindingID]T, error) {
		out := map[ref.BindingID]T{}
		for _, id := range ids {
			if _, ok := out[id]; ok {
				continue
			}
			v, err := read(t, id)
			if err != nil {
				return nil, err
			}
			out[id] = v
		}
		return out, nil
	})
}

// BoundImages returns the images of a binding, which the caller does not
// change.
func (l *Lockfile) BoundImages(ctx context.Context, id ref.BindingID) ([]BoundImage, error) {
	return l.images.Get(ctx, l, id.String(), func(l *Lockfile) ([]BoundImage, error) {
		return view(ctx, l, func(t store.Tx) ([]BoundImage, error) {
			b, err := getBinding(t, id)
			return b.Images, err
		})
	})
}

// BindingsOf returns the bindings of a chart version, oldest first.
func (l *Lockfile) BindingsOf(ctx context.Context, chart ref.ChartVersion) ([]Binding, error) {
	return view(ctx, l, func(t store.Tx) ([]Binding, error) {
		v, err := getChart(t, chart)
		if err != nil {
			return nil, err
		}
		var out []Binding
		for _, id := range v.Bindings {
			b, err := readBinding(t, id)
			if err != nil {
				return nil, err
			}
			out = append(out, b)
		}
		return out, nil
	})
}
