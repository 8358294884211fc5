package repo

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/render"
	"chartd.dev/chartd/internal/render/manifest"
	"chartd.dev/chartd/lock"
	"sigs.k8s.io/yaml"
)

// naming is an image that a chart names for a role.
type naming struct {
	lock.ChartImage
	shown bool // rendering shows it
}

// images are those that a binding of the version is about: where the chart was
// rendered, the ones that it shows, as it shows them; else those of its values,
// read by convention. What the values name and nothing shows is left out.
func (t traced) images() []naming {
	if t.trace.Verdict == render.NotRendered {
		return t.byConvention(func(lock.ChartImage) bool { return true })
	}
	var out []naming
	for _, i := range t.trace.Images {
		if i.Role != "" {
			out = append(out, naming{t.asShown(i), true})
		}
	}
	if t.trace.Partial != "" {
		out = append(out, t.byConvention(func(c lock.ChartImage) bool {
			return !slices.ContainsFunc(out, func(n naming) bool { return n.Role == c.Role })
		})...)
	}
	own, ok := ref.Own(func(r ref.Role) bool { return slices.ContainsFunc(out, func(n naming) bool { return n.Role == r }) })
	if !ok {
		out, own = t.annotated(out)
	}
	for i := range out {
		out[i].Required = own != "" && out[i].Role == own
	}
	return out
}

// annotated finds the chart's own image by its annotation, where no role says
// which it is: one that has another role, or that no value feeds.
func (t traced) annotated(list []naming) ([]naming, ref.Role) {
	for _, a := range annotations(t.version.Metadata) {
		image, err := ref.ParseReference(a.Image)
		if err != nil || !ref.Role(a.Name).IsOwn() {
			continue
		}
		for _, n := range list {
			if r, err := reference(n.ChartImage); err == nil && r == image {
				return list, n.Role
			}
		}
		if t.shows(image) {
			i := lock.ChartImage{Role: ref.Role(a.Name), Repository: image.Repository.String(), Tag: image.Tag}
			if !image.Digest.IsZero() {
				i.Digest = image.Digest.String()
			}
			return append(list, naming{i, true}), i.Role
		}
	}
	return list, ""
}

type annotation struct{ Name, Image string }

// annotations reads what a chart says of its images.
func annotations(metadata []byte) (out []annotation) {
	var m struct{ Annotations map[string]string }
	if json.Unmarshal(metadata, &m) != nil || yaml.Unmarshal([]byte(m.Annotations["artifacthub.io/images"]), &out) != nil {
		return nil // it is a hint, and a publish warns of one that is none
	}
	return out
}

func (t traced) byConvention(which func(lock.ChartImage) bool) []naming {
	var out []naming
	for _, i := range t.version.Images {
		if which(i) {
			out = append(out, naming{i, false})
		}
	}
	return out
}

// asShown is a traced image in place of what the values say by convention: a
// template may add to it, or take another part of the values.
func (t traced) asShown(i render.Image) lock.ChartImage {
	out := lock.ChartImage{Role: ref.Role(i.Role)}
	if n := slices.IndexFunc(t.version.Images, func(c lock.ChartImage) bool { return c.Role == out.Role }); n >= 0 {
		out = t.version.Images[n]
	} else if n := slices.IndexFunc(i.Feeds, func(f render.Feed) bool { return f.File != "" }); n >= 0 {
		out.File, out.Path = i.Feeds[n].File, strings.Join(i.Feeds[n].Path, ".")
	}
	s := manifest.Split(i.Text)
	same := out.Repository == s.Repository() && out.Tag == s.Tag // and so is its problem
	out.Repository, out.Tag, out.Digest = s.Repository(), s.Tag, s.Digest
	if _, err := ref.ParseReference(i.Text); err != nil {
		out.Problem = fmt.Sprintf("the chart renders %q, which is no image reference", i.Text)
		if n := slices.IndexFunc(i.Feeds, func(f render.Feed) bool { return f.Part == render.PartTag && f.File != "" }); n >= 0 {
			out.Problem += fmt.Sprintf(": quote the tag at %s in %s, so that YAML takes it for no number", strings.Join(i.Feeds[n].Path, "."), i.Feeds[n].File)
		}
	} else if !same {
		out.Problem = ""
	}
	return out
}

// shows finds an image that is rendered although no value feeds it: somebody
// may name it for a role.
func (t traced) shows(image ref.Reference) bool {
	return slices.ContainsFunc(t.trace.Images, func(i render.Image) bool {
		r, err := ref.ParseReference(i.Text)
		return err == nil && r == image
	})
}

var (
	errNotUnderstood = errors.New("images not understood")
	// errTwice says that which copy of a subchart is rendered is left to chance.
	errTwice = errors.New("a subchart is there twice")
)

// alike refuses a package of which Helm renders this or that, by chance.
func (t traced) alike() error {
	for _, twice := range t.trace.Twice {
		if !twice.Equal {
			return fmt.Errorf("%w: %w in %s: %s, as %s, and they differ, so Helm renders either by chance: keep one of them",
				lock.ErrRefused, errTwice, t.version.Chart, twice.Name, strings.Join(twice.Files, " and "))
		}
	}
	return nil
}

// maxSeen is how many images a refusal lists.
const maxSeen = 5

// noRole says why a binding without images would be wrong: the chart shows
// images, and which of them it is for is not known. It is nil where there are
// none, or where nobody can know.
func (t traced) noRole() error {
	var seen []string
	example := "ROLE=REFERENCE"
	for _, i := range t.images() {
		seen = append(seen, fmt.Sprintf("%s (role %s)", i.Repository+":"+i.Tag, i.Role))
		example = fmt.Sprintf("%s=%s", i.Role, i.Repository+":"+i.Tag)
	}
	for _, i := range t.trace.Images {
		if i.Role == "" {
			seen = append(seen, fmt.Sprintf("%s (in %s)", i.Text, places(i.Places)))
		}
	}
	if len(seen) == 0 && t.trace.Verdict != render.NotUnderstood {
		return nil
	}
	what := "its templates make references that could not be read"
	if len(seen) > 0 {
		what = "seen " + strings.Join(seen[:min(len(seen), maxSeen)], ", ")
	}
	if more := len(seen) - maxSeen; more > 0 {
		what += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Errorf("%w: %w: none of them is the hub's or the chart's main one: %s; name what it is for with %s --image %s, or in the annotation artifacthub.io/images",
		lock.ErrRefused, errNotUnderstood, what, advice.Bind.With(model.Facts{Chart: t.version.Chart}), example)
}

func places(list []render.Place) string {
	if len(list) == 0 {
		return "no place"
	}
	s := list[0].String()
	if len(list) > 1 {
		s += fmt.Sprintf(" and %d more", len(list)-1)
	}
	return s
}

// requires are the roles that need an image.
func (t traced) requires() []ref.Role {
	out := []ref.Role{}
	for _, i := range t.images() {
		if i.Required {
			out = append(out, i.Role)
		}
	}
	return out
}

// unshown says why no rendering showed an image that the values name.
func (t traced) unshown() string {
	if t.trace.Verdict == render.NotRendered {
		for _, a := range t.trace.Attempts {
			if a.Failure != nil {
				return a.Failure.String()
			}
		}
		return string(render.NotRendered)
	}
	if t.trace.Partial != "" {
		return "traced in part: " + t.trace.Partial
	}
	if t.trace.Verdict == render.NoImages {
		return ""
	}
	return "nothing that is rendered by default shows it"
}
