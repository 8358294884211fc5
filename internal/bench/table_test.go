package main

import "testing"

// The mark follows from the figures; without a peer nothing is reached.
func TestVerdict(t *testing.T) {
	for want, bounds := range map[string][]bound{
		"":           nil,
		"reached":    {atMost(10, 10, "ms"), atLeast(20_000, 20_000, "/s")},
		"**missed**": {atMost(10.01, 10, "ms"), atLeast(unknown, 1.3, "× etcd")},
		"no peer":    {atLeast(20_000, 10_000, "/s"), atLeast(unknown, 1.3, "× etcd")},
	} {
		if got := (result{bounds: bounds}).verdict(); got != want {
			t.Errorf("%v: %q, want %q", bounds, got, want)
		}
	}
	r := result{bounds: []bound{atLeast(1, 20_000, "/s"), atMost(1, 0.333, "of its memory"), atMost(1, 2_000_000, "MB")}}
	if got, want := r.goal(), "≥ 20,000/s; ≤ 0.333 of its memory; ≤ 2,000,000 MB"; got != want {
		t.Errorf("goal %q, want %q", got, want)
	}
}
