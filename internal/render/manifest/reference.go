package manifest

import (
	"regexp"
	"strings"

	"chartd.dev/chartd/internal/ref"
)

// Reference is an image reference as it is written, in its parts.
type Reference struct {
	Host   string // "" where none is written
	Path   string
	Tag    string
	Digest string // sha256:…
}

// Grammar of a reference, as container engines read it.
const (
	component = `[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*`
	domain    = `(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::[0-9]+)?`
	path      = component + `(?:/` + component + `)*`
	tag       = `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`
	digest    = `sha256:[0-9a-f]{64}`
)

var (
	whole = regexp.MustCompile(`^(` + domain + `/)?(` + path + `)(?::(` + tag + `))?(?:@(` + digest + `))?$`)
	// within finds references in other text: only with a host that looks like
	// one, and a tag or a digest.
	within = regexp.MustCompile(domain + `/` + path + `(?:(?::` + tag + `)(?:@` + digest + `)?|@` + digest + `)`)
)

// ParseReference reads a string that is a reference and nothing else.
func ParseReference(s string) (Reference, bool) {
	m := whole.FindStringSubmatch(s)
	if m == nil {
		return Reference{}, false
	}
	r := Reference{Host: strings.TrimSuffix(m[1], "/"), Path: m[2], Tag: m[3], Digest: m[4]}
	if r.Host != "" && !isHost(r.Host) {
		r.Path, r.Host = r.Host+"/"+r.Path, ""
		if !regexpPath.MatchString(r.Path) {
			return Reference{}, false
		}
	}
	return r, true
}

var regexpPath = regexp.MustCompile(`^` + path + `$`)

// isHost tells a registry from the first part of a path on Docker Hub.
func isHost(s string) bool { return strings.ContainsAny(s, ".:") || s == "localhost" }

// Canonical is a repository as container engines read it: with its host, and
// on Docker Hub with the part that an official image leaves out. What is none
// stays as it is.
func Canonical(repository string) string {
	r, err := ref.ParseRepository(repository)
	if err != nil {
		return repository
	}
	return r.String()
}

// Split reads what stands where a reference does, though it may be none: what
// is behind the last colon is the tag.
func Split(s string) Reference {
	if r, ok := ParseReference(s); ok {
		return r
	}
	var r Reference
	s, r.Digest, _ = strings.Cut(s, "@")
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, '/') {
		s, r.Tag = s[:i], s[i+1:]
	}
	if host, rest, ok := strings.Cut(s, "/"); ok && isHost(host) {
		r.Host, s = host, rest
	}
	r.Path = s
	return r
}

// Repository is the reference without tag and digest, as it is written.
func (r Reference) Repository() string {
	if r.Host == "" {
		return r.Path
	}
	return r.Host + "/" + r.Path
}

// Span is a reference in a longer text.
type Span struct{ From, To int }

// References finds the image references of a leaf: the whole value where it
// stands at a key for images and is one, else those inside it that can be
// nothing else.
func (l Leaf) References() []Span {
	if l.Type != String || len(l.Value) < 2 {
		return nil
	}
	if l.IsContainerImage() || namesImage(l.Last()) {
		if _, ok := ParseReference(l.Value); ok || l.IsContainerImage() {
			return []Span{{0, len(l.Value)}}
		}
	}
	if !strings.Contains(l.Value, "/") || !strings.Contains(l.Value, ":") {
		return nil
	}
	return Within(l.Value)
}

// namesImage: a key under which a string is an image reference: image, and
// fields such as sidecarImage.
func namesImage(key string) bool { return key == "image" || strings.HasSuffix(key, "Image") }

// Within finds references in a text.
func Within(text string) []Span {
	var out []Span
	for _, at := range within.FindAllStringIndex(text, -1) {
		host, _, _ := strings.Cut(text[at[0]:at[1]], "/")
		if !isHost(host) || !alone(text, at[0], at[1]) {
			continue
		}
		if _, ok := ParseReference(text[at[0]:at[1]]); ok {
			out = append(out, Span{at[0], at[1]})
		}
	}
	return out
}

// alone: what was found is not a part of something longer, such as a URL.
func alone(text string, from, to int) bool {
	if from > 0 && strings.IndexByte("/@.:-_", text[from-1]) >= 0 {
		return false
	}
	return to == len(text) || strings.IndexByte("/@:", text[to]) < 0
}
