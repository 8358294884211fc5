package site

import (
	"fmt"

	"chartd.dev/chartd/internal/ref"
)

// Validate checks that a site says what its kind needs, and nothing else.
func (s Site) Validate() error {
	type rule struct{ need, may string } // n name, p path, r repository, o role, c count
	rules := map[Kind]rule{
		Dependency: {"n", ""}, HelmLock: {"n", ""},
		Image: {"po", "rc"}, ImageRef: {"po", "rc"},
		From: {"ro", "c"}, Marker: {"p", "nc"},
	}
	r, ok := rules[s.Kind]
	if !ok {
		return fmt.Errorf("unknown kind of site %q; want dependency, helm-lock, image, image-ref, from or marker", s.Kind)
	}
	if s.File == "" {
		return fmt.Errorf("a site of the kind %s has no file", s.Kind)
	}
	for _, f := range []struct {
		letter byte
		name   string
		set    bool
	}{{'n', "name", s.Name != ""}, {'p', "path", s.Path != ""}, {'r', "repository", s.Repository != ""}, {'o', "role", s.Role != ""}, {'c', "count", s.Count != 0}} {
		switch {
		case has(r.need, f.letter) && !f.set:
			return fmt.Errorf("a site of the kind %s needs %s", s.Kind, f.name)
		case f.set && !has(r.need+r.may, f.letter):
			return fmt.Errorf("a site of the kind %s takes no %s", s.Kind, f.name)
		}
	}
	switch s.Kind {
	case Marker:
		if _, ok := parseMark(s.Path); !ok {
			return fmt.Errorf("%q is no key of a marker: want chart.version, chart.source, chart.digest, or image.ROLE or base.ROLE with .tag, .digest, .repository or nothing", s.Path)
		}
	case Image, ImageRef:
		pattern, err := SplitPath(s.Path)
		if err != nil {
			return err
		}
		if hasStar(pattern) && s.Repository == "" {
			return fmt.Errorf("the path %q has a star, so it needs the repository that the item names now", s.Path)
		}
	case Dependency, HelmLock:
		if _, err := ref.ParseImported(s.Name, "1.0.0"); err != nil {
			return err
		}
	}
	return nil
}

func has(letters string, c byte) bool {
	for i := range len(letters) {
		if letters[i] == c {
			return true
		}
	}
	return false
}
