package deploy

import (
	"cmp"
	"slices"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/ref"
)

// EntryOf is what the lock file says under key of an environment that is
// pinned to b, whose chart comes from source. Only required images are part of
// a binding, so only they are named.
func EntryOf(key string, b api.Binding, source string) lockfile.Entry {
	e := lockfile.Entry{
		Key: key, Source: source, Binding: b.ID,
		Chart: lockfile.Chart{Name: b.Name, Version: b.Version, Digest: b.Package},
	}
	for _, i := range b.Images {
		if !i.Required {
			continue
		}
		e.Images = append(e.Images, lockImage(i.Role, i.Image, i.Tag))
		if !i.Base.IsZero() && i.Base != i.Image {
			e.Bases = append(e.Bases, lockImage(i.Role, i.Base, i.BaseTag))
		}
	}
	byRole := func(a, b lockfile.Image) int { return cmp.Compare(a.Role, b.Role) }
	slices.SortFunc(e.Images, byRole)
	slices.SortFunc(e.Bases, byRole)
	return e
}

func lockImage(role ref.Role, i ref.Image, tag string) lockfile.Image {
	return lockfile.Image{Role: role, Repository: i.Repository, Tag: tag, Digest: i.Digest}
}

// WantOf is what the sites of an environment say when its lock entry is e.
func WantOf(e lockfile.Entry) site.Want {
	return site.Want{
		Version: e.Chart.Version, Package: e.Chart.Digest, Source: e.Source,
		Images: named(e.Images), Bases: named(e.Bases),
	}
}

func named(images []lockfile.Image) map[ref.Role]site.Named {
	out := map[ref.Role]site.Named{}
	for _, i := range images {
		out[i.Role] = site.Named{Repository: i.Repository, Tag: i.Tag, Digest: i.Digest}
	}
	return out
}
