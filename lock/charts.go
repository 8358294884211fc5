package lock

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock/kept"
	"chartd.dev/chartd/lock/store"
)

// NewVersion is a chart version to publish. Of Version, the caller fills what
// the package says; sequence, time and state are given here.
type NewVersion struct {
	Version        ChartVersion
	ProvenanceSize int64
	Import         bool
	Created        time.Time // of an import; zero: undated
	Undated        bool      // of an import: its order is unknown
	Binding        *NewBinding
	Rendering      *Rendering // to be kept with it; nil for none
	// Insist makes a binding that is refused refuse the publish; otherwise the
	// chart is published unbound.
	Insist bool
}

// Published is the answer to a publish. Existed says that the same content was
// there already and nothing changed.
type Published struct {
	Chart   ChartVersion `json:"chart"`
	Binding *Binding     `json:"binding,omitempty"`
	Existed bool         `json:"existed,omitempty"`
}

// Generation is one step of the index: the chart version whose line changed.
type Generation struct {
	Chart ref.ChartVersion `json:"chart"`
	At    time.Time        `json:"at"`
}

// blobUse says what a blob is for, so that a sweep knows it.
type blobUse struct {
	Chart ref.ChartVersion `json:"chart"`
	Kind  string           `json:"kind"` // "package", "provenance", "sealed"
	Size  int64            `json:"size"`
}

func chartKey(c ref.ChartVersion) string { return c.Name() + "\x00" + c.Version() }

// Publish makes a chart version public, in one transaction with its binding:
// the commit point of publishing. The caller has stored the blobs durably.
func (l *Lockfile) Publish(ctx context.Context, op Op, nv NewVersion) (Published, error) {
	return run(ctx, l, op, func(c *change) (Published, error) { return publish(c, nv) })
}

func publish(c *change, nv NewVersion) (Published, error) {
	old, err := getChart(c, nv.Version.Chart)
	if err == nil {
		return republish(c, old, nv)
	}
	if !errors.Is(err, ErrNotFound) {
		return Published{}, err
	}
	v := nv.Version
	v.Format, v.State, v.By = FormatVersion, model.Listed, c.op.Actor.Name
	if err := checkTwins(c, &v); err != nil {
		return Published{}, err
	}
	if err := date(c, &v, nv); err != nil {
		return Published{}, err
	}
	if v.Seq, err = c.nextSequence(); err != nil {
		return Published{}, err
	}
	out := Published{Chart: v}
	if nv.Binding != nil {
		if out, err = publishBound(c, v, nv); err != nil {
			return Published{}, err
		}
	}
	verb := verbPublish
	if nv.Import {
		verb = verbImport
	}
	return out, errors.Join(
		put(c, bucketCharts, chartKey(v.Chart), out.Chart),
		put(c, bucketFiles, v.Chart.FileName(), v.Chart),
		c.useBlob(v.Package, blobUse{v.Chart, "package", v.Size}),
		c.useBlob(v.Provenance, blobUse{v.Chart, "provenance", nv.ProvenanceSize}),
		c.keepRendering(nv.Rendering),
		c.touchIndex(v.Chart),
		c.journal(verb, v.Chart.String(), out),
	)
}

func publishBound(c *change, v ChartVersion, nv NewVersion) (Published, error) {
	b, _, err := bind(c, &v, *nv.Binding)
	var no *Refusal
	if errors.As(err, &no) && !nv.Insist {
		v.Unbound = no.Facts
		return Published{Chart: v}, nil
	}
	if err != nil {
		return Published{}, err
	}
	return Published{Chart: v, Binding: &b}, nil
}

// republish answers a version that is there: the same content changes
// nothing, but may bring the provenance file that was missing.
func republish(c *change, old ChartVersion, nv NewVersion) (Published, error) {
	v := nv.Version
	if old.State != model.Listed {
		which := "this package is the same one"
		if old.Package != v.Package {
			which = fmt.Sprintf("it is %s, this package is %s", old.Package, v.Package)
		}
		return Published{}, fail(ErrExists, "%s was %s and its version cannot be used again (%s): publish a new version", v.Chart, old.State, which)
	}
	if old.Package != v.Package && old.Content != v.Content {
		return Published{}, fail(ErrExists, "%s exists with other content: published is %s, this package is %s; publish a new version", v.Chart, old.Package, v.Package)
	}
	out := Published{Chart: old, Existed: true}
	if v.Provenance.IsZero() || v.Provenance == old.Provenance {
		return out, nil
	}
	if old.Package != v.Package {
		return Published{}, fail(ErrRefused, "the provenance file signs package %s, and %s is published as %s with the same content", v.Package, v.Chart, old.Package)
	}
	var err error
	out.Chart, err = addProvenance(c, old, v.Provenance, nv.ProvenanceSize)
	return out, err
}

// AddProvenance attaches a provenance file to a version that has none.
func (l *Lockfile) AddProvenance(ctx context.Context, op Op, chart ref.ChartVersion, prov ref.Digest, size int64) (ChartVersion, error) {
	return run(ctx, l, op, func(c *change) (ChartVersion, error) {
		v, err := getChart(c, chart)
		if err != nil {
			return v, err
		}
		return addProvenance(c, v, prov, size)
	})
}

func addProvenance(c *change, v ChartVersion, prov ref.Digest, size int64) (ChartVersion, error) {
	switch {
	case v.Provenance == prov:
		return v, nil
	case v.State != model.Listed:
		return v, fail(ErrExists, "%s was %s: it takes no provenance file", v.Chart, v.State)
	case !v.Provenance.IsZero():
		return v, fail(ErrExists, "%s has another provenance file: stored is %s, this one is %s", v.Chart, v.Provenance, prov)
	}
	v.Provenance = prov
	return v, errors.Join(
		put(c, bucketCharts, chartKey(v.Chart), v),
		c.useBlob(prov, blobUse{v.Chart, "provenance", size}),
		c.journal(verbProvenance, v.Chart.String(), map[string]ref.Digest{"provenance": prov}),
	)
}

// date gives the version its creation time, which never goes back within a
// chart; an import that lies behind has an unknown order.
func date(c *change, v *ChartVersion, nv NewVersion) error {
	newest, err := get[time.Time](c, bucketNewest, v.Chart.Name())
	if err != nil && !errors.Is(err, store.ErrNoKey) {
		return err
	}
	if year := nv.Created.UTC().Year(); year > 9999 {
		return fail(ErrInvalid, "%s cannot be created in the year %d", v.Chart, year)
	}
	v.Imported = nv.Import
	v.Created = c.now
	switch {
	case nv.Import:
		// A date that is still to come would push all later ones along.
		v.OrderUnknown = nv.Undated || nv.Created.IsZero() || nv.Created.Before(newest) || nv.Created.After(c.now)
		if !nv.Created.IsZero() {
			v.Created = nv.Created // with its zone, as the old index has it
		}
		if v.OrderUnknown {
			return nil
		}
	case newest.After(c.now):
		v.Created = newest
	}
	return put(c, bucketNewest, v.Chart.Name(), v.Created)
}

// useBlob notes what a blob is for.
func (c *change) useBlob(d ref.Digest, u blobUse) error {
	if d.IsZero() {
		return nil
	}
	return put(c, bucketBlobs, d.Hex(), u)
}

// Yank hides a version from the index and from new pins; it stays fetchable.
func (l *Lockfile) Yank(ctx context.Context, op Op, chart ref.ChartVersion, reason string) (ChartVersion, error) {
	return l.retire(ctx, op, chart, retirement{model.Yanked, verbYank, reason})
}

// Purge removes a version's bytes for good: its name stays taken. It returns
// the digests of the blobs that the caller may remove now.
func (l *Lockfile) Purge(ctx context.Context, op Op, chart ref.ChartVersion, reason string) (ChartVersion, error) {
	return l.retire(ctx, op, chart, retirement{model.Purged, verbPurge, reason})
}

type retirement struct {
	state  model.ChartState
	verb   string
	reason string
}

func (l *Lockfile) retire(ctx context.Context, op Op, chart ref.ChartVersion, r retirement) (ChartVersion, error) {
	if err := checkReason(r.reason); err != nil {
		return ChartVersion{}, err
	}
	return run(ctx, l, op, func(c *change) (ChartVersion, error) {
		v, err := getChart(c, chart)
		if err != nil {
			return v, err
		}
		if v.State == r.state {
			return v, nil
		}
		if v.State == model.Purged {
			return v, fail(ErrRefused, "%s was purged: there is nothing left to %s", chart, r.verb)
		}
		v.State, v.Why = r.state, r.reason
		if r.state == model.Purged {
			if err := c.dropBlobs(v); err != nil {
				return v, err
			}
		}
		return v, errors.Join(
			put(c, bucketCharts, chartKey(chart), v),
			c.touchIndex(chart),
			c.journal(r.verb, chart.String(), map[string]string{"reason": r.reason}),
		)
	})
}

// dropBlobs forgets what the version's blobs are for, so that a sweep removes
// them.
func (c *change) dropBlobs(v ChartVersion) error {
	err := errors.Join(c.Delete(bucketBlobs, v.Package.Hex()), c.Delete(bucketRenderings, v.Package.Hex()))
	if !v.Provenance.IsZero() {
		err = errors.Join(err, c.Delete(bucketBlobs, v.Provenance.Hex()))
	}
	for _, id := range v.Bindings {
		b, e := get[Binding](c, bucketBindings, id.String())
		err = errors.Join(err, e)
		for _, f := range b.SealedForms() {
			err = errors.Join(err, c.Delete(bucketBlobs, f.Sealed.Hex()))
		}
	}
	return err
}

// SetUnbound notes why the last attempt to bind failed: bookkeeping.
func (l *Lockfile) SetUnbound(ctx context.Context, chart ref.ChartVersion, why string) error {
	return l.store.Update(ctx, func(t store.Txn) error {
		v, err := getChart(t, chart)
		if err != nil || v.Unbound == why || !v.Default.IsZero() {
			return err
		}
		v.Unbound, v.BindAgain = why, false
		return put(t, bucketCharts, chartKey(chart), v)
	})
}

func getChart(t store.Tx, chart ref.ChartVersion) (ChartVersion, error) {
	v, err := decodedCharts.Get(t, bucketCharts, chartKey(chart))
	if errors.Is(err, store.ErrNoKey) {
		err = fail(ErrNotFound, "chart version %s is not published here", chart)
	}
	return v, err
}

// ChartVersion returns a version, yanked and purged ones too.
func (l *Lockfile) ChartVersion(ctx context.Context, chart ref.ChartVersion) (ChartVersion, error) {
	return view(ctx, l, func(t store.Tx) (ChartVersion, error) { return getChart(t, chart) })
}

// FindVersion returns the version with exactly this name and version.
func (l *Lockfile) FindVersion(ctx context.Context, name, version string) (ChartVersion, error) {
	chart, err := ref.ParseImported(name, version)
	if err != nil {
		return ChartVersion{}, fail(ErrNotFound, "chart version %q is not published here", name+"@"+version)
	}
	return l.ChartVersion(ctx, chart)
}

// ByFile returns the version whose package has the given file name.
func (l *Lockfile) ByFile(ctx context.Context, file string) (ChartVersion, error) {
	return view(ctx, l, func(t store.Tx) (ChartVersion, error) {
		chart, err := get[ref.ChartVersion](t, bucketFiles, file)
		if errors.Is(err, store.ErrNoKey) {
			return ChartVersion{}, fail(ErrNotFound, "there is no package %q", file)
		}
		if err != nil {
			return ChartVersion{}, err
		}
		return getChart(t, chart)
	})
}

// Versions returns all versions of a chart, last published first.
func (l *Lockfile) Versions(ctx context.Context, name string) ([]ChartVersion, error) {
	return view(ctx, l, func(t store.Tx) ([]ChartVersion, error) { return versionsOf(t, name) })
}

func versionsOf(t store.Tx, name string) ([]ChartVersion, error) {
	all, err := list[ChartVersion](t, bucketCharts, store.ScanOptions{Prefix: name + "\x00"})
	if err == nil && len(all) == 0 {
		err = fail(ErrNotFound, "there is no chart named %q", name)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Seq > all[j].Seq })
	return all, err
}

// AllVersions returns up to limit versions in order of name and version,
// starting after the key that an earlier page gave as next.
func (l *Lockfile) AllVersions(ctx context.Context, after string, limit int) (all []ChartVersion, next string, err error) {
	from := ""
	if name, version, ok := strings.Cut(after, "@"); ok {
		from = name + "\x00" + version + "\x00"
	} else if after != "" {
		return nil, "", fail(ErrInvalid, "the page mark %q is not one of ours", after)
	}
	if err := checkLimit(limit); err != nil {
		return nil, "", err
	}
	err = l.store.View(ctx, func(t store.Tx) error {
		all, next = nil, ""
		return t.Scan(bucketCharts, store.ScanOptions{From: from}, func(k string, raw []byte) error {
			if len(all) == limit {
				next = all[limit-1].Chart.String()
				return store.ErrStop
			}
			var v ChartVersion
			if err := kept.Decode(bucketCharts, k, raw, &v); err != nil {
				return err
			}
			all = append(all, v)
			return nil
		})
	})
	return all, next, err
}

// BlobUsed reports whether any chart version needs the blob.
func (l *Lockfile) BlobUsed(ctx context.Context, d ref.Digest) (bool, error) {
	return view(ctx, l, func(t store.Tx) (bool, error) {
		_, err := t.Get(bucketBlobs, d.Hex())
		if errors.Is(err, store.ErrNoKey) {
			return false, nil
		}
		return err == nil, err
	})
}
