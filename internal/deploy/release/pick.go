package release

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/ref"
)

// VersionOf is the version of a chart in the release: the release's own, or
// that of a subchart in a wrapper. Not every form says it.
func (r Release) VersionOf(chart string) (string, bool) {
	if r.Chart.Name == chart && r.Chart.Version != "" {
		return r.Chart.Version, true
	}
	if v, ok := LabelVersion(r.Label, chart); ok && r.Chart.Name == "" {
		return v, true
	}
	for _, d := range r.Dependencies {
		if d.Name == chart {
			return d.Version, true
		}
	}
	return "", false
}

// LabelVersion is VERSION of a label NAME-VERSION, as Helm lists charts and names
// their packages. Of "hub-extras-1.0.0" it is not a version of "hub".
func LabelVersion(label, chart string) (string, bool) {
	v, ok := strings.CutPrefix(label, chart+"-")
	number := strings.TrimPrefix(v, "v")
	return v, ok && number != "" && number[0] >= '0' && number[0] <= '9'
}

// NamedAs are the images of the containers that are named as the role is, by
// its last word; each image once.
func (r Release) NamedAs(role ref.Role) []Image {
	return r.images(func(c Image) bool { return c.Container == lastWord(role) })
}

func lastWord(role ref.Role) string { return string(role[strings.LastIndexByte(string(role), '.')+1:]) }

// ImageOf is the image that runs for a role of the chart: that of the
// containers named as the role is, else the one from the repository that the
// chart itself names. It is refused where that is none, or more than one.
func (r Release) ImageOf(role ref.Role, own string) (Image, error) {
	if !r.Rendered {
		return Image{}, fmt.Errorf("it holds no image of release %q", cutText(r.Name))
	}
	named := r.NamedAs(role)
	found := named
	if len(found) != 1 {
		repository, err := ref.ParseReference(own)
		found = r.images(func(c Image) bool { return err == nil && c.Ref.Repository == repository.Repository })
	}
	switch {
	case len(found) == 1 && found[0].Ref.Tag == "" && found[0].Ref.Digest.IsZero():
		return Image{}, fmt.Errorf("container %q of %s runs %q, which has neither a tag nor a digest", found[0].Container, found[0].Object, cutText(found[0].Text))
	case len(found) == 1:
		return found[0], nil
	case len(found) == 0 && len(named) == 0:
		return Image{}, fmt.Errorf("no container of release %q is named %q or runs %s", cutText(r.Name), lastWord(role), cutText(own))
	case len(found) == 0:
		found = named
	}
	var texts []string
	for _, c := range found {
		texts = append(texts, c.Text)
	}
	return Image{}, fmt.Errorf("release %q runs several images that may be the %s image: %s", cutText(r.Name), role, cutText(strings.Join(texts, ", ")))
}

// images are those of the containers that f chooses, each image once.
func (r Release) images(f func(Image) bool) []Image {
	var out []Image
	for _, c := range r.Images {
		if f(c) && !slices.ContainsFunc(out, func(have Image) bool { return have.Text == c.Text }) {
			out = append(out, c)
		}
	}
	return out
}

// Pick chooses the release of an environment: the one with the name, or
// the only one that is called as the environment is, or that runs the chart.
func Pick(all []Release, env ref.Env, chart, name string) (Release, error) {
	var names []string
	for _, r := range all {
		names = append(names, r.Name)
	}
	matches := func(f func(Release) bool) []Release {
		return slices.DeleteFunc(slices.Clone(all), func(r Release) bool { return !f(r) })
	}
	for _, found := range [][]Release{
		matches(func(r Release) bool { return name != "" && r.Name == name }),
		matches(func(r Release) bool { return name == "" && r.Name == env.Hub()+"-"+env.Stage() }),
		matches(func(r Release) bool { _, ok := r.VersionOf(chart); return name == "" && ok }),
		matches(func(Release) bool { return name == "" && len(all) == 1 }),
	} {
		switch {
		case len(found) > 1:
			return Release{}, fmt.Errorf("it lists %d releases that may be that of %s (%s): choose one with --release NAME, or list one namespace", len(found), env, cutText(strings.Join(names, ", ")))
		case len(found) == 1:
			r := found[0]
			if _, ok := r.VersionOf(chart); !ok && !r.Rendered {
				return r, fmt.Errorf("it says of release %q neither the version of %s nor its images (%q): give the release secret", r.Name, chart, cmp.Or(r.Label, r.Chart.Name))
			}
			return r, nil
		}
	}
	return Release{}, fmt.Errorf("it holds no release %q of %s; it lists %s: choose one with --release NAME", name, chart, cutText(strings.Join(names, ", ")))
}
