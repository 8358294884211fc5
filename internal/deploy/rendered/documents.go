package rendered

import (
	"fmt"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/render/manifest"
)

// images are the image references of a rendering, by the place where each
// stands: two renderings of one chart have the same places.
type images struct {
	places []string
	at     map[string]shown
}

// shown is one reference, and where it is rendered.
type shown struct {
	text      string
	object    string // Deployment hub
	container bool   // a container's image, not a reference in other text
}

// imagesOf reads what helm template prints.
func imagesOf(out []byte) (images, []string) {
	all := images{at: map[string]shown{}}
	var unread []string
	objects := map[string]int{}
	for _, text := range strings.Split("\n"+string(out), "\n---\n# Source: ")[1:] {
		name, text, _ := strings.Cut(text, "\n")
		d, err := manifest.Parse(name, text)
		if err != nil {
			unread = append(unread, err.Error())
			continue
		}
		object := fmt.Sprintf("%s %s %s", name, d.Kind, d.Name)
		objects[object]++
		for _, l := range d.Leaves {
			for n, span := range l.References() {
				key := fmt.Sprintf("%s %d %s %d", object, objects[object], l.Key(), n)
				all.places = append(all.places, key)
				all.at[key] = shown{l.Value[span.From:span.To], d.Kind + " " + d.Name + " of " + name, l.IsContainerImage()}
			}
		}
	}
	return all, unread
}

// wrong is a reference that is not the pinned image.
type wrong struct {
	shown
	image lockfile.Image
	weak  bool // the pinned tag without its digest
}

// wrongIn are the references of a rendering that are not the pinned ones:
// those that would be another with the pinned images put over all values, and
// those of a pinned repository. seen are the roles that show at all.
func wrongIn(is, pinned images, want []lockfile.Image) (out []wrong, seen map[ref.Role]bool) {
	seen = map[ref.Role]bool{}
	for _, key := range is.places {
		now := is.at[key]
		i := slices.IndexFunc(want, func(w lockfile.Image) bool { return same(now.text, w) })
		if i >= 0 {
			seen[want[i].Role] = true
			continue
		}
		i = slices.IndexFunc(want, func(w lockfile.Image) bool { return same(pinned.at[key].text, w) })
		if i < 0 {
			i = slices.IndexFunc(want, func(w lockfile.Image) bool { return repositoryOf(now.text) == w.Repository.String() })
		}
		if i < 0 {
			continue
		}
		w := want[i]
		seen[w.Role] = true
		r, err := ref.ParseReference(now.text)
		weak := err == nil && r.Repository == w.Repository && r.Digest.IsZero() && r.Tag == w.Tag && w.Tag != ""
		if !slices.ContainsFunc(out, func(have wrong) bool { return have.text == now.text && have.image.Role == w.Role }) {
			out = append(out, wrong{now, w, weak})
		}
	}
	return out, seen
}

// same: the reference is the image, whatever its tag is called.
func same(text string, want lockfile.Image) bool {
	r, err := ref.ParseReference(text)
	return err == nil && r.Repository == want.Repository && r.Digest == want.Digest
}

func repositoryOf(text string) string { return manifest.Canonical(manifest.Split(text).Repository()) }
