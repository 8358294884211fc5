package move

import (
	"cmp"
	"fmt"

	"chartd.dev/chartd/internal/api"
)

// SealNotes say before a pair is pinned what plain Helm gets of it: nothing
// that is sealed, or something that is not proven or not guarded.
func SealNotes(v api.GateVerdict) []string {
	b := v.Pair
	if b == nil || len(b.Images) == 0 {
		return nil
	}
	chart := b.Name + "@" + b.Version
	if b.Sealed.IsZero() {
		return []string{fmt.Sprintf("note: %s cannot be sealed (%s): the environment repository of %s will be empty; use the revision's own, revisions/N, with its values.yaml",
			chart, cmp.Or(b.Unsealed, "no reason is known"), v.Env)}
	}
	return sealedNotes(chart, b.Seal)
}

// sealedNotes say what a sealed package lacks.
func sealedNotes(chart string, s *api.Seal) (notes []string) {
	if s != nil && s.Unproven != "" {
		notes = append(notes, fmt.Sprintf("note: the sealed package of %s is not proven by rendering: %s", chart, s.Unproven))
	}
	if s != nil && s.Unguarded != "" {
		notes = append(notes, fmt.Sprintf("note: the sealed package of %s carries no guard, so values can override its images: %s", chart, s.Unguarded))
	}
	return notes
}
