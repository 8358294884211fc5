package archive

import (
	"fmt"
	"strings"

	"chartd.dev/chartd/internal/ref"
)

// findTwice notes, at every depth, subcharts of one name and version that
// differ: Helm renders one of them, by chance. It fails with the first, and the
// others are noted all the same.
func (c *chart) findTwice() error {
	var first error
	type copyOf struct {
		chart   *chart
		content ref.Digest
	}
	seen := map[string]*copyOf{}
	c.twice = map[*chart]string{}
	for _, name := range c.subNames() {
		s := c.subs[name]
		id := s.meta.Name + " " + s.meta.Version
		if other := seen[id]; other == nil {
			seen[id] = &copyOf{chart: s}
		} else if err := c.differs(&other.content, other.chart, s); err != nil && first == nil {
			first = err
		}
		if err := s.findTwice(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// differs compares two subcharts; content is that of the first, if it is known.
func (c *chart) differs(content *ref.Digest, a, b *chart) (err error) {
	if content.IsZero() {
		if *content, err = a.content(); err != nil {
			return err
		}
	}
	d, err := b.content()
	if err != nil || d == *content {
		return err
	}
	why := fmt.Sprintf("%s and %s are both %s %s, and differ: Helm renders one of them, by chance",
		quote(strings.TrimSuffix(a.where, "!")), quote(strings.TrimSuffix(b.where, "!")), a.meta.Name, a.meta.Version)
	c.twice[a], c.twice[b] = why, why
	return refused("subchart-twice", "%s; remove one of them", why)
}
