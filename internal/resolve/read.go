package resolve

import (
	"context"
	"slices"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"chartd.dev/chartd/internal/ref"
)

// read is one try, from the handshake on.
func (c *Client) read(ctx context.Context, r ref.Reference) (Image, error) {
	s, err := c.session(ctx, r.Repository)
	if err != nil {
		return Image{}, err
	}
	id := r.Tag
	if !r.Digest.IsZero() {
		id = r.Digest.String()
	}
	body, header, err := s.get(ctx, "manifests", id, r.Digest)
	if err != nil {
		return Image{}, err
	}
	m, err := parseManifest(body, header)
	if err != nil {
		return Image{}, err
	}
	out := Image{
		Image: ref.Image{Repository: r.Repository, Digest: ref.DigestOf(body)},
		Tag:   r.Tag, MediaType: m.MediaType,
	}
	if !isIndex(m.MediaType) {
		one, err := s.config(ctx, m, nil)
		if err != nil {
			return Image{}, err
		}
		out.Platforms, out.Labels = []Platform{one.Platform}, one.labels
		return out, nil
	}
	return out, s.index(ctx, m, &out)
}

// member is one platform with its labels.
type member struct {
	Platform
	labels map[string]string
}

// index reads every platform of an index.
func (s *session) index(ctx context.Context, m manifest, out *Image) error {
	entries, err := m.images()
	if err != nil {
		return err
	}
	members := make([]member, len(entries))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readsAtOnce)
	for i, d := range entries {
		group.Go(func() (err error) {
			members[i], err = s.member(ctx, d)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, one := range members {
		if i == 0 {
			out.Labels = one.labels
		}
		out.Labels = common(out.Labels, one.labels)
		// The same layers may be listed twice, compressed in two ways.
		at := slices.IndexFunc(out.Platforms, func(p Platform) bool { return p.Platform == one.Platform.Platform })
		if at < 0 {
			out.Platforms = append(out.Platforms, one.Platform)
		} else if !slices.Equal(out.Platforms[at].DiffIDs, one.DiffIDs) {
			return fail(ErrInvalid, "its index has two different images for %s", one.Platform.Platform)
		}
	}
	return nil
}

// member reads one entry of an index.
func (s *session) member(ctx context.Context, d descriptor) (member, error) {
	digest, err := d.check("manifest", maxManifest)
	if err != nil {
		return member{}, err
	}
	body, header, err := s.get(ctx, "manifests", digest.String(), digest)
	if err != nil {
		return member{}, missing(err, "manifest", digest)
	}
	if int64(len(body)) != d.Size {
		return member{}, fail(ErrMismatch, "the manifest %s has %d bytes, its index says %d", digest, len(body), d.Size)
	}
	m, err := parseManifest(body, header)
	if err != nil {
		return member{}, err
	}
	if m.MediaType != d.MediaType {
		return member{}, fail(ErrInvalid, "the manifest %s is of type %q, its index says %q", digest, m.MediaType, d.MediaType)
	}
	return s.config(ctx, m, d.Platform)
}

// config reads the configuration of an image manifest; p is the platform that
// an index gave it, if one did.
func (s *session) config(ctx context.Context, m manifest, p *platform) (member, error) {
	if m.Config == nil {
		return member{}, fail(ErrInvalid, "its manifest names no image configuration")
	}
	if t := types.MediaType(m.Config.MediaType); t != types.OCIConfigJSON && t != types.DockerConfigJSON {
		return member{}, fail(ErrInvalid, "its configuration is of type %q: this is no container image", clip(m.Config.MediaType))
	}
	digest, err := m.Config.check("image configuration", maxConfig)
	if err != nil {
		return member{}, err
	}
	body, _, err := s.get(ctx, "blobs", digest.String(), digest)
	if err != nil {
		return member{}, missing(err, "image configuration", digest)
	}
	if int64(len(body)) != m.Config.Size {
		return member{}, fail(ErrMismatch, "the image configuration %s has %d bytes, its manifest says %d", digest, len(body), m.Config.Size)
	}
	c, ids, err := parseConfig(body, len(m.Layers))
	if err != nil {
		return member{}, err
	}
	if p == nil {
		p = &c.platform
	}
	if p.normal() == "" {
		return member{}, fail(ErrInvalid, "the image with the configuration %s names no operating system and architecture", digest)
	}
	return member{Platform{p.normal(), digest, ids}, c.Config.Labels}, nil
}

// missing names the part that a registry lost: the image itself is there.
func missing(err error, what string, digest ref.Digest) error {
	if f := asFailure(err); f.kind == ErrNotFound {
		return fail(ErrNotFound, "the %s %s is missing there", what, digest)
	}
	return err
}

// common keeps the labels that both have.
func common(a, b map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range a {
		if w, ok := b[k]; ok && v == w {
			out[k] = v
		}
	}
	return out
}
