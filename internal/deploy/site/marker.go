package site

import (
	"bytes"
	"regexp"
	"strings"

	"chartd.dev/chartd/internal/ref"
)

// markComment is a marker at the end of a line.
var markComment = regexp.MustCompile(`(?:#|//|--|;|<!--|/\*)[ \t]*chartctl:[ \t]*(\S+)(?:[ \t]+@(\S+))?[ \t]*(?:-->|\*/)?[ \t\r]*$`)

// markWord finds what looks like a marker at all: one that the grammar does
// not take must not be passed over.
var markWord = regexp.MustCompile(`(?:#|//|--|;|<!--|/\*)[ \t]*chartctl:`)

// mark is the key of a marker, taken apart.
type mark struct {
	object string // "chart", "image", "base"
	role   ref.Role
	part   string // version, source, digest, repository, tag; "" is the reference
}

// parseMark reads a marker's key.
func parseMark(key string) (mark, bool) {
	object, rest, _ := strings.Cut(key, ".")
	m := mark{object: object}
	switch object {
	case "chart":
		m.part = rest
		return m, rest == "version" || rest == "source" || rest == "digest"
	case "image", "base":
		if i := strings.LastIndexByte(rest, '.'); i >= 0 {
			switch rest[i+1:] {
			case "tag", "digest", "repository":
				rest, m.part = rest[:i], rest[i+1:]
			}
		}
		role, err := ref.ParseRole(rest)
		m.role = role
		return m, err == nil
	}
	return m, false
}

// marks finds the lines that carry the site's marker.
func (s Site) marks(one *file) ([]place, error) {
	m, ok := parseMark(s.Path)
	if !ok {
		return nil, s.fail(0, ErrForm, "%q is no key of a marker: want chart.version, chart.source, chart.digest, or image.ROLE or base.ROLE with .tag, .digest, .repository or nothing", s.Path)
	}
	var out []place
	var above string // the key of a marker that stands alone on the line above
	number, start := 0, 0
	for raw := range bytes.Lines(one.now) {
		number++
		at := start
		start += len(raw)
		if number == 1 && bytes.HasPrefix(raw, []byte("\ufeff")) {
			raw, at = raw[3:], at+3
		}
		text := string(bytes.TrimRight(raw, "\r\n"))
		key, end, alone, ok := readMark(text)
		if !ok {
			return nil, s.fail(number, ErrForm, "%q is no marker: want # chartctl: KEY or # chartctl: KEY @LABEL at the end of the line", strings.TrimSpace(text))
		}
		switch {
		case alone:
			if above != "" && above == s.markKey() {
				return nil, s.fail(number, ErrForm, "a marker stands above a marker, and there is no value between them")
			}
			above = key
			continue
		case key == "":
			key, end = above, len(text)
		case above != "" && (above == s.markKey() || key == s.markKey()):
			return nil, s.fail(number, ErrForm, "a marker stands above the line and another one at its end: keep one")
		}
		above = ""
		if key != s.markKey() {
			continue
		}
		p, err := s.valueOn(text[:end], m, number, at)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	if above != "" && above == s.markKey() {
		return nil, s.fail(number, ErrMissing, "a marker stands on the last line, and there is no line below it")
	}
	return out, nil
}

func (s Site) markKey() string { return strings.TrimSuffix(s.Path+" @"+s.Name, " @") }

// readMark takes the marker off a line: its key with its label, where the text
// before it ends, and whether it stands alone. ok is false for a comment that
// starts like a marker and is none.
func readMark(line string) (key string, end int, alone, ok bool) {
	loc := markComment.FindStringSubmatchIndex(line)
	if loc == nil {
		return "", len(line), false, !markWord.MatchString(line)
	}
	key = line[loc[2]:loc[3]]
	if _, ok := parseMark(key); !ok {
		return "", 0, false, false
	}
	if loc[4] >= 0 {
		key += " @" + line[loc[4]:loc[5]]
	}
	return key, loc[0], strings.TrimSpace(line[:loc[0]]) == "", true
}

// valueOn finds the value in the text of a marked line that starts at byte at.
func (s Site) valueOn(text string, m mark, number, at int) (place, error) {
	start, end := lastValue(text)
	v := Value{Text: text[start:end], Line: number, Start: at + start, End: at + end}
	if start == end {
		return place{}, s.fail(number, ErrForm, "there is no value on the marked line")
	}
	if strings.Contains(text, "{{") {
		return place{}, s.fail(number, ErrTemplate, "is written by a template ({{), and what it is rendered to cannot be edited")
	}
	switch r, err := ref.ParseReference(v.Text); {
	case m.part == "version":
		v.Version = v.Text
		if _, err := ref.ParseImported("x", v.Text); err != nil {
			return place{}, s.fail(number, ErrForm, "%q on the marked line is no version", v.Text)
		}
	case m.part == "source":
		v.Repository = v.Text
	case m.part == "tag":
		tag, digest, _ := strings.Cut(v.Text, "@")
		if !ref.ValidTag(tag) {
			return place{}, s.fail(number, ErrForm, "%q on the marked line is no tag", v.Text)
		}
		v.Tag = tag
		if err := s.markDigest(&v, digest); err != nil {
			return place{}, err
		}
	case m.part == "digest":
		if err := s.markDigest(&v, v.Text); err != nil {
			return place{}, err
		}
	case err != nil || m.part == "repository" && (r.Tag != "" || !r.Digest.IsZero()):
		return place{}, s.fail(number, ErrForm, "%q on the marked line is no image %s", v.Text, first(m.part, "reference"))
	default:
		v.Tag, v.Digest = r.Tag, r.Digest
		v.Repository, _, _ = strings.Cut(v.Text, "@")
		v.Repository = strings.TrimSuffix(v.Repository, ":"+r.Tag)
	}
	return place{value: v, mark: m}, nil
}

func (s Site) markDigest(v *Value, text string) error {
	if text == "" {
		return nil
	}
	d, err := ref.ParseDigest(text)
	if err != nil {
		return s.fail(v.Line, ErrForm, "%v on the marked line", err)
	}
	v.Digest = d
	return nil
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// lastValue finds the last value of a line's text.
func lastValue(text string) (start, end int) {
	end = len(strings.TrimRight(text, " \t,;\\)]}"))
	if end == 0 {
		return 0, 0
	}
	if q := text[end-1]; q == '"' || q == '\'' || q == '`' {
		start = strings.LastIndexByte(text[:end-1], q) + 1
		if start == 0 {
			return 0, 0
		}
		return start, end - 1
	}
	return strings.LastIndexAny(text[:end], " \t\"'`=,([{") + 1, end
}

// MarkLine is a marker that was found in a file.
type MarkLine struct {
	Key, Label string
	Line       int
}

// Marks lists the markers of a text file.
func Marks(doc []byte) []MarkLine {
	var out []MarkLine
	number := 0
	for raw := range bytes.Lines(doc) {
		number++
		if key, _, _, ok := readMark(string(bytes.TrimRight(raw, "\r\n"))); ok && key != "" {
			key, label, _ := strings.Cut(key, " @")
			out = append(out, MarkLine{key, label, number})
		}
	}
	return out
}
