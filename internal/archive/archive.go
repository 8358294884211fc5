// Package archive reads chart packages as untrusted files.
//
// One walk of our own goes over the gzip framing and the tar stream, nested
// packages included, before anything else sees the bytes. Invariants: memory
// is bounded by the limits and not by what a package claims; identity is the
// one that Helm's loader reads; the content digest survives a repack; sealing
// changes the scalars of the bound images, adds guards, and changes nothing else.
package archive

import (
	"errors"
	"fmt"
	"time"

	"chartd.dev/chartd/internal/ref"
)

// The kinds of refusal. Messages carry the short name of the rule.
var (
	ErrMalformed = errors.New("malformed package") // not parseable
	ErrTooLarge  = errors.New("package too large") // over a limit of size or number
	ErrRefused   = errors.New("package refused")   // well formed, against a rule
	ErrNoSite    = errors.New("no place to seal")  // the values hold no scalar for an image
)

// Limits bounds what a package may cost. Sizes are in bytes.
type Limits struct {
	Packed    int64 // the package as uploaded
	Unpacked  int64 // every unpacked stream together, tar headers and nested packages included
	File      int64 // one file
	ChartYAML int64 // Chart.yaml, requirements.yaml

	Entries     int // tar headers, over all nested packages
	PathElement int // one path element
	Path        int // a whole path
	Depth       int // path elements
	Nested      int // packages inside packages

	Ratio      int64 // unpacked over packed …
	RatioAfter int64 // … judged once so much is unpacked

	YAMLDepth int // nesting of a YAML document
	YAMLNodes int // nodes of all YAML documents of the package, aliases expanded
}

// DefaultLimits are the limits of a server that sets none.
func DefaultLimits() Limits {
	return Limits{
		Packed: 20 << 20, Unpacked: 100 << 20, File: 5 << 20, ChartYAML: 64 << 10,
		Entries: 10_000, PathElement: 255, Path: 1024, Depth: 32, Nested: 4,
		Ratio: 200, RatioAfter: 8 << 20,
		YAMLDepth: 64, YAMLNodes: 100_000,
	}
}

// Options says how strictly to read.
type Options struct {
	Limits Limits // zero fields take their default
	// Lenient accepts what Helm accepts, for packages of an existing
	// repository: identity by ref.ParseImported, other faults of Chart.yaml as
	// warnings, and so what is unusual about the archive. The rules that make
	// unpacking safe stay: a link is an empty file, as it is for Helm.
	Lenient bool
}

// tolerance decides over a fault of an archive that Helm does not mind: it
// returns the fault, or nil where the package is read all the same.
type tolerance func(error) error

func (o Options) tolerance() tolerance {
	return func(err error) error {
		if o.Lenient {
			return nil
		}
		return err
	}
}

// Package is what a chart package says about itself.
type Package struct {
	Chart       ref.ChartVersion
	Lenient     bool // the name or version needed the lenient grammar
	APIVersion  string
	AppVersion  string // as written: "1.10" stays "1.10"
	Type        string // "", "application" or "library"
	Description string
	Deprecated  bool
	Annotations map[string]string

	Digest  ref.Digest // of the package's bytes
	Content ref.Digest // of what it holds; see content.go
	Size    int64

	NewestFile time.Time // newest file date; zero where the archive has none
	Images     []Image   // sorted by role
	Warnings   []string
	Links      []string // of Pack: remarks on links that lead out of the directory

	files map[string][]byte
	meta  *metadata
}

// Metadata is Chart.yaml, with what requirements.yaml adds, as Helm reads it,
// in Helm's JSON.
func (p *Package) Metadata() ([]byte, error) { return p.meta.canonical() }

// Image is one image that the values of a chart name.
type Image struct {
	Role       ref.Role
	Repository string // canonical where it is well formed, else as written
	Tag        string // without a digest; the appVersion where the values leave it empty
	Digest     string // "sha256:…" where the values name one
	File       string // values file, nested packages joined by "!"
	Path       string // of the map in that file, joined by dots
	Override   bool   // set by a wrapper over the chart that owns the image
	Base       string // "repository:tag" that the owning chart names; only with Override
	Required   bool
	Problem    string // why the image cannot be bound as it is; "" if it can

	site   imageMap // each scalar in the file that has the last word on it
	values []string // path of the map as the top chart's values have it
}

// File returns one of the top chart's kept files: Chart.yaml, values.yaml,
// requirements.yaml, requirements.lock, Chart.lock, README.md.
func (p *Package) File(path string) ([]byte, bool) {
	b, ok := p.files[path]
	return b, ok
}

// File is one file of a package.
type File struct {
	Name string // relative to the chart
	Data []byte
}

// SealImage is what an image is sealed to.
type SealImage struct {
	Repository ref.Repository
	Tag        string
	Digest     ref.Digest
}

// SealImageOf is what the values say of a bound image: by digest, and by the tag
// that it was found with, which is there for people.
func SealImageOf(image ref.Image, tag string) SealImage {
	if tag == "" {
		tag = "sha256-" + image.Digest.Hex()[:12]
	}
	return SealImage{Repository: image.Repository, Tag: tag, Digest: image.Digest}
}

// Splice is one scalar that differs between a package and its sealed form.
type Splice struct {
	File string `json:"file"` // values file, nested packages joined by "!"
	Path string `json:"path"` // of the scalar, joined by dots
	From string `json:"from"` // the source bytes before
	To   string `json:"to"`   // the source bytes after
}

func refused(rule, format string, a ...any) error {
	return fmt.Errorf("%w: %s: %s", ErrRefused, rule, fmt.Sprintf(format, a...))
}

func tooLarge(rule, format string, a ...any) error {
	return fmt.Errorf("%w: %s: %s", ErrTooLarge, rule, fmt.Sprintf(format, a...))
}

func malformed(rule, format string, a ...any) error {
	return fmt.Errorf("%w: %s: %s", ErrMalformed, rule, fmt.Sprintf(format, a...))
}

// orDefault fills the zero fields.
func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	for _, f := range []struct{ v, d *int64 }{
		{&l.Packed, &d.Packed}, {&l.Unpacked, &d.Unpacked}, {&l.File, &d.File}, {&l.ChartYAML, &d.ChartYAML},
		{&l.Ratio, &d.Ratio}, {&l.RatioAfter, &d.RatioAfter},
	} {
		if *f.v == 0 {
			*f.v = *f.d
		}
	}
	for _, f := range []struct{ v, d *int }{
		{&l.Entries, &d.Entries}, {&l.PathElement, &d.PathElement}, {&l.Path, &d.Path}, {&l.Depth, &d.Depth},
		{&l.Nested, &d.Nested}, {&l.YAMLDepth, &d.YAMLDepth}, {&l.YAMLNodes, &d.YAMLNodes},
	} {
		if *f.v == 0 {
			*f.v = *f.d
		}
	}
	return l
}
