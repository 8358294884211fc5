package repo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/render"
	"chartd.dev/chartd/lock"
)

// Upload is a package to publish.
type Upload struct {
	Package        []byte
	Prov           []byte                     // nil: none
	Images         map[ref.Role]ref.Reference // in place of those that the chart names
	RequireBinding bool
	Import         *Import // nil for a new package
	// Waits is called before the first wait for a renderer or a registry. It
	// may be nil.
	Waits func()
	// Authorize is asked with the parsed identity before anything is compared
	// or stored; its error is returned as it is.
	Authorize func(ref.ChartVersion) error
}

// Import marks a package that is taken over from another repository: the
// rules are those of Helm, and no registry is asked.
type Import struct {
	Created      time.Time // zero: undated
	OrderUnknown bool
	// BareRequirements keeps what the requirements.yaml of a v1 chart requires
	// out of the index, where the old index did not list it: the line then
	// stays as clients know it.
	BareRequirements bool
}

// Published is the answer to a publish.
type Published = lock.Published

// Publish makes a package public. Everything that can be refused is refused
// before a byte is stored.
func (r *Repository) Publish(ctx context.Context, op lock.Op, u Upload) (Published, error) {
	nv, err := r.inspect(u)
	if err != nil {
		return Published{}, err
	}
	// One at a time for each version, so that the loser of a race stores
	// nothing at all.
	defer r.names.lock(strings.ToLower(nv.Version.Chart.String()))()
	old, err := r.Lock.ChartVersion(ctx, nv.Version.Chart)
	switch {
	case err == nil:
		return r.republish(ctx, op, u, nv, old)
	case !errors.Is(err, lock.ErrNotFound):
		return Published{}, err
	}
	return r.publishNew(ctx, op, u, nv)
}

// inspect reads a package and judges it and its provenance file.
func (r *Repository) inspect(u Upload) (lock.NewVersion, error) {
	var nv lock.NewVersion
	p, err := archive.Read(u.Package, r.archiveOptions(u.Import != nil))
	if err != nil {
		return nv, err
	}
	if u.Authorize != nil {
		if err := u.Authorize(p.Chart); err != nil {
			return nv, err
		}
	}
	if nv.Version, err = r.version(u.Package, p, u.Import != nil && u.Import.BareRequirements); err != nil {
		return nv, err
	}
	if u.Prov != nil {
		prov, err := r.keys.parseProvenance(u.Prov)
		if err == nil {
			err = prov.check(p.Chart, p.Digest)
		}
		if err != nil {
			return nv, err
		}
	}
	if u.Import != nil {
		nv.Import, nv.Created, nv.Undated = true, u.Import.Created, u.Import.OrderUnknown
	}
	return nv, nil
}

// republish answers a version that is there. Its bytes are stored again where
// they are the same: that mends a lost or damaged blob.
func (r *Repository) republish(ctx context.Context, op lock.Op, u Upload, nv lock.NewVersion, old lock.ChartVersion) (_ Published, err error) {
	if old.State != model.Purged && old.Package == nv.Version.Package {
		if err := r.mend(ctx, old, u.Package); err != nil {
			return Published{}, err
		}
	}
	if u.Prov != nil && old.State == model.Listed && (old.Provenance.IsZero() || old.Provenance == ref.DigestOf(u.Prov)) && old.Package == nv.Version.Package {
		d, end, putErr := r.put(ctx, u.Prov)
		if putErr != nil {
			return Published{}, putErr
		}
		defer func() { end(err) }()
		nv.Version.Provenance, nv.ProvenanceSize = d, int64(len(u.Prov))
	} else if u.Prov != nil {
		nv.Version.Provenance = ref.DigestOf(u.Prov)
	}
	var bound *lock.Binding
	if old.State == model.Listed && (len(u.Images) > 0 || u.RequireBinding && old.Default.IsZero()) {
		// What the caller insists on holds for a version that is there too.
		// The key belongs to the publish.
		unkeyed := op
		unkeyed.Key = ""
		waiting, cancel := context.WithTimeout(ctx, r.BindTimeout)
		defer cancel()
		b, _, err := r.Bind(waiting, unkeyed, BindRequest{Chart: old.Chart, Images: u.Images})
		if err != nil {
			return Published{}, r.timedOut(ctx, waiting, err)
		}
		bound = &b
	}
	out, err := r.Lock.Publish(ctx, op, nv)
	if err != nil {
		return out, err
	}
	if out, err = r.current(ctx, out); bound != nil {
		out.Binding = bound
	}
	return out, err
}

// current reads the version again, with its default binding as it is now.
func (r *Repository) current(ctx context.Context, out Published) (Published, error) {
	v, err := r.Lock.ChartVersion(ctx, out.Chart.Chart)
	if err != nil {
		return out, err
	}
	out.Chart = v
	if v.Default.IsZero() {
		return out, nil
	}
	b, err := r.Lock.Binding(ctx, v.Default)
	out.Binding = &b
	return out, err
}

// timedOut tells a registry that took too long from a caller that went away.
func (r *Repository) timedOut(ctx, waiting context.Context, err error) error {
	if ctx.Err() == nil && waiting.Err() != nil {
		return fmt.Errorf("%w: no answer within %s", ErrUnavailable, r.BindTimeout)
	}
	return err
}

// mend stores the package again, and what was made from it: a lost or damaged
// blob is whole after that. Sealing is deterministic, so the bytes are those of
// the binding's record; where they are not, the record stays and fsck says so.
func (r *Repository) mend(ctx context.Context, v lock.ChartVersion, pkg []byte) error {
	blobs := [][]byte{pkg}
	bindings, err := r.Lock.BindingsOf(ctx, v.Chart)
	if err != nil {
		return err
	}
	for _, b := range bindings {
		if sealed, err := r.resealed(b, pkg, r.archiveOptions(v.Imported)); err == nil {
			blobs = append(blobs, sealed...)
		}
	}
	for _, data := range blobs {
		_, end, err := r.put(ctx, data)
		if err != nil {
			return err
		}
		end(nil)
	}
	return nil
}

func (r *Repository) publishNew(ctx context.Context, op lock.Op, u Upload, nv lock.NewVersion) (out Published, err error) {
	end, err := r.storeNew(ctx, u, &nv, r.Blobs.Put)
	defer func() { end(err) }()
	if err != nil {
		return Published{}, err
	}
	// The commit point of a publish.
	out, err = r.Lock.Publish(ctx, op, nv)
	if err != nil {
		return out, err
	}
	return out, r.refresh(ctx)
}

// storeNew makes the binding of a new version and puts its blobs. The caller
// calls the returned function with the outcome of the transaction, also where
// storing failed.
func (r *Repository) storeNew(ctx context.Context, u Upload, nv *lock.NewVersion, put putFunc) (end func(error), err error) {
	ends := []func(error){}
	end = func(err error) {
		for _, end := range ends {
			end(err)
		}
	}
	nv.Insist = u.RequireBinding || len(u.Images) > 0
	nb, err := r.tryBinding(ctx, u, nv)
	if err != nil {
		return end, err
	}
	store := func(data []byte) (ref.Digest, error) {
		d, end, err := r.putInto(ctx, put, ref.DigestOf(data), data)
		ends = append(ends, end)
		return d, err
	}
	if nb != nil {
		for _, data := range nb.sealed {
			if _, err := store(data); err != nil {
				return end, err
			}
		}
		nv.Binding = &nb.NewBinding
	}
	if u.Prov != nil {
		if nv.Version.Provenance, err = store(u.Prov); err != nil {
			return end, err
		}
		nv.ProvenanceSize = int64(len(u.Prov))
	}
	_, stored, err := r.putInto(ctx, put, nv.Version.Package, u.Package)
	ends = append(ends, stored)
	return end, err
}

// tryBinding makes the binding that is published with the chart, or notes why
// there is none. It fails only where the caller insists on one, and for a chart
// that nobody could render the same twice.
func (r *Repository) tryBinding(ctx context.Context, u Upload, nv *lock.NewVersion) (*sealedBinding, error) {
	if u.Import != nil && len(nv.Version.Images) > 0 {
		return nil, unbound(u, nv, errNotYet)
	}
	nb, err := r.bindNew(ctx, u, nv)
	switch {
	case err == nil:
		return nb, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case nv.Insist && !errors.Is(err, errNoRegistry), errors.Is(err, errTwice):
		return nil, err
	}
	return nil, unbound(u, nv, err)
}

var (
	errNotYet     = errors.New("imported and not bound yet")
	errNoRegistry = errors.New("the server asks no registry")
)

// unbound notes why a version is published without a binding.
func unbound(u Upload, nv *lock.NewVersion, why error) error {
	if u.RequireBinding {
		return fmt.Errorf("%w: a binding is required and %v", ErrUnavailable, why)
	}
	nv.Version.Unbound, nv.Version.BindAgain = why.Error(), !errors.Is(why, errNotUnderstood)
	return nil
}

// bindNew renders a package that is about to be published, unless it is
// imported, and prepares its binding. Rendering, the registries and sealing have
// a time each.
func (r *Repository) bindNew(ctx context.Context, u Upload, nv *lock.NewVersion) (*sealedBinding, error) {
	m := traced{version: nv.Version, pkg: u.Package, trace: unrendered(render.Failure{Reason: render.Imported})}
	if u.Import == nil {
		if u.Waits != nil {
			u.Waits()
		}
		waiting, cancel := context.WithTimeout(ctx, r.RenderTimeout)
		defer cancel()
		var err error
		if m, err = r.traced(waiting, nv.Version, u.Package); err != nil && waiting.Err() != nil {
			return nil, notRendered(r.RenderTimeout)
		} else if err != nil {
			return nil, err
		}
		nv.Rendering = m.fresh
	}
	q := BindRequest{Chart: nv.Version.Chart, Images: u.Images}
	plan, err := planBinding(m, q)
	if err != nil {
		return nil, err
	}
	if len(plan) > 0 && r.Resolver == nil {
		return nil, errNoRegistry
	}
	waiting, cancel := context.WithTimeout(ctx, r.BindTimeout)
	defer cancel()
	nb, err := r.candidates(waiting, m, plan, q)
	if err != nil {
		return nil, r.timedOut(ctx, waiting, err)
	}
	return nb, r.seal(ctx, nb, m)
}

// Yank hides a version from the index and from new pins.
func (r *Repository) Yank(ctx context.Context, op lock.Op, chart ref.ChartVersion, reason string) (lock.ChartVersion, error) {
	v, err := r.Lock.Yank(ctx, op, chart, reason)
	if err != nil {
		return v, err
	}
	return v, r.refresh(ctx)
}

// Purge removes the bytes of a version. The transaction is the commit point;
// the blobs go after it.
func (r *Repository) Purge(ctx context.Context, op lock.Op, chart ref.ChartVersion, reason string) (lock.ChartVersion, error) {
	v, err := r.Lock.Purge(ctx, op, chart, reason)
	if err != nil {
		return v, err
	}
	blobs := []ref.Digest{v.Package, v.Provenance}
	bindings, err := r.Lock.BindingsOf(ctx, chart)
	for _, b := range bindings {
		for _, f := range b.SealedForms() {
			blobs = append(blobs, f.Sealed)
		}
	}
	for _, d := range blobs {
		if !d.IsZero() {
			_, e := r.discard(ctx, d)
			err = errors.Join(err, e)
		}
	}
	return v, errors.Join(err, r.refresh(ctx))
}
