package site

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/Masterminds/semver/v3"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/yamledit"
	"go.yaml.in/yaml/v4"
)

// dependency has the fields that Helm hashes, in Helm's order.
type dependency struct {
	Name         string   `json:"name"`
	Version      string   `json:"version,omitempty"`
	Repository   string   `json:"repository"`
	Condition    string   `json:"condition,omitempty"`
	Tags         []string `json:"tags,omitempty"`
	Enabled      bool     `json:"enabled,omitempty"`
	ImportValues []any    `json:"import-values,omitempty"`
	Alias        string   `json:"alias,omitempty"`
}

// lockDigest is what Helm 3 and 4 write into their lock files.
func lockDigest(requested, locked []*dependency) (string, error) {
	return hash([2][]*dependency{requested, locked})
}

// lockDigest2 is what Helm 2 wrote. Helm 3 and 4 take it for charts of
// apiVersion v1.
func lockDigest2(requested []*dependency) (string, error) {
	return hash(map[string][]*dependency{"dependencies": requested})
}

func hash(v any) (string, error) {
	b, err := json.Marshal(v)
	return ref.DigestOf(b).String(), err
}

// helmChart is what a chart's directory says of its dependencies.
type helmChart struct {
	source    *file // Chart.yaml or requirements.yaml
	lock      *file // nil if there is none
	v1        bool
	requested []*dependency
	before    []*dependency // requested, without the edits
}

// chartAt reads a chart's directory. A nil lock says that there is nothing to
// keep up to date.
func (f *Files) chartAt(dir string) (*helmChart, error) {
	c := &helmChart{}
	for _, name := range []string{"Chart.lock", "requirements.lock"} {
		one, err := f.get(dir + name)
		switch {
		case errors.Is(err, ErrMissing):
			continue
		case err != nil:
			return nil, err
		case c.lock != nil:
			return nil, &Error{File: one.name, Text: fmt.Sprintf("stands beside %q, and Helm reads both: remove one of them", c.lock.name), Err: ErrDoubled}
		}
		c.lock = one
	}
	if c.lock == nil {
		return c, nil
	}
	meta, err := f.get(dir + "Chart.yaml")
	if err != nil {
		return nil, err
	}
	y, err := Site{File: meta.name}.parse(meta)
	if err != nil {
		return nil, err
	}
	v, _ := y.Find(0, "apiVersion")
	c.v1 = v.Value == "" || v.Value == "v1"
	for _, name := range []string{"Chart.yaml", "requirements.yaml"} {
		one, err := f.get(dir + name)
		if errors.Is(err, ErrMissing) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list, err := dependenciesOf(one, one.now)
		if err != nil {
			return nil, err
		}
		if list != nil && c.source != nil {
			return nil, &Error{File: one.name, Text: fmt.Sprintf("has dependencies, and %q has some too: keep one of the two", c.source.name), Err: ErrDoubled}
		}
		if list != nil {
			c.source, c.requested = one, list
		}
	}
	if c.source == nil {
		return nil, &Error{File: c.lock.name, Text: "locks dependencies, and the chart names none", Err: ErrMissing}
	}
	c.before, err = dependenciesOf(c.source, c.source.old)
	return c, err
}

// dependenciesOf reads "dependencies" as Helm does; nil if there are none.
func dependenciesOf(one *file, doc []byte) ([]*dependency, error) {
	y, err := yamledit.Parse(doc, yamledit.Limits{Depth: 200, Nodes: 500_000})
	if err != nil {
		return nil, &Error{File: one.name, Text: err.Error(), Err: errors.Join(ErrSyntax, err)}
	}
	if len(y.Documents()) != 1 {
		return nil, &Error{File: one.name, Text: "is not one YAML document, as Helm wants it", Err: ErrSyntax}
	}
	list := childOfMapping(y.Documents()[0], "dependencies")
	if list == nil {
		return nil, nil
	}
	if list.Kind != yaml.SequenceNode {
		return nil, &Error{File: one.name, Line: list.Line, Text: "dependencies is no list", Err: ErrForm}
	}
	out := []*dependency{}
	for _, item := range list.Content {
		if bad := untold(item); bad != nil {
			return nil, &Error{File: one.name, Line: bad.Line, Text: fmt.Sprintf("%q is read differently by different readers of YAML: put it in quotes", bad.Value), Err: ErrForm}
		}
		var raw map[string]any
		if err := item.Decode(&raw); err != nil {
			return nil, &Error{File: one.name, Line: item.Line, Text: "a dependency is no mapping", Err: ErrForm}
		}
		b, err := json.Marshal(raw)
		d := &dependency{}
		if err == nil {
			err = json.Unmarshal(b, d)
		}
		if err != nil {
			return nil, &Error{File: one.name, Line: item.Line, Text: fmt.Sprintf("a dependency cannot be read: %v", err), Err: ErrForm}
		}
		out = append(out, d)
	}
	return out, nil
}

// untold finds a scalar that Helm would read as something else than its text:
// what it hashes then is not what is written.
func untold(n *yaml.Node) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if v.Kind == yaml.AliasNode {
			v = v.Alias
		}
		switch k.Value {
		case "name", "version", "repository", "condition", "alias":
			if v.Kind == yaml.ScalarNode && v.Style == 0 && v.Value != "" && v.Tag != "!!null" && yamledit.Typed(v.Value) {
				return n.Content[i+1]
			}
		}
	}
	return nil
}

// resolved gives a requested repository the address from the lock file, where
// the chart uses a name of "helm repo add".
func resolved(requested, locked []*dependency) []*dependency {
	out := make([]*dependency, len(requested))
	for i, d := range requested {
		one := *d
		out[i] = &one
		if len(d.Repository) > 0 && (d.Repository[0] == '@' || len(d.Repository) > 6 && d.Repository[:6] == "alias:") && i < len(locked) && locked[i].Name == d.Name {
			one.Repository = locked[i].Repository
		}
	}
	return out
}

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

func (c *helmChart) digest(locked []*dependency, legacy bool) (string, error) {
	if legacy {
		return lockDigest2(c.requested)
	}
	return lockDigest(resolved(c.requested, locked), locked)
}

// fits refuses a lock file that was out of step before: its other dependencies
// would get a digest that nobody resolved. legacy says that Helm 2 made it.
func (c *helmChart) fits(s Site, digest yamledit.Scalar, locked []*dependency) (legacy bool, err error) {
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
func follow(before, now, locked dependency) []scalarEdit {
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
