package lockfile

import (
	"fmt"
	"net/url"
	"strings"

	"chartd.dev/chartd/internal/ref"
)

// fields is the order of an entry's lines.
var fields = []string{"chart", "source", "image", "base", "prepare", "binding", "sum"}

// fact is one line of an entry.
type fact struct {
	key, field, value string
	rank              int    // place of the field in fields
	role              string // behind the dot of image. and base.
}

// parseFact reads "KEY FIELD: VALUE".
func parseFact(line string) (fact, error) {
	key, rest, ok := strings.Cut(line, " ")
	field, value, ok2 := strings.Cut(rest, ": ")
	if !ok || !ok2 {
		return fact{}, fmt.Errorf("%s is no line of an entry, want KEY FIELD: VALUE", quote(line))
	}
	if !validKey(key) {
		return fact{}, fmt.Errorf("%s is no key, want HUB/STAGE or HUB in lower-case letters, digits and dashes", quote(key))
	}
	name, role, dotted := strings.Cut(field, ".")
	for i, known := range fields {
		if name == known && dotted == (known == "image" || known == "base") {
			return fact{key, field, value, i, role}, nil
		}
	}
	return fact{}, fmt.Errorf("%s is no field of an entry; an entry has %s", quote(field), strings.Join(fields, ", "))
}

func validKey(key string) bool {
	if !strings.Contains(key, "/") {
		key += "/stage"
	}
	_, err := ref.ParseEnv(key)
	return err == nil
}

// parseEntry reads the lines of one entry; first is the number of its first.
func parseEntry(lines []string, first int) (Entry, error) {
	var e Entry
	last := fact{rank: -1}
	for i, line := range lines {
		x, err := parseFact(line)
		if err != nil {
			return Entry{}, bad(first+i, "%v", err)
		}
		if i == 0 {
			e.Key = x.key
		}
		if err := inPlace(last, x); err != nil {
			return Entry{}, bad(first+i, "%v", err)
		}
		if err := e.set(x); err != nil {
			return Entry{}, bad(first+i, "%s %s: %s", x.key, x.field, strings.TrimPrefix(err.Error(), ref.ErrInvalid.Error()+": "))
		}
		last = x
	}
	end := first + len(lines) - 1
	if last.field != "sum" {
		return Entry{}, bad(end, "the entry of %s is cut off: its last line has to be its sum", e.Key)
	}
	if last.value != sum(e.Key, lines[:len(lines)-1]) {
		return Entry{}, bad(end, "the sum %s is not that of the lines of %s: edited by hand or badly merged", quote(last.value), e.Key)
	}
	if err := e.whole(); err != nil {
		return Entry{}, bad(end, "%v", err)
	}
	return e, nil
}

// inPlace checks that x may follow last in one entry.
func inPlace(last, x fact) error {
	switch {
	case last.rank < 0:
		return nil
	case x.key != last.key && last.field == "sum":
		return fmt.Errorf("a blank line is missing before the entry of %s", x.key)
	case x.key != last.key:
		return fmt.Errorf("a line of %s stands in the entry of %s", x.key, last.key)
	case x.field == last.field:
		return fmt.Errorf("%s has %s twice", x.key, x.field)
	case x.rank < last.rank, x.rank == last.rank && x.role < last.role:
		return fmt.Errorf("the lines of %s are not in order: %s stands behind %s", x.key, x.field, last.field)
	}
	return nil
}

// set puts the line into the entry.
func (e *Entry) set(x fact) (err error) {
	switch fields[x.rank] {
	case "chart":
		e.Chart, err = parseChart(x.value)
	case "source":
		e.Source, err = x.value, checkSource(x.value)
	case "image":
		e.Images, err = addImage(e.Images, x)
	case "base":
		e.Bases, err = addImage(e.Bases, x)
	case "prepare":
		e.Prepare = new(Chart)
		*e.Prepare, err = parseChart(x.value)
	case "binding":
		e.Binding, err = ref.ParseBindingID(x.value)
	}
	return err
}

// parseChart reads "NAME VERSION DIGEST".
func parseChart(s string) (Chart, error) {
	name, rest, _ := strings.Cut(s, " ")
	version, digest, _ := strings.Cut(rest, " ")
	v, err := ref.ParseImported(name, version)
	if err != nil {
		return Chart{}, err
	}
	if digest == "" {
		return Chart{}, fmt.Errorf("%s lacks the digest of its package", quote(s))
	}
	d, err := ref.ParseDigest(digest)
	return Chart{v.Name(), v.Version(), d}, err
}

// addImage reads "REPOSITORY:TAG DIGEST", or "REPOSITORY DIGEST".
func addImage(images []Image, x fact) ([]Image, error) {
	role, err := ref.ParseRole(x.role)
	if err != nil {
		return nil, err
	}
	name, digest, ok := strings.Cut(x.value, " ")
	if !ok {
		return nil, fmt.Errorf("%s lacks the digest of the image", quote(x.value))
	}
	r, err := ref.ParseReference(name)
	if err != nil {
		return nil, err
	}
	d, err := ref.ParseDigest(digest)
	if err != nil {
		return nil, err
	}
	if r.String() != name || !r.Digest.IsZero() {
		return nil, fmt.Errorf("%s is not the full name of an image, want %s", quote(name), ref.Reference{Repository: r.Repository, Tag: r.Tag})
	}
	return append(images, Image{role, r.Repository, r.Tag, d}), nil
}

func checkSource(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil ||
		u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(s, " ?#") || len(s) > 2048 {
		return fmt.Errorf("%s is no chart repository, want https://HOST/PATH without a password or a query", quote(s))
	}
	return nil
}

// whole checks that the entry has all its lines and that the binding is that
// of the chart and the images beside it.
func (e Entry) whole() error {
	pinned := e.Chart != (Chart{})
	switch {
	case e.Source == "":
		return fmt.Errorf("%s has no source", e.Key)
	case pinned && e.Binding.IsZero():
		return fmt.Errorf("%s has no binding", e.Key)
	case !pinned && (e.Prepare == nil || !e.Binding.IsZero() || len(e.Images) > 0):
		return fmt.Errorf("%s has no chart", e.Key)
	}
	images := map[ref.Role]ref.Image{}
	for _, i := range e.Images {
		images[i.Role] = ref.Image{Repository: i.Repository, Digest: i.Digest}
	}
	for _, b := range e.Bases {
		if _, ok := images[b.Role]; !ok {
			return fmt.Errorf("%s has base.%s and no image.%s", e.Key, b.Role, b.Role)
		}
	}
	if want := ref.BindingIDOf(e.Chart.Digest, images); pinned && e.Binding != want {
		return fmt.Errorf("%s names the binding %s, and that of its chart and images is %s", e.Key, e.Binding, want)
	}
	return nil
}
