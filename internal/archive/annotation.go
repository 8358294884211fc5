package archive

import (
	"slices"

	"chartd.dev/chartd/internal/ref"
	"sigs.k8s.io/yaml"
)

// crossCheck compares the images with what the annotation says.
func (r *reader) crossCheck(annotation string, images []Image) {
	if annotation == "" {
		return
	}
	list, ok := r.listed([]byte(annotation))
	if !ok {
		r.warn("the annotation artifacthub.io/images is not a list of images")
		return
	}
	for _, i := range images {
		var named []string
		for _, l := range list {
			at, err := ref.ParseReference(l)
			if err == nil && at.Repository.String() == i.Repository {
				named = append(named, at.Tag)
			}
		}
		if len(named) > 0 && !slices.Contains(named, i.Tag) {
			r.warn("the values name %s:%s, the annotation artifacthub.io/images the tag %s", i.Repository, i.Tag, quote(named[0]))
		}
	}
}

// listed reads the images of the annotation.
func (r *reader) listed(annotation []byte) ([]string, bool) {
	var list []struct {
		Image string `json:"image"`
	}
	if f, err := r.b.parseYAML("artifacthub.io/images", annotation); err != nil || f == nil ||
		yaml.Unmarshal(annotation, &list) != nil {
		return nil, false
	}
	var out []string
	for _, l := range list {
		out = append(out, l.Image)
	}
	return out, true
}
