package lock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chartd.dev/chartd/internal/ref"
)

// IndexLine is what the index shows of a chart version: the version and its
// default binding.
type IndexLine struct {
	Chart   ChartVersion
	Binding *Binding
}

// IndexChanges is the difference between two index generations.
type IndexChanges struct {
	Generation uint64    // the newest one
	At         time.Time // when it came about
	Lines      []IndexLine
}

// IndexSince returns the lines that changed after generation gen, each once,
// as they are now. With gen 0 it returns every chart version.
func (l *Lockfile) IndexSince(ctx context.Context, gen uint64) (IndexChanges, error) {
	return view(ctx, l, func(t Tx) (IndexChanges, error) {
		var out IndexChanges
		n, err := t.Count(bucketGenerations)
		if err != nil || n <= gen {
			out.Generation = gen
			return out, err
		}
		last, err := get[Generation](t, bucketGenerations, number(n))
		if err != nil {
			return out, fmt.Errorf("read index generation %d: %w", n, err)
		}
		out.Generation, out.At = n, last.At
		add := func(v ChartVersion) error {
			line := IndexLine{Chart: v}
			if !v.Default.IsZero() {
				b, err := get[Binding](t, bucketBindings, v.Default.String())
				if err != nil {
					return fmt.Errorf("read binding %s of %s: %w", v.Default, v.Chart, err)
				}
				line.Binding = &b
			}
			out.Lines = append(out.Lines, line)
			return nil
		}
		if gen == 0 {
			return out, t.Scan(bucketCharts, ScanOptions{}, func(k string, raw []byte) error {
				var v ChartVersion
				if err := decode(bucketCharts, k, raw, &v); err != nil {
					return err
				}
				return add(v)
			})
		}
		seen := map[ref.ChartVersion]bool{}
		return out, t.Scan(bucketGenerations, ScanOptions{From: number(gen + 1)}, func(k string, raw []byte) error {
			var g Generation
			if err := decode(bucketGenerations, k, raw, &g); err != nil {
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
			return add(v)
		})
	})
}

// IndexGeneration returns the newest generation; 0 is the empty repository.
func (l *Lockfile) IndexGeneration(ctx context.Context) (uint64, error) {
	n, err := view(ctx, l, func(t Tx) (uint64, error) { return t.Count(bucketGenerations) })
	if errors.Is(err, ErrNoKey) {
		return 0, nil
	}
	return n, err
}
