package fileset_test

import "testing"

func BenchmarkRead(b *testing.B) {
	r := open(b, checkout(b, true, three()))
	for b.Loop() {
		if _, err := r.Read("hub/values.yaml", 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTransaction is mostly the waiting for thirteen syncs.
func BenchmarkTransaction(b *testing.B) {
	dir := checkout(b, true, three()[:2])
	r := locked(b, dir)
	changes := three()[:2]
	for b.Loop() {
		if err := stage(b, r, changes).Finish(); err != nil {
			b.Fatal(err)
		}
		for i, c := range changes {
			changes[i].Old, changes[i].New = c.New, c.Old
		}
	}
}
