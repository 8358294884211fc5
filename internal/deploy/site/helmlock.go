package site

import (
	"github.com/Masterminds/semver/v3"

	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/yamledit"
)

// relock brings the lock file of a chart up to its dependencies.
func (f *Files) relock(dir string) error {
	c, err := f.chartAt(dir)
	if err != nil || c.lock == nil {
		return err
	}
	locked, err := dependenciesOf(c.lock, c.lock.now)
	if err != nil {
		return err
	}
	old, err := dependenciesOf(c.lock, c.lock.old)
	if err != nil {
		return err
	}
	s := Site{Kind: HelmLock, File: c.lock.name}
	digest, err := s.find(c.lock, 0, "digest")
	if err != nil {
		return err
	}
	// What it said before the first edit decides: this may run again.
	was, err := s.find(&file{name: c.lock.name, now: c.lock.old}, 0, "digest")
	if err != nil {
		return err
	}
	legacy, err := c.fits(s, was, old)
	if err != nil {
		return err
	}
	for i, d := range c.requested {
		edits := follow(*c.before[i], *d, *locked[i])
		s.Name = d.Name
		places, err := s.places(c.lock)
		if err != nil {
			return err
		}
		doc, err := s.setKeys(c.lock, places[0], edits)
		if err != nil {
			return err
		}
		c.lock.set(doc)
	}
	if locked, err = dependenciesOf(c.lock, c.lock.now); err != nil {
		return err
	}
	want, err := c.digest(locked, legacy)
	if err != nil || digest.Value == want {
		return err
	}
	doc, err := s.setKeys(c.lock, place{}, []scalarEdit{{"digest", want}})
	if err == nil {
		c.lock.set(doc)
	}
	return err
}

func (c *helmChart) digest(locked []*archive.Dependency, legacy bool) (string, error) {
	if legacy {
		return lockDigest2(c.requested)
	}
	return lockDigest(resolved(c.requested, locked), locked)
}

// fits refuses a lock file that was out of step before: its other dependencies
// would get a digest that nobody resolved. legacy says that Helm 2 made it.
func (c *helmChart) fits(s Site, digest yamledit.Scalar, locked []*archive.Dependency) (legacy bool, err error) {
	sum, err := lockDigest(resolved(c.before, locked), locked)
	if err != nil {
		return false, err
	}
	if len(c.requested) == len(locked) && len(c.before) == len(locked) {
		if sum == digest.Value {
			return false, nil
		}
		if sum, err = lockDigest2(c.before); err != nil || c.v1 && sum == digest.Value {
			return true, err
		}
		ok := true
		for i, d := range c.before {
			changed := d.Version != c.requested[i].Version
			ok = ok && d.Name == locked[i].Name && (changed || satisfies(locked[i].Version, d.Version))
		}
		if ok {
			return false, nil
		}
	}
	return false, s.fail(digest.Line, ErrForm, "does not fit the dependencies in %s: run helm dependency update in %q first", c.source.name, first(dirOf(s.File), "."))
}

// follow is what an edit of a dependency means for its lock.
func follow(before, now, locked archive.Dependency) []scalarEdit {
	var out []scalarEdit
	if !isRange(now.Version) && locked.Version != now.Version {
		out = append(out, scalarEdit{"version", now.Version})
	}
	if before.Repository != now.Repository && locked.Repository != now.Repository {
		out = append(out, scalarEdit{"repository", now.Repository})
	}
	return out
}

// satisfies reports whether a version is one that a dependency asks for.
func satisfies(version, asked string) bool {
	c, err := semver.NewConstraint(asked)
	if err != nil {
		return version == asked
	}
	v, err := semver.NewVersion(version)
	return err == nil && c.Check(v)
}

// checkLock compares the lock file beside a dependency with w, and its digest
// with the dependencies.
func (f *Files) checkLock(s Site, w Want) ([]Finding, error) {
	c, err := f.chartAt(dirOf(s.File))
	if err != nil || c.lock == nil {
		return nil, err
	}
	l := Site{Kind: HelmLock, File: c.lock.name, Name: s.Name}
	places, err := l.places(c.lock)
	if err != nil {
		return nil, err
	}
	var out []Finding
	if s.Kind == Dependency {
		out = l.compare(places[0], w)
	}
	locked, err := dependenciesOf(c.lock, c.lock.now)
	if err != nil {
		return nil, err
	}
	digest, err := l.find(c.lock, 0, "digest")
	if err != nil {
		return nil, err
	}
	want, err := c.digest(locked, false)
	if err != nil {
		return nil, err
	}
	if old, err := c.digest(locked, true); err == nil && c.v1 && digest.Value == old {
		want = old
	}
	if len(out) == 0 && digest.Value != want {
		out = append(out, Finding{Site: l, File: c.lock.name, Line: digest.Line, What: "digest of the dependencies", Found: digest.Value, Want: want})
	}
	return out, nil
}
