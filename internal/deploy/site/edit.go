package site

import (
	"bytes"

	"chartd.dev/chartd/internal/ref"
)

// concerns reports whether w says anything about the site.
func (s Site) concerns(w Want) bool {
	switch s.Kind {
	case Dependency, HelmLock:
		return w.Version != "" || w.Source != ""
	case From:
		_, ok := w.base(s.Role)
		return ok
	case Marker:
		_, ok := s.marked(w)
		return ok
	}
	_, ok := w.Images[s.Role]
	return ok
}

// write returns the file with one place brought to w.
func (s Site) write(one *file, p place, w Want) ([]byte, error) {
	var edits []scalarEdit
	var err error
	switch s.Kind {
	case Dependency, HelmLock:
		edits, err = s.dependencyEdits(p, w)
	case Image:
		edits, err = s.imageEdits(p, w.Images[s.Role])
	case ImageRef:
		edits, err = s.refEdits(p, w.Images[s.Role])
	case From:
		return s.writeFrom(one, p, w)
	case Marker:
		return s.writeMark(one, p, w)
	}
	if err != nil {
		return nil, err
	}
	return s.setKeys(one, p, edits)
}

// splice replaces bytes; later spans come first.
func splice(doc []byte, at span, text string) []byte {
	return bytes.Join([][]byte{doc[:at.start], doc[at.end:]}, []byte(text))
}

// compare is what one place says differently from w.
func (s Site) compare(p place, w Want) []Finding {
	var out []Finding
	add := func(what, found, want string, weak bool) {
		out = append(out, Finding{Site: s, File: s.File, Line: p.value.Line, What: what, Found: found, Want: want, Weak: weak})
	}
	switch s.Kind {
	case Dependency, HelmLock:
		if w.Version != "" && !holds(p.keys["version"], w.Version) {
			found := p.value.Version
			if found == w.Version {
				found += " without quotes, which YAML reads as a number"
			}
			add("chart "+s.Name, found, w.Version, false)
		}
		if w.Source != "" && !SameSource(p.value.Repository, w.Source) {
			add("repository of chart "+s.Name, p.value.Repository, w.Source, false)
		}
	case Image, ImageRef:
		want := w.Images[s.Role]
		if found, weak, ok := differs(p.value, want); ok {
			add("image "+string(s.Role), found, want.String(), weak)
		}
	case From:
		want, _ := w.base(s.Role)
		if p.value.Tag != "" && p.value.Tag != want.Tag || !p.value.Digest.IsZero() && p.value.Digest != want.Digest {
			add("base of image "+string(s.Role), p.value.Text, s.spelled(p.value, want), false)
		}
	case Marker:
		if want, _ := s.marked(w); !s.markHolds(p.value, want) {
			add("mark "+s.Path, p.value.Text, want.shown(), false)
		}
	}
	return out
}

// spelled is what a FROM should say, under the repository's name in the file.
func (s Site) spelled(v Value, want Named) string {
	text := v.Repository
	if v.Tag != "" {
		text += ":" + want.Tag
	}
	if !v.Digest.IsZero() {
		text += "@" + want.Digest.String()
	}
	return text
}

// differs compares an image that is written with the one that is wanted.
func differs(v Value, want Named) (found string, weak, ok bool) {
	repository, err := ref.ParseRepository(v.Repository)
	switch {
	case err != nil || repository != want.Repository:
		return v.Text, false, true
	case v.Digest == want.Digest && (want.Tag == "" || v.Tag == want.Tag):
		return "", false, false
	case v.Digest.IsZero() && v.Tag == want.Tag:
		return v.Text, true, true
	}
	return v.Text, false, true
}
