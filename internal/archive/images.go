package archive

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/ref"
)

// placeholder is what a source tree holds before it is built.
const placeholder = "set-by-chartpress"

// maxImages bounds the images of a package, subcharts counted under each of
// their names.
const maxImages = 5_000

// found is an image on the way up through the charts that hold its owner.
type found struct {
	Image
	full   []string // path of the map in the values of the chart looked at
	prefix int      // leading elements of full that name subcharts
	open   bool     // below a dependency that the package does not hold

	appVersion string // of the chart that owns the image
}

// images lists the images of a chart and of the charts packed in it. left
// bounds them: one subchart may be used under many names, at each depth.
func (c *chart) images(left *int) []found {
	var out []found
	if *left--; *left < 0 {
		return nil
	}
	under := c.subKeys()
	for _, key := range slices.Sorted(maps.Keys(c.values)) {
		m := c.values[key]
		if !m.isImage() || len(m.path) > 0 && under[m.path[0]] {
			continue
		}
		*left--
		out = append(out, c.own(m))
	}
	taken := map[string]bool{}
	for _, use := range c.uses() {
		for _, f := range use.chart.images(left) {
			*left--
			f.full = append([]string{use.key}, f.full...)
			f.prefix++
			if m := c.values[joined(f.full)]; m != nil {
				f.override(m)
			}
			if why := c.twice[use.chart]; why != "" {
				f.Problem = why
			}
			taken[joined(f.full)] = true
			out = append(out, f)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.values)) {
		m := c.values[key]
		if m.isImage() && len(m.path) > 0 && under[m.path[0]] && !taken[key] {
			f := c.own(m)
			f.Override, f.prefix, f.open = true, 1, true
			out = append(out, f)
		}
	}
	return out
}

func (c *chart) own(m *imageMap) found {
	f := found{full: m.path, appVersion: c.meta.AppVersion}
	f.site = imageMap{m.file, m.path, maps.Clone(m.keys)}
	f.fill()
	return f
}

// override applies a wrapper's values over those of the chart that owns the
// image.
func (f *found) override(m *imageMap) {
	if !f.Override {
		f.Base = f.Repository
		if f.Tag != "" {
			f.Base += ":" + f.Tag
		}
	}
	keys := maps.Clone(f.site.keys)
	maps.Copy(keys, m.keys)
	f.site = imageMap{m.file, m.path, keys}
	f.Override = true
	f.fill()
}

// fill reads the image from its scalars.
func (f *found) fill() {
	s := f.site
	f.File, f.Path, f.Problem = s.file, strings.Join(s.path, "."), ""
	name := s.value("repository")
	if name == "" {
		name = s.value("name")
	}
	if host := s.value("registry"); host != "" {
		name = host + "/" + name
	}
	tag, digest, _ := strings.Cut(s.value("tag"), "@")
	if d := s.value("digest"); d != "" {
		digest = d
	}
	f.Repository, f.Tag, f.Digest = name, tag, digest
	if tag == "" && digest == "" {
		f.Tag = f.appVersion
	}
	r, err := ref.ParseRepository(name)
	if err == nil {
		f.Repository = r.String()
	}
	switch {
	case tag == placeholder || strings.Contains(name, placeholder):
		f.Problem = fmt.Sprintf("the tag is %q, which the chart's build has to replace: run chartpress --skip-build, which writes tags and version, and publish what it made", placeholder)
	case err != nil:
		f.Problem = firstLine(err)
	case f.Tag == "" && digest == "":
		f.Problem = "it has no tag, and the chart no appVersion"
	case f.Tag != "" && !ref.ValidTag(f.Tag):
		f.Problem = fmt.Sprintf("%q is not a tag", f.Tag)
	}
	if digest != "" && f.Problem == "" {
		if _, err := ref.ParseDigest(digest); err != nil {
			f.Problem = firstLine(err)
		}
	}
}

// isHub: the hub image of the chart, of a chart packed in it, or of one it
// depends on.
func (f *found) isHub() bool {
	rest := f.full[f.prefix:]
	if f.open && len(rest) >= 2 {
		rest = rest[len(rest)-2:]
	}
	return ref.HubAt(rest)
}

// assignRoles gives every image its role and marks the required one. Of
// several hub images the one with the fewest subcharts above it is "hub",
// then the first by path; the others keep their whole path.
func assignRoles(all []found) (images []Image, warnings []string) {
	slices.SortStableFunc(all, func(a, b found) int {
		return cmp.Or(cmp.Compare(a.prefix, b.prefix), cmp.Compare(len(a.full), len(b.full)), slices.Compare(a.full, b.full))
	})
	byRole := map[ref.Role]int{}
	for _, f := range all {
		name := ref.RoleAt(f.full)
		if f.isHub() {
			if _, ok := byRole[ref.Hub]; !ok {
				name = string(ref.Hub)
			} else {
				warnings = append(warnings, fmt.Sprintf("several hub images: %s in %s is not the required one", f.Path, f.File))
			}
		}
		role, err := ref.ParseRole(name)
		if _, ok := byRole[role]; ok || err != nil {
			role, err = ref.ParseRole(strings.Join(f.full, "."))
		}
		if _, ok := byRole[role]; ok || err != nil {
			warnings = append(warnings, fmt.Sprintf("the image at %s in %s cannot be a role and is left out", f.Path, f.File))
			continue
		}
		f.Role, f.values = role, f.full
		byRole[role] = len(images)
		images = append(images, f.Image)
	}
	if role, ok := ref.Own(func(r ref.Role) bool { _, ok := byRole[r]; return ok }); ok {
		images[byRole[role]].Required = true
	}
	slices.SortFunc(images, func(a, b Image) int { return cmp.Compare(a.Role, b.Role) })
	return images, warnings
}
