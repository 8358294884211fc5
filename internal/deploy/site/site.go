package site

import (
	"errors"
	"fmt"
	"strings"

	"chartd.dev/chartd/internal/ref"
)

// Kind is how a value is written at a site.
type Kind string

// The kinds; the package comment describes them.
const (
	Dependency Kind = "dependency"
	HelmLock   Kind = "helm-lock"
	Image      Kind = "image"
	ImageRef   Kind = "image-ref"
	From       Kind = "from"
	Marker     Kind = "marker"
)

// Why a site cannot be used.
var (
	ErrMissing  = errors.New("not found")
	ErrDoubled  = errors.New("found more than once")
	ErrShared   = errors.New("shared through an alias or a merge key")
	ErrTemplate = errors.New("written by a template")
	ErrForm     = errors.New("not written as its kind wants it")
	ErrSyntax   = errors.New("not readable")
	ErrConflict = errors.New("in a merge conflict")
)

// Error says which site cannot be used, and where it would be.
type Error struct {
	File string
	Line int // 0 where there is no line to name
	Text string
	Err  error // one of the sentinels, or what reading the file gave
}

// Error returns FILE:LINE and one sentence.
func (e *Error) Error() string {
	at := e.File
	if e.Line > 0 {
		at = fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	return at + ": " + e.Text
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// Site is one place where a half of a pair is written.
type Site struct {
	Kind       Kind
	File       string   // path in the repo, with slashes
	Role       ref.Role // of the image; of the image that is built, for from
	Name       string   // of the dependency; the label of a marker
	Path       string   // in YAML; the key of a marker
	Repository string   // that the place must name now; its path alone will do
	Count      int      // places that must match; 0 is 1
}

// Named is an image with the tag it is called by.
type Named struct {
	Repository ref.Repository
	Tag        string
	Digest     ref.Digest
}

// String returns the full reference.
func (n Named) String() string {
	return ref.Reference{Repository: n.Repository, Tag: n.Tag, Digest: n.Digest}.String()
}

// Want is what the sites of an environment are to say. A site whose half is
// not in it is left alone.
type Want struct {
	Version string     // of the chart
	Package ref.Digest // of the chart
	Source  string     // address of the chart repository; "" leaves it
	Images  map[ref.Role]Named
	Bases   map[ref.Role]Named // what an image is built on; without one, the image itself
}

// base is the image that the FROM of a role's build names.
func (w Want) base(role ref.Role) (Named, bool) {
	if n, ok := w.Bases[role]; ok {
		return n, true
	}
	n, ok := w.Images[role]
	return n, ok
}

// Value is what a site says now.
type Value struct {
	Text       string // as a person would write it: a version, or a reference
	Line       int
	Start, End int // bytes of the scalar that says it: version, tag or reference
	Version    string
	Repository string // of the chart for dependency and helm-lock, else of the image, as written
	Tag        string
	Digest     ref.Digest
}

// Finding is one difference between a site and what it should say.
type Finding struct {
	Site        Site
	File        string
	Line        int
	What        string // such as "chart jupyterhub" or "image hub"
	Found, Want string
	// Weak: the tag is right and its digest is not written, so the registry
	// decides what runs.
	Weak bool
}

// String names the site as .chartctl.yaml does.
func (s Site) String() string {
	out := string(s.Kind) + " in " + s.File
	switch {
	case s.Path != "":
		out += " at " + s.Path
	case s.Name != "":
		out += " named " + s.Name
	case s.Repository != "":
		out += " from " + s.Repository
	}
	return out
}

// Same reports whether two sites are the same place.
func (s Site) Same(o Site) bool {
	return s.Kind == o.Kind && s.File == o.File && s.Name == o.Name && s.Path == o.Path && s.Repository == o.Repository
}

func (s Site) count() int { return max(s.Count, 1) }

func (s Site) fail(line int, err error, format string, a ...any) error {
	return &Error{File: s.File, Line: line, Text: fmt.Sprintf(format, a...), Err: err}
}

// Read returns what the site says in the file's bytes.
func (s Site) Read(doc []byte) (Value, error) { return only(s, doc).Value(s) }

// Edit returns the file with the site brought to w. A helm-lock needs the
// chart's dependencies as well: use Files.
func (s Site) Edit(doc []byte, w Want) ([]byte, error) {
	f := only(s, doc)
	if err := f.Edit(s, w); err != nil {
		return nil, err
	}
	return f.Bytes(s.File)
}

// Check compares the site with w.
func (s Site) Check(doc []byte, w Want) ([]Finding, error) { return only(s, doc).Check(s, w) }

// only is a repo of one file.
func only(s Site, doc []byte) *Files {
	return NewFiles(func(path string) ([]byte, error) {
		if path != s.File {
			return nil, missingFile(path)
		}
		return doc, nil
	})
}

// template reports whether a file is one that is rendered before it is used.
func template(file string) bool {
	return strings.HasSuffix(file, ".gotmpl") || strings.HasSuffix(file, ".tpl") || strings.HasSuffix(file, ".tmpl") ||
		strings.HasSuffix(file, ".j2")
}
