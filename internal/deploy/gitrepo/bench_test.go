package gitrepo

import "testing"

// What "verify" does before every commit has to cost next to nothing.
func BenchmarkBranchAndHead(b *testing.B) {
	for b.Loop() {
		r, err := Open(b.Context(), ".")
		if err != nil {
			b.Skip(err)
		}
		if _, err := r.Branch(b.Context()); err != nil {
			b.Fatal(err)
		}
		if _, err := r.Head(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDirty(b *testing.B) {
	r, err := Open(b.Context(), ".")
	if err != nil {
		b.Skip(err)
	}
	for b.Loop() {
		if _, err := r.Dirty(b.Context(), "go.mod", "Makefile"); err != nil {
			b.Fatal(err)
		}
	}
}
