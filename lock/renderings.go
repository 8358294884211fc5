package lock

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock/store"
)

// maxRendering bounds what is kept of a rendering: the rest of a transaction
// has to fit beside it.
const maxRendering = store.MaxBytes / 2

// Rendering is what rendering showed of a package. The trace is kept as
// internal/render wrote it; the rules do not read it.
type Rendering struct {
	Format  int             `json:"format"`
	Package ref.Digest      `json:"package"`
	Engine  string          `json:"engine"` // with another one the trace may be another
	At      time.Time       `json:"at"`
	Trace   json.RawMessage `json:"trace"`
}

// Rendering returns what was kept of a package.
func (l *Lockfile) Rendering(ctx context.Context, pkg ref.Digest) (Rendering, error) {
	r, err := view(ctx, l, func(t store.Tx) (Rendering, error) { return get[Rendering](t, bucketRenderings, pkg.Hex()) })
	if errors.Is(err, store.ErrNoKey) {
		err = fail(ErrNotFound, "package %s was not rendered", pkg)
	}
	return r, err
}

// keepRendering keeps a rendering, nil for none, in place of an older one of
// the package: bookkeeping, and no part of what the transaction says.
func (c *change) keepRendering(r *Rendering) error {
	if r == nil || len(r.Trace) > maxRendering {
		return nil
	}
	kept := *r
	kept.Format, kept.At = FormatVersion, c.now
	return put(c, bucketRenderings, r.Package.Hex(), kept)
}
