// Package yamledit changes or adds single scalars of a YAML file byte-exactly: the
// wanted scalar's bytes change and nothing else, comments, blank lines,
// indent, line ends, anchors and flow style included. Every edit verifies
// itself by parsing the result again; an edit that cannot be made that way is
// refused.
package yamledit

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Why a scalar cannot be edited.
var (
	ErrSyntax    = errors.New("not valid YAML")
	ErrLimit     = errors.New("YAML over the limit")
	ErrMissing   = errors.New("no such key")
	ErrDoubled   = errors.New("key given twice")
	ErrAlias     = errors.New("value shared through an alias")
	ErrMerged    = errors.New("value inherited through a merge key")
	ErrNotScalar = errors.New("not a scalar")
	ErrMultiline = errors.New("scalar over several lines")
	ErrVerify    = errors.New("the edit would change more than the value")
)

// Style is how a scalar is written.
type Style int

// The styles. Absent is a value that is not written at all ("tag:").
const (
	Plain Style = iota
	Single
	Double
	Absent
)

// Scalar is a scalar and where its bytes are.
type Scalar struct {
	Value string // decoded; of a plain scalar its text, so 1.10 is "1.10"
	Tag   string // "!!str", "!!float", "!!null", …
	Style Style
	Line  int // from 1
	Start int // byte offset of the first byte, quotes included
	End   int // byte offset after the last; Start for Absent

	flow bool // inside a flow collection
	node *yaml.Node
}

// Splice replaces From at Offset by To.
type Splice struct {
	Offset   int
	From, To string
}

// Apply makes the change.
func (s Splice) Apply(doc []byte) ([]byte, error) {
	end := s.Offset + len(s.From)
	if s.Offset < 0 || end > len(doc) || string(doc[s.Offset:end]) != s.From {
		return nil, fmt.Errorf("apply splice: byte %d does not hold %q", s.Offset, s.From)
	}
	out := make([]byte, 0, len(doc)-len(s.From)+len(s.To))
	out = append(out, doc[:s.Offset]...)
	out = append(out, s.To...)
	return append(out, doc[end:]...), nil
}

// Undo takes the change back.
func (s Splice) Undo(doc []byte) ([]byte, error) {
	return Splice{s.Offset, s.To, s.From}.Apply(doc)
}

// Find returns the scalar at path in the first document: keys of mappings,
// and numbers from 0 for the items of sequences.
func Find(doc []byte, path ...string) (Scalar, error) { return FindIn(doc, 0, path...) }

// FindIn is Find in the document with the given number, from 0.
func FindIn(doc []byte, document int, path ...string) (Scalar, error) {
	f, err := Parse(doc, Limits{})
	if err != nil {
		return Scalar{}, err
	}
	return f.Find(document, path...)
}

// Set writes value as a string at path in the first document. The scalar must
// exist; it may be empty. The quote style stays where it can hold the value.
func Set(doc []byte, path []string, value string) ([]byte, Splice, error) {
	return SetIn(doc, 0, path, value)
}

// SetIn is Set in the document with the given number, from 0.
func SetIn(doc []byte, document int, path []string, value string) ([]byte, Splice, error) {
	f, err := Parse(doc, Limits{})
	if err != nil {
		return nil, Splice{}, err
	}
	s, err := f.Find(document, path...)
	if err != nil {
		return nil, Splice{}, err
	}
	for _, text := range spellings(s, value) {
		sp := Splice{s.Start, string(doc[s.Start:s.End]), text}
		out, err := sp.Apply(doc)
		if err != nil {
			return nil, Splice{}, err
		}
		if err := f.verify(out, s.node, value); err == nil {
			return out, sp, nil
		}
	}
	return nil, Splice{}, fmt.Errorf("set %s to %q: line %d: %w", strings.Join(path, "."), value, s.Line, ErrVerify)
}
