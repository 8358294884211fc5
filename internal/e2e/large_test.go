package e2e

import (
	"fmt"
	"path/filepath"
	"testing"

	"chartd.dev/chartd/internal/e2e/rig"
)

// What 1,000 versions hide shows at 100,000, on the real server: work that
// follows the whole, and readers in the way of writers. Making the repository
// takes longest, so both share it.
func TestHundredThousandVersions(t *testing.T) {
	few, many := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "data")
	for data, of := range map[string][2]int{few: {1_000, 50}, many: {100_000, 5_000}} {
		if err := rig.Synthetic(t.Context(), data, of[0], of[1]); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("work", func(t *testing.T) {
		publish, pin := countWork(t, few)
		publishMany, pinMany := countWork(t, many)
		wantSameWork(t, fmt.Sprint(operations, " publishes among 1,000 versions"), publish, publishMany)
		wantSameWork(t, fmt.Sprint(operations, " pins on 50 of history"), pin, pinMany)
	})
	t.Run("slow readers", func(t *testing.T) { checkSlowReaders(t, many) })
}
