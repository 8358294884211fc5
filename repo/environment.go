package repo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
)

// Page is a small document with its strong entity tag.
type Page struct {
	Body        []byte
	ETag        string
	ContentType string
}

func page(body []byte, contentType string) Page {
	return Page{body, `"` + ref.DigestOf(body).Hex()[:32] + `"`, contentType}
}

// SealedName is the file name of a sealed package. It carries the digest, so
// that no client's cache takes one pair for another.
func SealedName(chart ref.ChartVersion, sealed ref.Digest) string {
	return fmt.Sprintf("%s-%s.sealed-%s.tgz", chart.Name(), chart.Version(), sealed.Hex()[:16])
}

// EnvironmentIndex is the index of an environment repository: exactly the
// pinned version, as its sealed package. URLs are local to it.
func (r *Repository) EnvironmentIndex(ctx context.Context, env ref.Env) (Page, error) {
	return r.pages.Get(ctx, r.Lock, "environment "+env.String(), func(l *lock.Lockfile) (Page, error) {
		return environmentIndex(ctx, l, env)
	})
}

func environmentIndex(ctx context.Context, l *lock.Lockfile, env ref.Env) (Page, error) {
	s, err := l.Environment(ctx, env)
	if err != nil {
		return Page{}, err
	}
	if s.Pin == nil {
		return smallIndex(nil, s.Created, "environment "+env.String()+" has no pin yet")
	}
	v, err := l.ChartVersion(ctx, s.Pin.Chart)
	if err != nil {
		return Page{}, err
	}
	from := lock.IndexLine{Chart: v, Binding: s.Binding}
	switch {
	case !s.Binding.Sealed.IsZero():
		from.Chart.Package = s.Binding.Served(s.Policy).Sealed
		return pinnedIndex(from, *s.Pin, "sealed/"+SealedName(v.Chart, from.Chart.Package))
	case len(s.Binding.Images) == 0:
		return pinnedIndex(from, *s.Pin, fmt.Sprintf("revisions/%d/%s", s.Pin.Revision, v.Chart.FileName()))
	}
	return smallIndex(nil, s.Pin.At, fmt.Sprintf("%s cannot be sealed (%s): use revisions/%d/ with its values.yaml", v.Chart, s.Binding.Unsealed, s.Pin.Revision))
}

// RevisionIndex is the index of one revision: an immutable repository with the
// original package.
func (r *Repository) RevisionIndex(ctx context.Context, env ref.Env, revision uint64) (Page, error) {
	return r.pages.Get(ctx, r.Lock, fmt.Sprintf("revision %d of %s", revision, env), func(l *lock.Lockfile) (Page, error) {
		p, b, err := l.PinnedState(ctx, env, revision)
		if err != nil {
			return Page{}, err
		}
		v, err := l.ChartVersion(ctx, p.Chart)
		if err != nil {
			return Page{}, err
		}
		return pinnedIndex(lock.IndexLine{Chart: v, Binding: &b}, p, v.Chart.FileName())
	})
}

func pinnedIndex(from lock.IndexLine, p lock.Pin, url string) (Page, error) {
	raw, err := entry(from, []string{url}, map[string]string{
		annotationEnv: p.Env.String(), annotationRevision: strconv.FormatUint(p.Revision, 10),
	})
	if err != nil {
		return Page{}, err
	}
	return smallIndex(&named{p.Chart.Name(), raw}, p.At, "")
}

type named struct {
	name string
	line json.RawMessage
}

// smallIndex is an index with at most one line. Why says why there is none.
func smallIndex(n *named, at time.Time, why string) (Page, error) {
	var b bytes.Buffer
	b.WriteString(`{"apiVersion":"v1",`)
	if why != "" {
		raw, err := json.Marshal(map[string]string{"chartd.dev/why-empty": why})
		if err != nil {
			return Page{}, err
		}
		fmt.Fprintf(&b, `"annotations":%s,`, raw)
	}
	b.WriteString(`"entries":{`)
	if n != nil {
		fmt.Fprintf(&b, `%q:[%s]`, n.name, n.line)
	}
	writeTail(&b, "", at)
	return page(readable(b.Bytes()), indexContentType), nil
}

// SealedPackage finds a sealed package by its file name; it answers for ever,
// whatever the environment is pinned to by now.
func (r *Repository) SealedPackage(ctx context.Context, env ref.Env, file string) (Blob, error) {
	return r.files.Get(ctx, r.Lock, env.String()+" "+file, func(l *lock.Lockfile) (Blob, error) {
		return sealedPackage(ctx, l, env, file)
	})
}

func sealedPackage(ctx context.Context, l *lock.Lockfile, env ref.Env, file string) (Blob, error) {
	if _, err := l.Environment(ctx, env); err != nil {
		return Blob{}, err
	}
	nothing := fmt.Errorf("%w: there is no sealed package %q", lock.ErrNotFound, file)
	base, ok := strings.CutSuffix(file, ".tgz")
	i := strings.LastIndex(base, ".sealed-")
	if !ok || i < 0 {
		return Blob{}, nothing
	}
	v, err := l.ByFile(ctx, base[:i]+".tgz")
	if err != nil {
		return Blob{}, nothing
	}
	bindings, err := l.BindingsOf(ctx, v.Chart)
	if err != nil {
		return Blob{}, err
	}
	for _, b := range bindings {
		for _, f := range b.SealedForms() {
			if SealedName(v.Chart, f.Sealed) == file {
				return sealedBlob(v, b, f)
			}
		}
	}
	return Blob{}, nothing
}

func sealedBlob(v lock.ChartVersion, b lock.Binding, f lock.SealedForm) (Blob, error) {
	switch {
	case v.State == model.Purged:
		return Blob{}, fmt.Errorf("%w: %s was purged: %s", lock.ErrNotFound, v.Chart, v.Why)
	case f.Sealed.IsZero():
		return Blob{}, fmt.Errorf("%w: binding %s has no sealed package: %s", lock.ErrNotFound, b.ID, b.Unsealed)
	}
	return Blob{Chart: v.Chart.Name(), Digest: f.Sealed, Size: f.Size, Name: SealedName(v.Chart, f.Sealed), Created: b.At}, nil
}

// RevisionPackage finds the original package of a revision, or its provenance
// file, by file name.
func (r *Repository) RevisionPackage(ctx context.Context, env ref.Env, revision uint64, file string) (Blob, error) {
	p, err := r.Lock.Pin(ctx, env, revision)
	if err != nil {
		return Blob{}, err
	}
	if file != p.Chart.FileName() && file != p.Chart.FileName()+".prov" {
		return Blob{}, fmt.Errorf("%w: revision %d of %s is %s and has no file %q", lock.ErrNotFound, revision, env, p.Chart, file)
	}
	return r.Package(ctx, file)
}

// Overlay is the values file that puts a revision's images over the original
// package. A prefix is the name under which a wrapper chart has the chart.
func (r *Repository) Overlay(ctx context.Context, env ref.Env, revision uint64, prefix string) (Page, error) {
	name := fmt.Sprintf("overlay %q of revision %d of %s", prefix, revision, env)
	return r.pages.Get(ctx, r.Lock, name, func(l *lock.Lockfile) (Page, error) {
		pin, b, err := l.PinnedState(ctx, env, revision)
		if err != nil {
			return Page{}, err
		}
		if prefix != "" && prefix != pin.Chart.Name() {
			return Page{}, fmt.Errorf("%w: the prefix %q is not the chart %q, and Helm ignores values under a wrong name without a word", lock.ErrInvalid, prefix, pin.Chart.Name())
		}
		p, _, err := r.loadFrom(ctx, l, pin.Chart)
		if err != nil {
			return Page{}, err
		}
		body, err := overlay(p, b, prefix)
		if err != nil {
			return Page{}, fmt.Errorf("overlay of %s revision %d: %w", env, revision, err)
		}
		head := fmt.Sprintf("# %s revision %d: %s, binding %s\n", env, revision, pin.Chart, b.ID)
		if b.Unsealed != "" {
			head += fmt.Sprintf("# There is no sealed package, so render this and look at it first: %q\n", b.Unsealed)
		}
		return page(append([]byte(head), body...), "application/yaml"), nil
	})
}

func sealImages(images []lock.BoundImage) map[ref.Role]archive.SealImage {
	want := map[ref.Role]archive.SealImage{}
	for _, i := range images {
		want[i.Role] = archive.SealImageOf(i.Image, i.Tag)
	}
	return want
}
