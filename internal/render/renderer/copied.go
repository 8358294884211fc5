package renderer

import (
	"slices"
	"strings"

	"chartd.dev/chartd/internal/render/manifest"
)

// maxCopies is how deep copies are looked for in copies.
const maxCopies = 3

// copied: a text differs as copies of bound images do: in base64, in YAML or
// JSON, or with their references in it.
func (j *judge) copied(from, to string, depth int) bool {
	if depth > maxCopies {
		return false
	}
	if a, ok := decoded(from); ok {
		if b, ok := decoded(to); ok && j.copied(a, b, depth+1) {
			return true
		}
	}
	if a, ok := structure(from); ok {
		if b, ok := structure(to); ok && j.copiedLeaves(manifest.Flatten(a), manifest.Flatten(b), depth) {
			return true
		}
	}
	return j.replaced(from, to)
}

// copiedLeaves: two structures differ in parts of bound images alone.
func (j *judge) copiedLeaves(a, b []manifest.Leaf, depth int) bool {
	diffs := compareLeaves(manifest.Document{Leaves: a}, manifest.Document{Leaves: b}, 0)
	for _, d := range diffs {
		if d.structural() || d.to.Type != manifest.String {
			return false
		}
		hex := hexText.MatchString(d.from.Value) && hexText.MatchString(d.to.Value) && len(d.from.Value) == len(d.to.Value)
		if !hex && !j.partOfCopy(b, d) && !j.copied(d.from.Value, d.to.Value, depth+1) {
			return false
		}
	}
	return true
}

// partOfCopy: the leaf is a part of a bound image, of which its neighbours
// are the others.
func (j *judge) partOfCopy(all []manifest.Leaf, d difference) bool {
	for i := range j.bound {
		if j.assembled(i, siblings(all, d.to.Path)) {
			return true
		}
	}
	return false
}

// partPinned is partOfCopy for a reference in parts of a document itself.
func (j *judge) partPinned(i int, d difference) bool {
	docs := j.sealed.docs[d.doc.Template]
	return d.index < len(docs) && j.assembled(i, siblings(docs[d.index].Leaves, d.to.Path))
}

// siblings are the strings of the map that a leaf stands in, by key.
func siblings(all []manifest.Leaf, path []string) map[string]string {
	out := map[string]string{}
	n := len(path)
	for _, l := range all {
		if len(l.Path) == n && slices.Equal(l.Path[:n-1], path[:n-1]) && l.Type == manifest.String {
			out[strings.ToLower(l.Last())] = l.Value
		}
	}
	return out
}

// assembled: parts next to each other make the bound image by its digest.
func (j *judge) assembled(i int, parts map[string]string) bool {
	name := parts["repository"]
	for _, key := range []string{"name", "image"} {
		if name == "" {
			name = parts[key]
		}
	}
	if host := parts["registry"]; host != "" {
		name = host + "/" + name
	}
	tag, digest, _ := strings.Cut(parts["tag"], "@")
	for _, key := range []string{"digest", "sha", "sha256"} {
		if digest == "" && parts[key] != "" {
			digest = "sha256:" + strings.TrimPrefix(parts[key], "sha256:")
		}
	}
	text := name
	if tag != "" && !strings.Contains(name, "@") {
		text += ":" + tag
	}
	if digest != "" && !strings.Contains(name, "@") {
		text += "@" + digest
	}
	return j.isPinned(i, text)
}

// replaced: to is from with references of bound images replaced.
func (j *judge) replaced(from, to string) bool {
	at, next := 0, 0
	for at < len(from) {
		text, bound, found := j.nextReference(from[at:])
		if text < 0 {
			break
		}
		before := from[at : at+text]
		if !strings.HasPrefix(to[next:], before) {
			return false
		}
		next += len(before)
		end := token(to, next, next).To
		if now := to[next:end]; now != found && !j.isPinned(bound, now) {
			return false
		}
		at, next = at+text+len(found), end
	}
	return at > 0 && from[at:] == to[next:]
}

// nextReference is the first reference of a bound image in a text.
func (j *judge) nextReference(s string) (at, bound int, text string) {
	at = -1
	for ref, i := range j.texts {
		for from := 0; ; {
			k := strings.Index(s[from:], ref)
			if k < 0 {
				break
			}
			from += k
			if token(s, from, from+len(ref)) == (manifest.Span{From: from, To: from + len(ref)}) {
				if at < 0 || from < at {
					at, bound, text = from, i, ref
				}
				break
			}
			from += len(ref)
		}
	}
	return at, bound, text
}
