package lockfile

import (
	"cmp"
	"slices"

	"chartd.dev/chartd/internal/ref"
)

// Name is the file's name at the top of a deploy repo.
const Name = "chartd.lock"

// MaxSize is the largest lock file that is read, in bytes.
const MaxSize = 10 << 20

// File is what a lock file says. Entries are sorted by key, in byte order.
type File struct{ Entries []Entry }

// Entry is what one environment is pinned to. An entry has either all of
// Chart, Source and Binding, or, where a chart is prepared for an environment
// that was never pinned, Source and Prepare alone.
type Entry struct {
	Key     string // "data8/prod", or "data8" where branches are stages
	Chart   Chart
	Source  string  // the chart repository's URL
	Images  []Image // the binding's required images, sorted by role
	Bases   []Image // the chart's own image where another one is bound, sorted by role
	Binding ref.BindingID
	Prepare *Chart // the chart that an image is being built for
}

// Chart names a chart version and its package.
type Chart struct {
	Name, Version string
	Digest        ref.Digest
}

// Image is an image with its role in the chart. Tag is "" where the image was
// bound by its digest alone.
type Image struct {
	Role       ref.Role
	Repository ref.Repository
	Tag        string
	Digest     ref.Digest
}

// Pinned reports whether the entry names a binding: false only where a chart
// is prepared for an environment that was never pinned.
func (e Entry) Pinned() bool { return !e.Binding.IsZero() }

// Get returns the entry with the key.
func (f File) Get(key string) (Entry, bool) {
	i, ok := slices.BinarySearchFunc(f.Entries, key, func(e Entry, key string) int { return cmp.Compare(e.Key, key) })
	if !ok {
		return Entry{}, false
	}
	return f.Entries[i], true
}

// With returns a file in which each of the entries replaces the one with its
// key, or is added. f stays as it is.
func (f File) With(entries ...Entry) File {
	byKey := make(map[string]Entry, len(f.Entries)+len(entries))
	for _, e := range slices.Concat(f.Entries, entries) {
		byKey[e.Key] = e.sorted()
	}
	out := File{make([]Entry, 0, len(byKey))}
	for _, e := range byKey {
		out.Entries = append(out.Entries, e)
	}
	slices.SortFunc(out.Entries, func(a, b Entry) int { return cmp.Compare(a.Key, b.Key) })
	return out
}

// Without returns a file that lacks the entry with the key. f stays as it is.
func (f File) Without(key string) File {
	return File{slices.DeleteFunc(slices.Clone(f.Entries), func(e Entry) bool { return e.Key == key })}
}

func (e Entry) sorted() Entry {
	e.Images, e.Bases = byRole(e.Images), byRole(e.Bases)
	return e
}

func byRole(images []Image) []Image {
	return slices.SortedStableFunc(slices.Values(images), func(a, b Image) int { return cmp.Compare(a.Role, b.Role) })
}
