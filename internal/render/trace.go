package render

import "strings"

// TraceVersion is the version of Trace as it is kept and sent.
const TraceVersion = 1

// Verdict is what a trace comes to.
type Verdict string

// Verdicts.
const (
	Traced        Verdict = "traced"         // images are shown, and values feed them
	NoImages      Verdict = "no images"      // the rendered chart shows none
	NotUnderstood Verdict = "not understood" // images are shown, and no value feeds any
	NotRendered   Verdict = "not rendered"
)

// Trace is what rendering shows of a package's images: a fact of the package
// and of the engine.
type Trace struct {
	Version  int       `json:"version"`
	Engine   string    `json:"engine"` // of Helm, Kubernetes and the tracer
	Verdict  Verdict   `json:"verdict"`
	Attempts []Attempt `json:"attempts"`
	Images   []Image   `json:"images,omitempty"`
	// Hidden are the images that the values name and nothing shows: of
	// components that are off by default.
	Hidden []Hidden `json:"hidden,omitempty"`
	// Charts are the subcharts that are rendered.
	Charts []Chart `json:"charts,omitempty"`
	// Twice are subcharts that are there more than once under one name, so
	// that which of them is rendered is left to chance.
	Twice []Twice `json:"twice,omitempty"`
	// Random are places that differ between two renderings of the same.
	Random []Place `json:"random,omitempty"`
	// Partial says why some scalars were not traced one by one.
	Partial string `json:"partial,omitempty"`
	Renders int    `json:"renders"` // how often the chart was rendered
}

// Attempt is one set of values that was tried.
type Attempt struct {
	Values  string   `json:"values"` // "" for the defaults, a file of the package, or "given N"
	Failure *Failure `json:"failure,omitempty"`
}

// Image is one image reference as it is rendered: places that show the same
// text, fed by the same values.
type Image struct {
	Text   string   `json:"text"`
	Role   string   `json:"role,omitempty"` // "" where no value feeds it, or two images would have one role
	Values []string `json:"values"`         // the attempts that show it
	Places []Place  `json:"places"`
	Feeds  []Feed   `json:"feeds,omitempty"`
}

// Use says what a place is to the scalar that shows up there.
type Use string

// Uses.
const (
	Container  Use = "container"  // the image of a container of any kind
	Reference  Use = "reference"  // another string that is or holds an image reference
	Label      Use = "label"      // a label, or a selector
	Annotation Use = "annotation" // but no checksum
	Name       Use = "name"       // of an object
	Checksum   Use = "checksum"   // of something that holds the scalar
	Encoded    Use = "encoded"    // base64, or text that is YAML or JSON, that holds the scalar
	Text       Use = "text"       // any other string
	Structure  Use = "structure"  // objects or fields come and go with the value
	Compared   Use = "compared"   // changes with the value without showing it
	Fails      Use = "fails"      // the chart does not render with another value
)

// Place is where something is shown.
type Place struct {
	Template string   `json:"template"`
	Kind     string   `json:"kind,omitempty"`
	Name     string   `json:"name,omitempty"`
	Path     []string `json:"path,omitempty"` // in the document, indices as numbers
	// Container is the name of the container whose image it is.
	Container string `json:"container,omitempty"`
	Use       Use    `json:"use"`
}

func (p Place) String() string {
	s := p.Kind + " " + p.Name
	if len(p.Path) > 0 {
		s += " at " + strings.Join(p.Path, ".")
	}
	return s
}

// Part says which part of a reference a scalar feeds.
type Part string

// Parts.
const (
	PartRegistry   Part = "registry"
	PartRepository Part = "repository" // with or without its registry
	PartName       Part = "name"       // some of the repository's path
	PartTag        Part = "tag"
	PartDigest     Part = "digest"
	PartWhole      Part = "whole"
	PartAppVersion Part = "appVersion" // the tag, from Chart.yaml
)

// Feed is one scalar that shows up in an image reference.
type Feed struct {
	// Values is the scalar's path in the top chart's values: what a values
	// file sets it by. It is empty for an appVersion.
	Values []string `json:"values,omitempty"`
	// File is the file whose scalar has the last word, nested packages joined
	// by "!", and Path the scalar's path there. File is empty where no file of
	// the package holds it.
	File  string   `json:"file,omitempty"`
	Path  []string `json:"path,omitempty"`
	Part  Part     `json:"part"`
	Value string   `json:"value"`          // as rendered by default; "" for one that is empty
	Bare  bool     `json:"bare,omitempty"` // a digest without "sha256:", which the template adds
	Other []Place  `json:"other,omitempty"`
}

func (f Feed) String() string { return string(f.Part) + " " + strings.Join(f.Path, ".") }

// Hidden is an image that the values name and nothing shows.
type Hidden struct {
	Values []string `json:"values"` // path of its map in the top chart's values
	Text   string   `json:"text"`
}

// Chart is a subchart that is rendered.
type Chart struct {
	Path  string `json:"path"`  // below the top chart, as templates are named: "charts/" and its alias
	Files string `json:"files"` // what its files' names begin with in the package
}

// Twice is a subchart that is there more than once.
type Twice struct {
	Name  string   `json:"name"`
	Files []string `json:"files"` // directories end with "/"
	Equal bool     `json:"equal"` // they hold the same
}
