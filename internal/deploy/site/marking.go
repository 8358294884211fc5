package site

import (
	"path"
	"strings"

	"chartd.dev/chartd/internal/yamledit"
)

// markWant is what a marked value should be.
type markWant struct {
	mark
	text  string // of chart.*
	image Named
}

// marked is what w says about the site's key.
func (s Site) marked(w Want) (markWant, bool) {
	m, _ := parseMark(s.Path)
	out := markWant{mark: m}
	switch {
	case m.object == "chart" && m.part == "version":
		out.text = w.Version
	case m.object == "chart" && m.part == "source":
		out.text = w.Source
	case m.object == "chart" && m.part == "digest":
		out.text = w.Package.String()
	case m.object == "image":
		n, ok := w.Images[m.role]
		out.image = n
		return out, ok
	case m.object == "base":
		n, ok := w.base(m.role)
		out.image = n
		return out, ok
	}
	return out, out.text != ""
}

// shown is the wanted value for a person.
func (m markWant) shown() string {
	switch m.part {
	case "tag":
		return m.image.Tag
	case "digest", "version", "source":
		return first(m.text, m.image.Digest.String())
	case "repository":
		return m.image.Repository.String()
	}
	return m.image.String()
}

// write is the text to write over v.
func (m markWant) write(v Value) string {
	switch m.part {
	case "tag":
		if v.Digest.IsZero() {
			return m.image.Tag
		}
		return m.image.Tag + "@" + m.image.Digest.String()
	case "":
		name := v.Repository
		if !sameRepository(m.image.Repository.String(), name) {
			name = m.image.Repository.String()
		}
		return reference(name, m.image, "")
	case "repository":
		if sameRepository(m.image.Repository.String(), v.Repository) {
			return v.Text
		}
	}
	return m.shown()
}

func (s Site) markHolds(v Value, want markWant) bool {
	if want.part == "source" {
		return SameSource(v.Text, want.text)
	}
	return v.Text == want.write(v)
}

func (s Site) writeMark(one *file, p place, w Want) ([]byte, error) {
	want, _ := s.marked(w)
	if s.markHolds(p.value, want) {
		return one.now, nil
	}
	text := want.write(p.value)
	if text == "" || strings.HasSuffix(text, "@") || strings.HasPrefix(text, "@") {
		return nil, s.fail(p.value.Line, ErrForm, "the pair has nothing to write for %s", s.Path)
	}
	if strings.ContainsAny(text, " \t\r\n\"'`,;\\=()[]{}") {
		return nil, s.fail(p.value.Line, ErrForm, "%q cannot be written at a marker", text)
	}
	quoted := p.value.Start > 0 && strings.IndexByte("\"'`", one.now[p.value.Start-1]) >= 0
	if ext := path.Ext(s.File); (ext == ".yaml" || ext == ".yml") && !quoted && yamledit.Typed(text) {
		text = `"` + text + `"`
	}
	return splice(one.now, span{p.value.Start, p.value.End}, text), nil
}
