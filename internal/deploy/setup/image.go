package setup

import (
	"cmp"
	"fmt"
	"strings"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/ref"
)

// saidImage is what the sites of an environment say of one image: repository,
// tag and digest, each with its place.
type saidImage struct{ parts, place map[string]string }

// imageIn is the one image that the sites name for a role, "" for none. What
// no site says of it, the chart does.
func imageIn(env ref.Env, files *site.Files, sites []site.Site, image api.ChartImage) (string, error) {
	said := saidImage{map[string]string{}, map[string]string{}}
	for _, at := range sites {
		part, ok := imagePart(at, image.Role)
		if !ok {
			continue
		}
		v, err := files.Value(at)
		if err != nil {
			return "", deploy.Coded(err)
		}
		for part, text := range partsOf(part, v) {
			if was := said.parts[part]; text != "" && was != "" && was != text {
				return "", api.Errorf(api.CodeUsage, "%s cannot be adopted: %s:%d says %q for the %s of %s, and %s %q", env, at.File, v.Line, text, part, image.Role, said.place[part], was)
			}
			if text != "" {
				said.parts[part], said.place[part] = text, fmt.Sprintf("%s:%d", at.File, v.Line)
			}
		}
	}
	return said.reference(image), nil
}

// imagePart says which part of the image of a role a site holds; "" is all.
func imagePart(at site.Site, role ref.Role) (string, bool) {
	if at.Kind == site.Image || at.Kind == site.ImageRef {
		return "", at.Role == role
	}
	rest, ok := strings.CutPrefix(at.Path, "image."+string(role))
	if at.Kind != site.Marker || !ok {
		return "", false
	}
	switch rest {
	case "", ".repository", ".tag", ".digest":
		return strings.TrimPrefix(rest, "."), true
	}
	return "", false
}

func partsOf(part string, v site.Value) map[string]string {
	out := map[string]string{"tag": v.Tag, "repository": v.Repository}
	if part == "repository" {
		out["repository"] = v.Text
	}
	if !v.Digest.IsZero() {
		out["digest"] = v.Digest.String()
	}
	return out
}

func (s saidImage) reference(own api.ChartImage) string {
	if len(s.parts) == 0 {
		return ""
	}
	out, tag, digest := cmp.Or(s.parts["repository"], own.Repository), s.parts["tag"], s.parts["digest"]
	if tag == "" && digest == "" {
		tag = own.Tag
	}
	if tag != "" {
		out += ":" + tag
	}
	if digest != "" {
		out += "@" + digest
	}
	return out
}
