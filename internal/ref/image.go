package ref

import (
	"net/netip"
	"strconv"
	"strings"
)

// Repository is the canonical name of an image repository: registry host,
// slash, path. Docker Hub's short names are written out
// ("traefik" is "docker.io/library/traefik").
type Repository struct{ host, path string }

// ParseRepository reads a repository as container engines do, without tag or
// digest.
func ParseRepository(s string) (Repository, error) {
	r, err := ParseReference(s)
	if err != nil {
		return Repository{}, err
	}
	if r.Tag != "" || !r.Digest.IsZero() {
		return Repository{}, invalid("image repository", s, "want no tag and no digest")
	}
	return r.Repository, nil
}

// Host is the registry's host, with its port where it has one.
func (r Repository) Host() string { return r.host }

// Path is the repository's path at the registry.
func (r Repository) Path() string { return r.path }

// String returns "host/path".
func (r Repository) String() string {
	if r.host == "" {
		return ""
	}
	return r.host + "/" + r.path
}

// IsZero reports whether r names nothing.
func (r Repository) IsZero() bool { return r.host == "" }

// MarshalText implements encoding.TextMarshaler.
func (r Repository) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Repository) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*r = Repository{}
		return nil
	}
	v, err := ParseRepository(string(b))
	if err == nil {
		*r = v
	}
	return err
}

// Reference is what people write: a repository with a tag, a digest, or both.
type Reference struct {
	Repository Repository
	Tag        string // "" if none was given
	Digest     Digest // zero if none was given
}

// ParseReference reads "repository[:tag][@digest]". A missing tag stays
// missing: nothing here assumes "latest".
func ParseReference(s string) (Reference, error) {
	const what = "image reference"
	var out Reference
	rest := s
	if before, after, ok := strings.Cut(rest, "@"); ok {
		d, err := ParseDigest(after)
		if err != nil {
			return Reference{}, err
		}
		out.Digest, rest = d, before
	}
	if i := strings.LastIndexByte(rest, ':'); i >= 0 && !strings.Contains(rest[i:], "/") {
		if !ValidTag(rest[i+1:]) {
			return Reference{}, invalid(what, s, "the tag is not well formed")
		}
		out.Tag, rest = rest[i+1:], rest[:i]
	}
	host, path, ok := strings.Cut(rest, "/")
	if !ok || !(strings.ContainsAny(host, ".:") || host == "localhost") {
		host, path = "docker.io", rest
	}
	if host == "index.docker.io" || host == "registry-1.docker.io" {
		host = "docker.io"
	}
	if host == "docker.io" && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	if !validHost(host) {
		return Reference{}, invalid(what, s, "the registry host is not well formed")
	}
	if !validPath(path) {
		return Reference{}, invalid(what, s, "want lower-case path elements such as quay.io/jupyterhub/k8s-hub")
	}
	out.Repository = Repository{host, path}
	return out, nil
}

// String returns the canonical form.
func (r Reference) String() string {
	s := r.Repository.String()
	if r.Tag != "" {
		s += ":" + r.Tag
	}
	if !r.Digest.IsZero() {
		s += "@" + r.Digest.String()
	}
	return s
}

// ValidTag reports whether s can be a tag.
func ValidTag(s string) bool {
	return len(s) <= 128 && wordChars(s, "._-") && s[0] != '.' && s[0] != '-'
}

// Image is an image's identity: repository and digest. For a multi-platform
// image the digest is the index's.
type Image struct {
	Repository Repository
	Digest     Digest
}

// ParseImage reads "repository@sha256:…".
func ParseImage(s string) (Image, error) {
	r, err := ParseReference(s)
	if err != nil {
		return Image{}, err
	}
	if r.Digest.IsZero() || r.Tag != "" {
		return Image{}, invalid("image", s, "want REPOSITORY@sha256:… and no tag")
	}
	return Image{r.Repository, r.Digest}, nil
}

// String returns "repository@digest".
func (i Image) String() string {
	if i.Repository.IsZero() {
		return ""
	}
	return i.Repository.String() + "@" + i.Digest.String()
}

// IsZero reports whether i names nothing.
func (i Image) IsZero() bool { return i.Repository.IsZero() }

// MarshalText implements encoding.TextMarshaler.
func (i Image) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (i *Image) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*i = Image{}
		return nil
	}
	v, err := ParseImage(string(b))
	if err == nil {
		*i = v
	}
	return err
}

func validPath(p string) bool {
	if p == "" || len(p) > 255 {
		return false
	}
	for _, e := range strings.Split(p, "/") {
		if e == "" || !alnumLower(e[0]) || !alnumLower(e[len(e)-1]) {
			return false
		}
		words := strings.FieldsFunc(e, func(r rune) bool { return r == '.' || r == '_' || r == '-' })
		for _, w := range words {
			i := strings.Index(e, w)
			if !validSeparator(e[:i]) || strings.ContainsFunc(w, func(r rune) bool { return r > 127 || !alnumLower(byte(r)) }) {
				return false
			}
			e = e[i+len(w):]
		}
	}
	return true
}

// validSeparator takes what may stand between two words of a path element.
func validSeparator(s string) bool {
	return s == "" || s == "." || s == "_" || s == "__" || strings.Trim(s, "-") == ""
}

func alnumLower(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// validHost takes a DNS name, a dotted-quad address or a bracketed IPv6
// address, each with an optional port. Numbers that C libraries would read as
// addresses ("127.1", "0x7f000001", "2130706433") are none of these.
func validHost(h string) bool {
	name, port := h, ""
	if strings.HasPrefix(h, "[") {
		end := strings.IndexByte(h, ']')
		if end < 0 {
			return false
		}
		addr, err := netip.ParseAddr(h[1:end])
		if err != nil || !addr.Is6() || addr.Zone() != "" || addr.String() != h[1:end] { // one spelling, no zone
			return false
		}
		name, port = "", h[end+1:]
		if port != "" && port[0] != ':' {
			return false
		}
		port = strings.TrimPrefix(port, ":")
		if h[end+1:] == "" {
			return true
		}
	} else if i := strings.IndexByte(h, ':'); i >= 0 {
		name, port = h[:i], h[i+1:]
		if port == "" {
			return false
		}
	}
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || port[0] == '0' || port[0] == '+' {
			return false
		}
	}
	if strings.HasPrefix(h, "[") {
		return port != ""
	}
	if len(name) > 253 {
		return false
	}
	labels := strings.Split(name, ".")
	for _, l := range labels {
		if !dnsLabel(strings.ToLower(l)) || l != strings.ToLower(l) {
			return false
		}
	}
	last := labels[len(labels)-1]
	if last[0] >= '0' && last[0] <= '9' {
		addr, err := netip.ParseAddr(name)
		return err == nil && addr.Is4()
	}
	return true
}
