package lock

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock/kept"
	"chartd.dev/chartd/lock/store"
)

// BlobUse says what a blob is for.
type BlobUse struct {
	Digest ref.Digest
	Chart  ref.ChartVersion
	Kind   string // "package", "provenance", "sealed"
	Size   int64
}

// CheckResult is what Check found in the lock file.
type CheckResult struct {
	Problems                                      []string
	Charts, Bindings, Environments, Pins, Journal int
	Blobs                                         []BlobUse
}

// checker verifies one snapshot.
type checker struct {
	store.Tx
	records // that are there
	out     CheckResult
}

// records are all that the journal speaks of, by their names.
type records struct {
	charts    map[ref.ChartVersion]ChartVersion
	bindings  map[ref.BindingID]Binding
	pins      map[string]Pin
	envs      map[ref.Env]Environment
	reports   map[string]Report
	halts     map[string]Halt
	approvals map[string]approvals
	summaries map[string]Summary
}

func newRecords() records {
	return records{
		charts: map[ref.ChartVersion]ChartVersion{}, bindings: map[ref.BindingID]Binding{}, pins: map[string]Pin{},
		envs: map[ref.Env]Environment{}, reports: map[string]Report{}, halts: map[string]Halt{},
		approvals: map[string]approvals{}, summaries: map[string]Summary{},
	}
}

// Check verifies the rules of the lock file on one snapshot, and that the
// journal reproduces what is there.
func (l *Lockfile) Check(ctx context.Context) (CheckResult, error) {
	return view(ctx, l, func(t store.Tx) (CheckResult, error) {
		c := &checker{Tx: t, records: newRecords()}
		for _, step := range []func() error{
			c.readAll, c.checkCharts, c.checkBindings, c.checkEnvironments, c.checkReports, c.checkSummaries, c.checkHalts,
			c.checkApprovals, c.checkGenerations, c.checkJournal,
		} {
			if err := step(); err != nil {
				return c.out, fmt.Errorf("check lock file: %w", err)
			}
		}
		return c.out, nil
	})
}

func (c *checker) problem(format string, args ...any) {
	c.out.Problems = append(c.out.Problems, fmt.Sprintf(format, args...))
}

// each decodes a bucket.
func each[T any](c *checker, bucket string, fn func(key string, v T) error) error {
	return c.Scan(bucket, store.ScanOptions{}, func(k string, raw []byte) error {
		var v T
		if err := kept.Decode(bucket, k, raw, &v); err != nil {
			return err
		}
		return fn(k, v)
	})
}

func (c *checker) readAll() error {
	return errors.Join(
		each(c, bucketCharts, func(k string, v ChartVersion) error {
			if k != chartKey(v.Chart) {
				c.problem("chart version %s is stored under the key %q", v.Chart, k)
			}
			c.charts[v.Chart] = v
			c.out.Charts++
			return nil
		}),
		each(c, bucketBindings, func(k string, b Binding) error {
			if k != b.ID.String() {
				c.problem("binding %s is stored under the key %q", b.ID, k)
			}
			c.bindings[b.ID] = b
			c.out.Bindings++
			return nil
		}),
		each(c, bucketBlobs, func(k string, u blobUse) error {
			d, err := ref.ParseHex(k)
			if err != nil {
				c.problem("a blob has the key %q", k)
				return nil
			}
			c.out.Blobs = append(c.out.Blobs, BlobUse{d, u.Chart, u.Kind, u.Size})
			return nil
		}),
	)
}

func (c *checker) checkCharts() error {
	seqs := map[uint64]ref.ChartVersion{}
	newest, err := get[uint64](c, bucketMeta, metaSequence)
	if err != nil && !errors.Is(err, store.ErrNoKey) {
		return err
	}
	if files, err := c.Count(bucketFiles); err != nil {
		return err
	} else if files != uint64(len(c.charts)) {
		c.problem("there are %d file names for %d chart versions", files, len(c.charts))
	}
	for chart, v := range c.charts {
		if v.Seq > newest {
			c.problem("%s has the sequence %d, and the last one given is %d", chart, v.Seq, newest)
		}
		if other, ok := seqs[v.Seq]; ok {
			c.problem("%s and %s have the same publication sequence %d", chart, other, v.Seq)
		}
		seqs[v.Seq] = chart
		named, err := get[ref.ChartVersion](c, bucketFiles, chart.FileName())
		if err != nil && !errors.Is(err, store.ErrNoKey) {
			return err
		}
		if named != chart {
			c.problem("the file name %s leads to %q, not to %s", chart.FileName(), named, chart)
		}
		if v.State != model.Purged {
			for _, d := range []ref.Digest{v.Package, v.Provenance} {
				if err := c.checkUse(d, chart); err != nil {
					return err
				}
			}
		}
		for _, id := range v.Bindings {
			if b, ok := c.bindings[id]; !ok || b.Chart != chart {
				c.problem("%s lists the binding %s, which is not there or of another chart", chart, id)
			}
		}
		if want := c.defaultOf(v); v.Default != want {
			c.problem("the default binding of %s is %q and should be %q", chart, v.Default, want)
		}
	}
	return nil
}

// defaultOf is the default binding by the rule, from what was read.
func (c *checker) defaultOf(v ChartVersion) ref.BindingID {
	var list []Binding
	for _, id := range v.Bindings {
		list = append(list, c.bindings[id])
	}
	return defaultOf(list)
}

func (c *checker) checkUse(d ref.Digest, chart ref.ChartVersion) error {
	if d.IsZero() {
		return nil
	}
	u, err := get[blobUse](c, bucketBlobs, d.Hex())
	if err != nil && !errors.Is(err, store.ErrNoKey) {
		return err
	}
	if u.Chart != chart {
		c.problem("blob %s of %s is not marked as used", d, chart)
	}
	return nil
}

func (c *checker) checkBindings() error {
	for id, b := range c.bindings {
		required := map[ref.Role]ref.Image{}
		for _, i := range b.Images {
			if i.Required {
				required[i.Role] = i.Image
			}
			if _, err := get[Image](c, bucketImages, i.Image.String()); errors.Is(err, store.ErrNoKey) {
				c.problem("binding %s names the image %s, which was never read", id, i.Image)
			} else if err != nil {
				return err
			}
		}
		if want := ref.BindingIDOf(b.Package, required); want != id {
			c.problem("binding %s of %s should be %s by its content", id, b.Chart, want)
		}
		v, ok := c.charts[b.Chart]
		if !ok || v.Package != b.Package {
			c.problem("binding %s is of %s with package %s, which is not published", id, b.Chart, b.Package)
		}
		if !slices.Contains(v.Bindings, id) {
			c.problem("%s does not list its binding %s", b.Chart, id)
		}
		if v.State != model.Purged {
			for _, f := range b.SealedForms() {
				if err := c.checkUse(f.Sealed, b.Chart); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (c *checker) checkEnvironments() error {
	last := map[ref.Env]uint64{}
	err := each(c, bucketPins, func(k string, p Pin) error {
		c.out.Pins++
		c.pins[p.Env.String()+"#"+fmt.Sprint(p.Revision)] = p
		if k != pinKey(p.Env, p.Revision) || p.Revision != last[p.Env]+1 {
			c.problem("environment %s has revision %d after %d", p.Env, p.Revision, last[p.Env])
		}
		last[p.Env] = p.Revision
		if b, ok := c.bindings[p.Binding]; !ok || b.Chart != p.Chart {
			c.problem("%s revision %d names the binding %s, which is not there or not of %s", p.Env, p.Revision, p.Binding, p.Chart)
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = each(c, bucketEnvironments, func(k string, e Environment) error {
		c.out.Environments++
		c.envs[e.Env] = e
		if k != e.Env.String() || e.Revision != last[e.Env] {
			c.problem("environment %s says revision %d, and its last pin is %d", e.Env, e.Revision, last[e.Env])
		}
		delete(last, e.Env)
		return nil
	})
	for env, revision := range last {
		c.problem("environment %s has %d pins and is not there", env, revision)
	}
	return err
}

func (c *checker) checkGenerations() error {
	n := uint64(0)
	shown := map[ref.ChartVersion]bool{}
	err := each(c, bucketGenerations, func(k string, g Generation) error {
		shown[g.Chart] = true
		n++
		if k != number(n) {
			c.problem("index generation %d has the key %q", n, k)
		}
		if _, ok := c.charts[g.Chart]; !ok {
			c.problem("index generation %d names %s, which is not published", n, g.Chart)
		}
		return nil
	})
	for chart := range c.charts {
		if !shown[chart] {
			c.problem("no index generation names %s", chart)
		}
	}
	return err
}
