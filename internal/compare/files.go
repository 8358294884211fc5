package compare

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/archive"
)

// images is role to image, in words.
func (s Side) images() map[string]string {
	out := map[string]string{}
	for role, image := range s.named {
		out[role] = image
	}
	for _, i := range s.Images {
		out[string(i.Role)] = i.String()
	}
	return out
}

// between works on the packages as they were downloaded and checked.
func between(a, b Side) (Difference, error) {
	d := Difference{A: a, B: b, Images: []ImageChange{}, Files: []FileChange{}}
	x, y := a.images(), b.images()
	for _, role := range keysOf(x, y) {
		if x[role] != y[role] {
			d.Images = append(d.Images, ImageChange{role, x[role], y[role]})
		}
	}
	d.Same = a.Package == b.Package && len(d.Images) == 0
	if a.Package == b.Package {
		return d, nil
	}
	before, err := filesOf(a)
	if err != nil {
		return d, err
	}
	after, err := filesOf(b)
	if err != nil {
		return d, err
	}
	d.files(before, after)
	return d, nil
}

// files adds what differs in the default values and the templates.
func (d *Difference) files(before, after map[string][]byte) {
	for _, name := range keysOf(before, after) {
		if bytes.Equal(before[name], after[name]) {
			continue
		}
		text := unified(name, before[name], after[name])
		if name == "values.yaml" {
			d.Values = text
			continue
		}
		c := FileChange{Name: name, Change: "changed", Diff: text}
		if _, ok := before[name]; !ok {
			c.Change = "added"
		} else if _, ok := after[name]; !ok {
			c.Change = "removed"
		}
		c.Plus, c.Minus = count(text)
		d.Files = append(d.Files, c)
	}
}

func filesOf(s Side) (map[string][]byte, error) {
	o := archive.Options{Limits: archive.DefaultLimits(), Lenient: true}
	unread := func(err error) error {
		return &api.Error{Code: api.CodeRefused, Message: fmt.Sprintf("read the package of %s@%s: %v", s.Chart, s.Version, err)}
	}
	p, err := archive.Read(s.data, o)
	if err != nil {
		return nil, unread(err)
	}
	templates, err := archive.Templates(s.data, o)
	if err != nil {
		return nil, unread(err)
	}
	out := map[string][]byte{}
	if values, ok := p.File("values.yaml"); ok {
		out["values.yaml"] = values
	}
	for _, f := range templates {
		out[f.Name] = f.Data
	}
	return out, nil
}

// unified is a diff without the line that only repeats the command.
func unified(name string, a, b []byte) string {
	text := string(diff.Diff("a/"+name, a, "b/"+name, b))
	if first, rest, ok := strings.Cut(text, "\n"); ok && strings.HasPrefix(first, "diff ") {
		return rest
	}
	return text
}

// count counts the lines of a unified diff that were added and taken away.
func count(text string) (plus, minus int) {
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "+++"), strings.HasPrefix(line, "---"):
		case line[0] == '+':
			plus++
		case line[0] == '-':
			minus++
		}
	}
	return plus, minus
}

// keysOf are the keys of two maps in order.
func keysOf[V any](a, b map[string]V) []string {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]V{}
	}
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}
