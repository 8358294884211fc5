package site

import (
	"strings"

	"chartd.dev/chartd/internal/ref"
)

// fromImage is what one FROM of a Dockerfile builds on.
type fromImage struct {
	line      int
	reference word // variables replaced by their defaults
	problem   string
}

// fromImages lists the images that the stages of a Dockerfile build on.
func fromImages(doc []byte) []fromImage {
	a := args{map[string]word{}, map[string]int{}, map[string]int{}}
	stages := map[string]bool{}
	var out []fromImage
	for _, in := range parseDockerfile(doc) {
		if in.name == "ARG" {
			if len(out) == 0 {
				a.declare(in)
			}
			continue
		}
		words := in.words
		for len(words) > 0 && strings.HasPrefix(words[0].text, "--") {
			words = words[1:]
		}
		if len(words) == 0 {
			continue
		}
		image := fromImage{line: in.line}
		image.reference, image.problem = a.replace(words[0].unquote(), 0)
		if !stages[strings.ToLower(image.reference.text)] {
			out = append(out, image)
		} else {
			out = append(out, fromImage{line: in.line, problem: "a stage"})
		}
		if len(words) >= 3 && strings.EqualFold(words[1].text, "as") {
			stages[strings.ToLower(words[2].text)] = true
		}
	}
	return out
}

// stages finds the FROMs that name the site's repository.
func (s Site) stages(one *file) ([]place, error) {
	if line := lineWith(one.now, "{{"); line > 0 {
		return nil, s.fail(line, ErrTemplate, "holds {{, so it is a template, and what it is rendered to cannot be edited")
	}
	var out []place
	seen := map[int]bool{} // one ARG may serve several stages
	problem := fromImage{}
	for _, image := range fromImages(one.now) {
		if image.problem != "" {
			if image.problem != "a stage" {
				problem = image
			}
			continue
		}
		p, ok, err := s.stage(one, image)
		if err != nil {
			return nil, err
		}
		if ok && !seen[p.value.Start] {
			seen[p.value.Start] = true
			out = append(out, p)
		}
	}
	if len(out) == 0 && problem.line > 0 {
		return nil, s.fail(problem.line, ErrForm, "FROM %s", problem.problem)
	}
	return out, nil
}

func (s Site) stage(one *file, image fromImage) (place, bool, error) {
	text := image.reference.text
	name, digest, pinned := strings.Cut(text, "@")
	tag := ""
	if i := strings.LastIndexByte(name, ':'); i >= 0 && !strings.Contains(name[i:], "/") {
		name, tag = name[:i], name[i+1:]
	}
	if barePath(name) != barePath(s.Repository) {
		return place{}, false, nil
	}
	p := place{spans: map[string]span{}}
	p.value = Value{Text: text, Repository: name, Tag: tag, Line: image.line}
	if tag == "" && !pinned {
		return p, false, s.fail(image.line, ErrForm, "FROM %q names neither a tag nor a digest: write the tag of the chart's own image", text)
	}
	r, err := ref.ParseReference(text)
	if err != nil {
		return p, false, s.fail(image.line, ErrForm, "%v", err)
	}
	p.value.Digest = r.Digest
	// Digest first: writing goes from the end of the word to its start.
	for _, part := range []struct {
		key  string
		from int
		text string
	}{{"digest", len(text) - len(digest), digest}, {"tag", len(name) + 1, tag}} {
		if part.text == "" {
			continue
		}
		at := image.reference.at[part.from : part.from+len(part.text)]
		for i := range at {
			if at[i] != at[0]+i {
				return p, false, s.fail(image.line, ErrForm, "the %s %q of FROM is put together from pieces: write it in one", part.key, part.text)
			}
		}
		p.spans[part.key] = span{at[0], at[0] + len(at)}
		p.value.Start, p.value.End = at[0], at[0]+len(at)
		p.value.Line = 1 + strings.Count(string(one.now[:at[0]]), "\n")
	}
	return p, true, nil
}

// writeFrom writes the tag, and the digest where one stands.
func (s Site) writeFrom(one *file, p place, w Want) ([]byte, error) {
	want, _ := w.base(s.Role)
	if barePath(want.Repository.String()) != barePath(s.Repository) {
		return nil, s.fail(p.value.Line, ErrForm, "the site builds on %q, and the chart's own image is %q: change repository of this site in .chartctl.yaml and FROM together if that is meant", s.Repository, want.Repository)
	}
	type change struct {
		at   span
		text string
	}
	var changes []change
	if at, ok := p.spans["tag"]; ok {
		if want.Tag == "" {
			return nil, s.fail(p.value.Line, ErrForm, "FROM names the tag %q, and the pair has no tag for %q", p.value.Tag, want.Repository)
		}
		changes = append(changes, change{at, want.Tag})
	}
	if at, ok := p.spans["digest"]; ok {
		if want.Digest.IsZero() {
			return nil, s.fail(p.value.Line, ErrForm, "FROM names the digest %s, and the pair has no digest for %q", p.value.Digest, want.Repository)
		}
		changes = append(changes, change{at, want.Digest.String()})
	}
	if len(changes) == 2 && changes[0].at.start < changes[1].at.start {
		changes[0], changes[1] = changes[1], changes[0]
	}
	doc := one.now
	for _, c := range changes {
		doc = splice(doc, c.at, c.text)
	}
	return doc, nil
}

// FromImages lists what the stages of a Dockerfile build on, with the line of
// each; what a variable without a default decides is left out.
func FromImages(doc []byte) []Value {
	var out []Value
	for _, image := range fromImages(doc) {
		if image.problem != "" {
			continue
		}
		if r, err := ref.ParseReference(image.reference.text); err == nil {
			name, _, _ := strings.Cut(image.reference.text, "@")
			name = strings.TrimSuffix(name, ":"+r.Tag)
			out = append(out, Value{Text: image.reference.text, Line: image.line, Repository: name, Tag: r.Tag, Digest: r.Digest})
		}
	}
	return out
}
