package imports

import (
	"cmp"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/ref"
)

// Kind says what is wrong with a package or an index entry.
type Kind string

const (
	// These lose nothing: the package is imported all the same.
	Digest     Kind = "digest"       // the index names another digest than the file has
	Identity   Kind = "identity"     // the index names another chart version than the package
	NotInIndex Kind = "not-in-index" // a file that the index does not name
	Undated    Kind = "undated"      // no date in the index or in the archive: order unknown
	Duplicate  Kind = "duplicate"    // the same package, or the same index entry, twice
	NoFile     Kind = "no-file"      // an index entry without its package
	Provenance Kind = "provenance"   // the provenance file does not fit; imported without it
	Unbound    Kind = "unbound"      // the images could not be bound
	Unusual    Kind = "unusual"      // what a publish might refuse, or images that nobody can bind; said on the record, too

	// These are packages that were not imported.
	Unreadable Kind = "unreadable" // not a package that anybody could install
	Refused    Kind = "refused"    // refused by the server
	Conflict   Kind = "conflict"   // the version exists with other content
)

// Lost reports whether a finding of this kind is a package that was not imported.
func (k Kind) Lost() bool { return k == Unreadable || k == Refused || k == Conflict }

// Finding is one thing that is wrong with the repository.
type Finding struct {
	Kind    Kind       `json:"kind"`
	Chart   string     `json:"chart,omitempty"` // name@version, where it is known
	File    string     `json:"file,omitempty"`  // path in the repository, or URL
	Message string     `json:"message"`
	Want    ref.Digest `json:"want,omitzero"` // digest in the index
	Got     ref.Digest `json:"got,omitzero"`  // digest of the file
}

// Report is the outcome of an import.
type Report struct {
	Source   string    `json:"source"`
	DryRun   bool      `json:"dry_run,omitempty"`
	Index    int       `json:"index_entries"` // entries of the index
	Packages int       `json:"packages"`      // packages found
	Imported int       `json:"imported"`      // new on the server; in a dry run, that would be
	Existed  int       `json:"existed"`       // the server had the same content
	Bound    int       `json:"bound"`
	Lost     int       `json:"not_imported"` // unreadable, refused or in conflict
	Findings []Finding `json:"findings"`
}

// finish sorts the findings, those that lost a package first.
func (r *Report) finish() {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		if x, y := a.Kind.Lost(), b.Kind.Lost(); x != y {
			if x {
				return -1
			}
			return 1
		}
		return cmp.Or(strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.Chart, b.Chart), strings.Compare(a.File, b.File))
	})
	r.Lost = 0
	for _, f := range r.Findings {
		if f.Kind.Lost() {
			r.Lost++
		}
	}
}
