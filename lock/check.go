package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"chartd.dev/chartd/internal/ref"
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
	Tx
	out      CheckResult
	charts   map[ref.ChartVersion]ChartVersion
	bindings map[ref.BindingID]Binding
	pins     map[string]Pin
}

// Check verifies the rules of the lock file on one snapshot, and that the
// journal reproduces what is there.
func (l *Lockfile) Check(ctx context.Context) (CheckResult, error) {
	return view(ctx, l, func(t Tx) (CheckResult, error) {
		c := &checker{Tx: t, charts: map[ref.ChartVersion]ChartVersion{}, bindings: map[ref.BindingID]Binding{}, pins: map[string]Pin{}}
		for _, step := range []func() error{c.readAll, c.checkCharts, c.checkBindings, c.checkEnvironments, c.checkGenerations, c.checkJournal} {
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
	return c.Scan(bucket, ScanOptions{}, func(k string, raw []byte) error {
		var v T
		if err := decode(bucket, k, raw, &v); err != nil {
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
	for chart, v := range c.charts {
		if other, ok := seqs[v.Seq]; ok {
			c.problem("%s and %s have the same publication sequence %d", chart, other, v.Seq)
		}
		seqs[v.Seq] = chart
		named, err := get[ref.ChartVersion](c, bucketFiles, chart.FileName())
		if err != nil && !errors.Is(err, ErrNoKey) {
			return err
		}
		if named != chart {
			c.problem("the file name %s leads to %q, not to %s", chart.FileName(), named, chart)
		}
		if v.State != Purged {
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
		if b, ok := c.bindings[v.Default]; !v.Default.IsZero() && (!ok || b.State != Verified) {
			c.problem("the default binding %s of %s is not verified", v.Default, chart)
		}
	}
	return nil
}

func (c *checker) checkUse(d ref.Digest, chart ref.ChartVersion) error {
	if d.IsZero() {
		return nil
	}
	u, err := get[blobUse](c, bucketBlobs, d.Hex())
	if err != nil && !errors.Is(err, ErrNoKey) {
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
			if _, err := get[Image](c, bucketImages, i.Image.String()); errors.Is(err, ErrNoKey) {
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
		if v.State != Purged {
			if err := c.checkUse(b.Sealed, b.Chart); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *checker) checkEnvironments() error {
	last := map[ref.Env]uint64{}
	err := each(c, bucketPins, func(k string, p Pin) error {
		c.out.Pins++
		c.pins[k] = p
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
	return each(c, bucketEnvironments, func(k string, e Environment) error {
		c.out.Environments++
		if k != e.Env.String() || e.Revision != last[e.Env] {
			c.problem("environment %s says revision %d, and its last pin is %d", e.Env, e.Revision, last[e.Env])
		}
		delete(last, e.Env)
		return nil
	})
}

func (c *checker) checkGenerations() error {
	n := uint64(0)
	return each(c, bucketGenerations, func(k string, g Generation) error {
		n++
		if k != number(n) {
			c.problem("index generation %d has the key %q", n, k)
		}
		if _, ok := c.charts[g.Chart]; !ok {
			c.problem("index generation %d names %s, which is not published", n, g.Chart)
		}
		return nil
	})
}

// claims is what a journal line says was made.
type claims struct {
	chart   *ChartVersion
	binding *Binding
	pins    []Pin
}

// claims reads the detail of a line by its verb.
func (line Line) claims() (claims, error) {
	var c claims
	var err error
	read := func(v any) { err = json.Unmarshal(line.Detail, v) }
	switch line.Verb {
	case verbPublish, verbImport:
		var p Published
		read(&p)
		c.chart, c.binding = &p.Chart, p.Binding
	case verbBind:
		c.binding = &Binding{}
		read(c.binding)
	case verbPin:
		c.pins = make([]Pin, 1)
		read(&c.pins[0])
	case verbPinSet:
		var set PinSet
		read(&set)
		c.pins = set.Pins
	case verbAdopt:
		var a adoption
		read(&a)
		c.binding, c.pins = &a.Binding, []Pin{a.Pin}
	}
	if err != nil {
		return c, fmt.Errorf("%w: read journal line %d: %v", ErrBroken, line.Seq, err)
	}
	return c, nil
}

// checkJournal replays the journal: what its lines made is there, and nothing
// is there that no line made.
func (c *checker) checkJournal() error {
	made := map[string]bool{}
	n := uint64(0)
	err := each(c, bucketJournal, func(k string, line Line) error {
		n++
		if k != number(n) || line.Seq != n {
			c.problem("journal line %d has the key %q and says %d", n, k, line.Seq)
		}
		if line.Result != "ok" {
			return nil
		}
		said, err := line.claims()
		if err != nil {
			return err
		}
		c.compare(n, said, made)
		return nil
	})
	if err != nil {
		return err
	}
	c.out.Journal = int(n)
	var there []string
	for chart := range c.charts {
		there = append(there, "chart version "+chart.String())
	}
	for key := range c.pins {
		there = append(there, "pin "+key)
	}
	for id := range c.bindings {
		there = append(there, "binding "+id.String())
	}
	for _, what := range there {
		if !made[what] {
			c.problem("the %s is there and the journal does not say so", strings.ReplaceAll(what, "\x00", "#"))
		}
	}
	return nil
}

// compare holds what a line says against what is there, and notes it as made.
func (c *checker) compare(n uint64, said claims, made map[string]bool) {
	if v := said.chart; v != nil {
		made["chart version "+v.Chart.String()] = true
		if now := c.charts[v.Chart]; now.Package != v.Package || now.Seq != v.Seq {
			c.problem("journal line %d published %s as %s, and it is %q now", n, v.Chart, v.Package, now.Package)
		}
	}
	if b := said.binding; b != nil {
		made["binding "+b.ID.String()] = true
		if _, ok := c.bindings[b.ID]; !ok {
			c.problem("journal line %d bound %s, which is not there", n, b.ID)
		}
	}
	for _, p := range said.pins {
		key := pinKey(p.Env, p.Revision)
		made["pin "+key] = true
		if now, ok := c.pins[key]; !ok || now.Binding != p.Binding || now.Seq != n {
			c.problem("journal line %d pinned %s revision %d to %s, and the lock file says %q", n, p.Env, p.Revision, p.Binding, now.Binding)
		}
	}
}
