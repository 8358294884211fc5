// Package compare tells what differs between two pairs of chart and images: the
// images, the chart's default values and templates, and what Helm makes of them.
// The packages are checked by digest before anything in them is read.
package compare

import (
	"context"
	"fmt"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/model"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/ref"
)

// Difference is what differs between two pairs.
type Difference struct {
	A         Side          `json:"a"`
	B         Side          `json:"b"`
	Same      bool          `json:"same"` // chart package and images
	Images    []ImageChange `json:"images"`
	Values    string        `json:"values,omitempty"` // default values, as a unified diff
	Files     []FileChange  `json:"files"`            // templates
	Manifests string        `json:"manifests,omitempty"`
}

// Side is one of the two pairs.
type Side struct {
	Name    string            `json:"name"` // as it was asked for, with the revision
	Chart   string            `json:"chart"`
	Version string            `json:"version"`
	Package ref.Digest        `json:"package"`
	Binding ref.BindingID     `json:"binding,omitzero"`
	Images  []api.BoundImage  `json:"images"`
	named   map[string]string // role to image of a version that is not bound
	sealed  ref.Digest
	data    []byte
}

// ImageChange is a role that has two images; "" is none.
type ImageChange struct {
	Role string `json:"role"`
	A    string `json:"a,omitempty"`
	B    string `json:"b,omitempty"`
}

// FileChange is a template that is not the same.
type FileChange struct {
	Name   string `json:"name"`
	Change string `json:"change"` // "added", "removed", "changed"
	Plus   int    `json:"plus"`
	Minus  int    `json:"minus"`
	Diff   string `json:"diff,omitempty"`
}

// What names one side: an environment, with a revision or as it is pinned now; a
// chart version; or an entry of a lock file.
type What struct {
	Name     string // as it was asked for
	Env      ref.Env
	Revision uint64 // 0 is the present one
	Version  ref.ChartVersion
	Entry    *lockfile.Entry
}

// Pairs compares two pairs, and their manifests where there is a rendering.
func Pairs(ctx context.Context, c *client.Client, a, b What, r *Rendering) (d Difference, err error) {
	left, err := side(ctx, c, a)
	if err != nil {
		return d, err
	}
	right, err := side(ctx, c, b)
	if err != nil {
		return d, err
	}
	if d, err = between(left, right); err == nil && r != nil {
		d.Manifests, err = r.compare(ctx, c, left, right)
	}
	return d, err
}

// side reads one of the two.
func side(ctx context.Context, c *client.Client, w What) (Side, error) {
	s := Side{Name: w.Name, Images: []api.BoundImage{}}
	var err error
	switch {
	case w.Entry != nil:
		err = s.locked(ctx, c, *w.Entry)
	case !w.Env.IsZero():
		err = s.pinned(ctx, c, w)
	default:
		err = s.published(ctx, c, w.Version)
	}
	if err != nil {
		return s, err
	}
	v, err := c.Chart(ctx, s.Chart, s.Version)
	if err != nil {
		return s, err
	}
	if s.Package.IsZero() {
		s.Package = v.Package
	}
	if s.Package != v.Package {
		return s, api.Errorf(api.CodeDrift, "%s says that %s@%s is %s, and the server has %s", s.Name, s.Chart, s.Version, s.Package, v.Package)
	}
	s.data, err = c.Package(ctx, v)
	return s, err
}

// pinned is the pair of a revision.
func (s *Side) pinned(ctx context.Context, c *client.Client, w What) error {
	revision := w.Revision
	if revision == 0 {
		e, err := c.Environment(ctx, w.Env)
		if err != nil {
			return err
		}
		if e.Pin == nil {
			return api.Errorf(api.CodeNotFound, "%s is not pinned, so there is nothing to compare; pin it with %s", w.Env, advice.BumpLatest.With(model.Facts{Env: w.Env}))
		}
		revision = e.Pin.Revision
	}
	p, err := c.Revision(ctx, w.Env, revision)
	if err != nil {
		return err
	}
	s.Name = fmt.Sprintf("%s#%d", w.Env, p.Revision)
	return s.bound(ctx, c, p.Binding)
}

// bound fills the side from a binding.
func (s *Side) bound(ctx context.Context, c *client.Client, id ref.BindingID) error {
	b, err := c.Binding(ctx, id)
	if err != nil {
		return err
	}
	s.Chart, s.Version, s.Package, s.Binding, s.Images, s.sealed = b.Name, b.Version, b.Package, b.ID, b.Images, b.Sealed
	return nil
}

// published is a version with its default binding.
func (s *Side) published(ctx context.Context, c *client.Client, v ref.ChartVersion) error {
	ch, err := c.Chart(ctx, v.Name(), v.Version())
	if err != nil {
		return err
	}
	if ch.Binding != nil {
		return s.bound(ctx, c, ch.Binding.ID)
	}
	s.Chart, s.Version, s.Package, s.named = ch.Name, ch.Version, ch.Package, map[string]string{}
	for _, i := range ch.Images {
		s.named[string(i.Role)] = i.Repository + ":" + i.Tag
	}
	return nil
}

// locked is what a lock file says. The server knows the images that are not
// required, too; a binding that it does not have is compared by the lock file's.
func (s *Side) locked(ctx context.Context, c *client.Client, e lockfile.Entry) error {
	if err := s.bound(ctx, c, e.Binding); err != nil && api.CodeOf(err) != api.CodeNotFound {
		return err
	}
	if s.Binding.IsZero() {
		for _, i := range e.Images {
			s.Images = append(s.Images, api.BoundImage{Role: i.Role, Image: ref.Image{Repository: i.Repository, Digest: i.Digest}, Tag: i.Tag, Required: true})
		}
	}
	s.Chart, s.Version, s.Package, s.Binding = e.Chart.Name, e.Chart.Version, e.Chart.Digest, e.Binding
	return nil
}
