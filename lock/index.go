package lock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock/kept"
	"chartd.dev/chartd/lock/store"
)

// IndexLine is what the index shows of a chart version: the version and its
// default binding.
type IndexLine struct {
	Chart   ChartVersion
	Binding *Binding
}

// IndexChange is the newest index generation, and when it came about.
type IndexChange struct {
	Generation uint64
	At         time.Time
}

// IndexSince calls each with the lines that changed after generation gen, each
// once, as they are now; with gen 0 with every chart version, in order of the
// charts' names. It calls begin before the first, and again should it start
// over.
func (l *Lockfile) IndexSince(ctx context.Context, gen uint64, begin func(), each func(IndexLine) error) (IndexChange, error) {
	return view(ctx, l, func(t store.Tx) (IndexChange, error) {
		begin()
		n, err := t.Count(bucketGenerations)
		if err != nil || n <= gen {
			return IndexChange{Generation: gen}, err
		}
		last, err := get[Generation](t, bucketGenerations, number(n))
		if err != nil {
			return IndexChange{}, fmt.Errorf("read index generation %d: %w", n, err)
		}
		out := IndexChange{n, last.At}
		if gen == 0 {
			return out, t.Scan(bucketCharts, store.ScanOptions{}, func(k string, raw []byte) error {
				var v ChartVersion
				if err := kept.Decode(bucketCharts, k, raw, &v); err != nil {
					return err
				}
				return eachLine(t, v, each)
			})
		}
		seen := map[ref.ChartVersion]bool{}
		return out, t.Scan(bucketGenerations, store.ScanOptions{From: number(gen + 1)}, func(k string, raw []byte) error {
			var g Generation
			if err := kept.Decode(bucketGenerations, k, raw, &g); err != nil {
				return err
			}
			if seen[g.Chart] {
				return nil
			}
			seen[g.Chart] = true
			v, err := getChart(t, g.Chart)
			if err != nil {
				return err
			}
			return eachLine(t, v, each)
		})
	})
}

func eachLine(t store.Tx, v ChartVersion, each func(IndexLine) error) error {
	line := IndexLine{Chart: v}
	if !v.Default.IsZero() {
		b, err := get[Binding](t, bucketBindings, v.Default.String())
		if err != nil {
			return fmt.Errorf("read binding %s of %s: %w", v.Default, v.Chart, err)
		}
		line.Binding = &b
	}
	return each(line)
}

// IndexGenerationAt returns the record of a generation: which chart version
// moved it, and when. It tells the history of one repository from another's.
func (l *Lockfile) IndexGenerationAt(ctx context.Context, gen uint64) (Generation, error) {
	return view(ctx, l, func(t store.Tx) (Generation, error) {
		g, err := get[Generation](t, bucketGenerations, number(gen))
		if errors.Is(err, store.ErrNoKey) {
			err = fail(ErrNotFound, "there is no index generation %d", gen)
		}
		return g, err
	})
}

// IndexGeneration returns the newest generation; 0 is the empty repository.
func (l *Lockfile) IndexGeneration(ctx context.Context) (uint64, error) {
	n, err := view(ctx, l, func(t store.Tx) (uint64, error) { return t.Count(bucketGenerations) })
	if errors.Is(err, store.ErrNoKey) {
		return 0, nil
	}
	return n, err
}
