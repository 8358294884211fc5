package sealing

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/render/guard"
	"go.yaml.in/yaml/v4"
)

// Record is how a sealed package was made.
type Record struct {
	Recipe int `json:"recipe"`
	// Settings are the values that make the images; of a package without a
	// seal those of the first way, for who sets them himself.
	Settings []Setting `json:"settings,omitempty"`
	// Stated are the other parts of the images, which stay as they are: a values
	// file over the package says them as well, so that no other one moves them.
	Stated    []Stated        `json:"stated,omitempty"`
	Guards    []guard.Guarded `json:"guards,omitempty"`
	Unguarded string          `json:"unguarded,omitempty"` // why there are none
	// Unproven says why nothing was rendered; "" of what is proven.
	Unproven string `json:"unproven,omitempty"`
	Engine   string `json:"engine,omitempty"` // that proved it
	Pinned   int    `json:"pinned,omitempty"` // places that show an image by its digest
	Copies   int    `json:"copies,omitempty"` // other places that follow
}

// Setting is one scalar of a package, and the path by which a values file over
// the package sets it.
type Setting struct {
	archive.Edit
	Values []string `json:"values,omitempty"`
}

// Stated is a value of the package, by the path by which a values file sets it.
type Stated struct {
	Values []string `json:"values"`
	Value  string   `json:"value"`
}

// Parse reads a Record as it is kept; nothing is one of the first recipe.
func Parse(data []byte) (Record, error) {
	if len(data) == 0 {
		return Record{Recipe: Spliced}, nil
	}
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("read how a package was sealed: %w", err)
	}
	if r.Recipe < Spliced || r.Recipe > Traced {
		return r, fmt.Errorf("a package was sealed by recipe %d, and this program knows up to %d", r.Recipe, Traced)
	}
	return r, nil
}

// plan is what a Record changes in the package.
func (r Record) plan() archive.Plan {
	var p archive.Plan
	for _, s := range r.Settings {
		p.Edits = append(p.Edits, s.Edit)
	}
	p.Files = r.files()
	return p
}

func (r Record) files() []archive.File {
	var out []archive.File
	for _, g := range r.Guards {
		out = append(out, archive.File{Name: g.File, Data: guard.Text(g.Image)})
	}
	return out
}

// Plain is the Record of the same package without its guards. Guards print
// nothing, so what is proven of one form is proven of both.
func (r Record) Plain() Record {
	r.Guards = nil
	return r
}

// Remake makes a sealed package again, byte by byte.
func (r Record) Remake(pkg []byte, images map[ref.Role]archive.SealImage, o archive.Options) ([]byte, error) {
	if r.Recipe == Spliced {
		sealed, _, err := archive.Seal(pkg, images, o)
		return sealed, err
	}
	return archive.Rewrite(pkg, r.plan(), o)
}

// Compare proves that a sealed package is its original but for scalars that
// say the images and for the Record's guards, which say nothing else either.
func (r Record) Compare(original, sealed []byte, images []archive.SealImage, o archive.Options) (archive.Difference, error) {
	if r.Recipe == Spliced {
		splices, err := archive.CompareSeal(original, sealed, o)
		return archive.Difference{Splices: splices}, err
	}
	for _, g := range r.Guards {
		if !slices.ContainsFunc(images, func(i archive.SealImage) bool {
			return i.Digest.String() == g.Digest && len(g.Repositories) > 0 && i.Repository.String() == g.Repositories[0]
		}) {
			return archive.Difference{}, fmt.Errorf("%w: the guard %s is of an image that is not bound: %s@%s", archive.ErrRefused, g.File, g.Repositories, g.Digest)
		}
	}
	return archive.Compare(original, sealed, archive.Allowed{Images: images, Files: r.files()}, o)
}

// Overlay is a values file that has the images of a sealed package rendered by
// the original. A prefix is the name under which a wrapper has the chart.
func (r Record) Overlay(prefix string) ([]byte, error) {
	root := map[string]any{}
	says := slices.Clone(r.Stated)
	for _, s := range r.Settings {
		says = append(says, Stated{s.Values, s.Value})
	}
	for _, s := range says {
		if slices.ContainsFunc(s.Values, isIndex) {
			return nil, fmt.Errorf("%w: %s stands in a list, which Helm replaces as a whole", archive.ErrNoSite, strings.Join(s.Values, "."))
		}
		path := s.Values
		if prefix != "" {
			path = append([]string{prefix}, path...)
		}
		put(root, path, s.Value)
	}
	if len(root) == 0 {
		return nil, errors.New("it says of no value that it makes the images")
	}
	return yaml.Marshal(root)
}

func isIndex(key string) bool {
	_, err := strconv.Atoi(key)
	return err == nil
}

func put(root map[string]any, path []string, value string) {
	for _, key := range path[:len(path)-1] {
		next, ok := root[key].(map[string]any)
		if !ok {
			next = map[string]any{}
			root[key] = next
		}
		root = next
	}
	root[path[len(path)-1]] = value
}
