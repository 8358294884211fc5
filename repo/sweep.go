package repo

import (
	"context"
	"errors"

	"chartd.dev/chartd/storage"
)

// Sweep removes the blobs that no chart version names: what a crash left
// before its commit point. It skips leased ones, and does nothing while a
// backup runs.
func (r *Repository) Sweep(ctx context.Context) (removed int, err error) {
	err = r.Blobs.List(ctx, func(i storage.Info) error {
		used, err := r.Lock.BlobUsed(ctx, i.Digest)
		if err != nil || used {
			return err
		}
		gone, err := r.discard(ctx, i.Digest)
		if gone {
			removed++
		}
		return errors.Join(err, ctx.Err())
	})
	return removed, err
}
