package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// What is served and what the reference names are the same metrics.
func TestMetricsAreDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "reference", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, t.TempDir())
	r.do("GET", "/readyz", "", nil)
	served := names(r.metrics(), `(?m)^# TYPE (chartd_\w+) (\w+)`)
	documented := names(string(page), "(?m)^\\| `(chartd_\\w+)` \\| (\\w+)")
	if len(served) < 9 || !slices.Equal(served, documented) {
		t.Errorf("served %q\ndocumented %q", served, documented)
	}
	if code := r.end(); code != 0 {
		t.Errorf("exit %d: %s", code, r.log)
	}
}

// names returns each name with its type, in order.
func names(text, pattern string) (out []string) {
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		out = append(out, m[1]+" "+m[2])
	}
	slices.Sort(out)
	return out
}
