package lock

import (
	"context"
	"errors"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock/kept"
	"chartd.dev/chartd/lock/store"
)

// keepImage records an image and the digest seen behind its tag. The sequence
// of an image is that of the first chart naming it (v; nil if none does), else
// of its first observation.
func keepImage(c *change, image Image, tag string, v *ChartVersion) error {
	key := image.Image.String()
	old, err := get[Image](c, bucketImages, key)
	switch {
	case errors.Is(err, store.ErrNoKey):
		image.Format, image.At = FormatVersion, c.now
		if v != nil {
			image.Named, image.Seq, image.OrderUnknown = true, v.Seq, v.OrderUnknown
		} else if image.Seq, err = c.nextSequence(); err != nil {
			return err
		}
		err = put(c, bucketImages, key, image)
	case err == nil && v != nil && old.yields(*v):
		old.Named, old.Seq, old.OrderUnknown = true, v.Seq, v.OrderUnknown
		err = put(c, bucketImages, key, old)
	}
	if err != nil || tag == "" {
		return err
	}
	return observe(c, image.Image, tag)
}

// yields reports whether the place of the chart that names the image says more
// than the one it has: a known order beats an unknown one, the first the later.
func (i Image) yields(v ChartVersion) bool {
	if !i.Named {
		return true
	}
	if i.OrderUnknown != v.OrderUnknown {
		return i.OrderUnknown
	}
	return v.Seq < i.Seq
}

// keepImages records the images of a binding and of the chart, and reports
// whether an image or a digest behind a tag was new.
func keepImages(c *change, v *ChartVersion, nb NewBinding) (bool, error) {
	known := func() (n uint64, err error) {
		for _, bucket := range []string{bucketImages, bucketTags} {
			k, e := c.Count(bucket)
			n, err = n+k, errors.Join(err, e)
		}
		return n, err
	}
	before, err := known()
	if err != nil {
		return false, err
	}
	for _, cand := range nb.Images {
		own := cand.Own != nil && cand.Own.Image.Digest == cand.Image.Image.Digest
		var namedBy *ChartVersion
		if own {
			namedBy = v
		}
		if err := keepImage(c, cand.Image, cand.seenTag(), namedBy); err != nil {
			return false, err
		}
		if cand.Own != nil && !own {
			if err := keepImage(c, *cand.Own, cand.ownTag(), v); err != nil {
				return false, err
			}
		}
	}
	after, err := known()
	return after != before, err
}

// observe appends to the log of a tag where the digest is a new one.
func observe(c *change, image ref.Image, tag string) error {
	seen, err := observations(c, image.Repository, tag)
	if err != nil || len(seen) > 0 && seen[len(seen)-1].Digest == image.Digest {
		return err
	}
	key := image.Repository.String() + ":" + tag + "\x00" + number(uint64(len(seen)+1))
	return put(c, bucketTags, key, Observation{Digest: image.Digest, At: c.now, By: c.op.Actor.Name})
}

// Image returns what is known of an image.
func (l *Lockfile) Image(ctx context.Context, image ref.Image) (Image, error) {
	out, err := view(ctx, l, func(t store.Tx) (Image, error) { return get[Image](t, bucketImages, image.String()) })
	if errors.Is(err, store.ErrNoKey) {
		err = fail(ErrNotFound, "image %s was never read", image)
	}
	return out, err
}

// Observations returns the digests seen behind a tag, oldest first.
func (l *Lockfile) Observations(ctx context.Context, repo ref.Repository, tag string) ([]Observation, error) {
	return view(ctx, l, func(t store.Tx) ([]Observation, error) { return observations(t, repo, tag) })
}

func observations(t store.Tx, repo ref.Repository, tag string) ([]Observation, error) {
	return list[Observation](t, bucketTags, store.ScanOptions{Prefix: repo.String() + ":" + tag + "\x00"})
}

// lastObservation is the newest, if there is any.
func lastObservation(t store.Tx, repo ref.Repository, tag string) (last Observation, ok bool, err error) {
	err = t.Scan(bucketTags, store.ScanOptions{Prefix: repo.String() + ":" + tag + "\x00", Reverse: true}, func(k string, raw []byte) error {
		if err := kept.Decode(bucketTags, k, raw, &last); err != nil {
			return err
		}
		ok = true
		return store.ErrStop
	})
	return last, ok, err
}
