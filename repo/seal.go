package repo

import (
	"context"
	"encoding/json"
	"fmt"

	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/sealing"
	"chartd.dev/chartd/lock"
)

// sealedBinding is a binding with the bytes of its sealed packages, none where
// there is no seal.
type sealedBinding struct {
	lock.NewBinding
	sealed [][]byte
}

// seal makes the sealed package of the binding. One that takes too long to prove
// is none: the next bind tries again.
func (r *Repository) seal(ctx context.Context, nb *sealedBinding, t traced) error {
	waiting, cancel := context.WithTimeout(ctx, r.RenderTimeout)
	defer cancel()
	err := r.sealForms(waiting, nb, t)
	if err != nil && ctx.Err() == nil && waiting.Err() != nil {
		nb.Unsealed = fmt.Sprintf("it was not proven within %s; bind it again", r.RenderTimeout)
		return nil
	}
	return err
}

// sealForms makes the sealed package, and its form without guards.
func (r *Repository) sealForms(ctx context.Context, nb *sealedBinding, t traced) error {
	o := r.archiveOptions(t.version.Imported)
	images := map[ref.Role]archive.SealImage{}
	for _, c := range nb.Images {
		images[c.Role] = archive.SealImageOf(c.Image.Image, c.Tag)
	}
	if len(images) == 0 {
		nb.Unsealed = "the chart names no image for a required role"
		return nil
	}
	s, err := sealing.Make(ctx, r.prove, sealing.Request{
		Key: t.version.Chart.Name(), Package: t.pkg, Trace: t.trace, Images: images, Values: t.values, Options: o,
	})
	if err != nil {
		return fmt.Errorf("seal %s: %w", t.version.Chart, err)
	}
	record, err := json.Marshal(s.Record)
	if err != nil {
		return fmt.Errorf("seal %s: %w", t.version.Chart, err)
	}
	nb.Unsealed, nb.Seal = s.Reason, &lock.Seal{Record: record, Unproven: s.Record.Unproven, Unguarded: s.Record.Unguarded}
	if s.Package == nil {
		return nil
	}
	nb.Sealed, nb.SealSize, nb.sealed = ref.DigestOf(s.Package), int64(len(s.Package)), [][]byte{s.Package}
	if len(s.Record.Guards) > 0 {
		plain, err := s.Record.Plain().Remake(t.pkg, images, o)
		if err != nil {
			return fmt.Errorf("seal %s without guards: %w", t.version.Chart, err)
		}
		nb.Seal.Forms = []lock.SealedForm{{Plain: true, Sealed: ref.DigestOf(plain), Size: int64(len(plain))}}
		nb.sealed = append(nb.sealed, plain)
	}
	return nil
}

// resealed are the sealed packages of a binding, made again.
func (r *Repository) resealed(b lock.Binding, pkg []byte, o archive.Options) ([][]byte, error) {
	record, err := recordOf(b)
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for _, f := range b.SealedForms() {
		data, err := formOf(record, f).Remake(pkg, sealImages(b.Images), o)
		if err != nil {
			return nil, err
		}
		if ref.DigestOf(data) == f.Sealed {
			out = append(out, data)
		}
	}
	return out, nil
}

// recordOf is how a binding's package was sealed.
func recordOf(b lock.Binding) (sealing.Record, error) {
	if b.Seal == nil {
		return sealing.Parse(nil)
	}
	return sealing.Parse(b.Seal.Record)
}

func formOf(r sealing.Record, f lock.SealedForm) sealing.Record {
	if f.Plain {
		return r.Plain()
	}
	return r
}

// withSealed stores the sealed packages, runs the transaction that names them,
// and refreshes the index.
func (r *Repository) withSealed(ctx context.Context, nb *sealedBinding, commit func() error) error {
	var ends []func(error)
	end := func(err error) {
		for _, e := range ends {
			e(err)
		}
	}
	for _, data := range nb.sealed {
		_, stored, err := r.put(ctx, data)
		if err != nil {
			end(err)
			return err
		}
		ends = append(ends, stored)
	}
	err := commit()
	end(err)
	if err != nil {
		return err
	}
	return r.refresh(ctx)
}

// Proof says in what a sealed package differs from the original: in the
// spliced scalars, in the guards, and in nothing else.
type Proof struct {
	Original ref.Digest
	Sealed   ref.Digest
	archive.Difference
}

// SealProof compares the sealed package of a binding with the original.
func (r *Repository) SealProof(ctx context.Context, id ref.BindingID) (Proof, error) {
	blob, err := r.Sealed(ctx, id, ref.Digest{})
	if err != nil {
		return Proof{}, err
	}
	b, err := r.Lock.Binding(ctx, id)
	if err != nil {
		return Proof{}, err
	}
	record, err := recordOf(b)
	if err != nil {
		return Proof{}, err
	}
	original, err := r.read(ctx, b.Package)
	if err != nil {
		return Proof{}, err
	}
	sealed, err := r.read(ctx, blob.Digest)
	if err != nil {
		return Proof{}, err
	}
	d, err := record.Compare(original, sealed, imagesIn(b.Images), r.archiveOptions(true))
	return Proof{b.Package, blob.Digest, d}, err
}

func imagesIn(images []lock.BoundImage) []archive.SealImage {
	var out []archive.SealImage
	for _, i := range images {
		out = append(out, archive.SealImageOf(i.Image, i.Tag))
	}
	return out
}

// Sealed finds a sealed package of a binding: its own, or the form of that
// digest.
func (r *Repository) Sealed(ctx context.Context, id ref.BindingID, form ref.Digest) (Blob, error) {
	b, err := r.Lock.Binding(ctx, id)
	if err != nil {
		return Blob{}, err
	}
	v, err := r.Lock.ChartVersion(ctx, b.Chart)
	if err != nil {
		return Blob{}, err
	}
	if form.IsZero() {
		form = b.Sealed
	}
	for _, f := range b.SealedForms() {
		if f.Sealed == form {
			return sealedBlob(v, b, f)
		}
	}
	if b.Sealed.IsZero() {
		return sealedBlob(v, b, lock.SealedForm{})
	}
	return Blob{}, fmt.Errorf("%w: binding %s has no sealed package %s", lock.ErrNotFound, b.ID, form)
}

// overlay is the values file by which the original renders what the sealed
// package does.
func overlay(p *archive.Package, b lock.Binding, prefix string) ([]byte, error) {
	record, err := recordOf(b)
	if err != nil {
		return nil, err
	}
	if len(record.Settings) > 0 {
		return record.Overlay(prefix)
	}
	return p.Overlay(sealImages(b.Images), prefix)
}
