package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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

// A second run replaces the results of the first, and nothing else of the page.
func TestResultsGoIntoThePage(t *testing.T) {
	dir := t.TempDir()
	page := filepath.Join(dir, "performance.md")
	if err := os.WriteFile(page, []byte("# Title\n"+resultsBegin+resultsEnd+"\n\nThe end.\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, measured := range []string{"11 ms", "9 ms"} {
		b := bench{results: []result{{what: "publish", measured: measured, bounds: []bound{atMost(9, 10, "ms")}}}}
		if err := b.write(dir); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(got)
	if !strings.HasPrefix(text, "# Title\n") || !strings.HasSuffix(text, "\n\nThe end.\n") ||
		strings.Count(text, "| publish |") != 1 || !strings.Contains(text, "9 ms | ") || !strings.Contains(text, "(performance.svg)") {
		t.Errorf("the page is\n%s", text)
	}
}
