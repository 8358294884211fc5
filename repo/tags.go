package repo

import (
	"context"
	"fmt"

	"chartd.dev/chartd/internal/ref"
)

// TagNow is a tag by which an image of a binding, or its base, was found, and
// the digest that is behind it now.
type TagNow struct {
	Role  ref.Role
	Base  bool
	Image ref.Image // as it was bound
	Tag   string
	Now   ref.Digest // zero with Err
	Err   error      // why the registry does not say
}

// TagsNow asks the registries for the tags of a binding, each once. Nothing is
// written, and the binding stays what it is.
func (r *Repository) TagsNow(ctx context.Context, id ref.BindingID) ([]TagNow, error) {
	b, err := r.Lock.Binding(ctx, id)
	if err != nil {
		return nil, err
	}
	var out []TagNow
	for _, i := range b.Images {
		if i.Tag != "" {
			out = append(out, TagNow{Role: i.Role, Image: i.Image, Tag: i.Tag})
		}
		if i.BaseTag != "" && i.Base != i.Image {
			out = append(out, TagNow{Role: i.Role, Base: true, Image: i.Base, Tag: i.BaseTag})
		}
	}
	if r.Resolver == nil && len(out) > 0 {
		return nil, fmt.Errorf("%w: the server asks no registry", ErrUnavailable)
	}
	for n := range out {
		t := &out[n]
		image, err := r.Resolver.Resolve(ctx, ref.Reference{Repository: t.Image.Repository, Tag: t.Tag})
		if err != nil {
			t.Err = fmt.Errorf("resolve %s:%s: %w", t.Image.Repository, t.Tag, err)
			continue
		}
		t.Now = image.Image.Digest
	}
	return out, nil
}
