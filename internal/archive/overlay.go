package archive

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"chartd.dev/chartd/internal/ref"
	"go.yaml.in/yaml/v4"
)

// Overlay returns a values file that puts the images over the chart's own, for
// those who cannot use a sealed package. A prefix is the name under which a
// wrapper has the chart. An image inside a list has no overlay: Helm replaces
// lists as a whole.
func (p *Package) Overlay(want map[ref.Role]SealImage, prefix string) ([]byte, error) {
	root := map[string]any{}
	for _, role := range slices.Sorted(maps.Keys(want)) {
		i := slices.IndexFunc(p.Images, func(i Image) bool { return i.Role == role })
		if i < 0 {
			return nil, fmt.Errorf("%w: the values of %s name no image for role %s", ErrNoSite, p.Chart, role)
		}
		image := p.Images[i]
		path := image.values
		if prefix != "" {
			path = append([]string{prefix}, path...)
		}
		at := root
		for _, key := range path {
			if _, err := strconv.Atoi(key); err == nil {
				return nil, fmt.Errorf("%w: the %s image of %s stands in a list, at %s", ErrNoSite, role, p.Chart, image.Path)
			}
			next, ok := at[key].(map[string]any)
			if !ok {
				next = map[string]any{}
				at[key] = next
			}
			at = next
		}
		image.overlay(at, want[role])
	}
	if len(root) == 0 {
		return []byte("{}\n"), nil
	}
	return yaml.Marshal(root)
}

// overlay sets the keys that the chart's templates read for the image.
func (i Image) overlay(at map[string]any, want SealImage) {
	name := "name"
	if _, ok := i.site.keys["repository"]; ok {
		name = "repository"
	}
	repository := want.Repository.String()
	if _, ok := i.site.keys["registry"]; ok {
		at["registry"] = want.Repository.Host()
		repository = want.Repository.Path()
	}
	at[name] = repository
	if _, ok := i.site.keys["digest"]; ok {
		at["tag"], at["digest"] = want.Tag, want.Digest.String()
		return
	}
	at["tag"] = want.Tag + "@" + want.Digest.String()
}
