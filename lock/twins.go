package lock

import (
	"errors"
	"fmt"
	"strings"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock/store"
)

// checkTwins refuses a version whose file name, or name but for letter case, is
// taken. Helm tells all others apart by their exact version; of those that are of
// the same order for it (build metadata, a leading v) the record says so.
func checkTwins(c *change, v *ChartVersion) error {
	chart := v.Chart
	other, err := get[ref.ChartVersion](c, bucketFiles, chart.FileName())
	if err == nil {
		return fail(ErrExists, "the file name %s is taken by %s", chart.FileName(), other)
	}
	if !errors.Is(err, store.ErrNoKey) {
		return err
	}
	folded := strings.ToLower(chart.String())
	other, taken, err := claimFold(c, "case "+folded, chart)
	switch {
	case err != nil:
		return err
	case taken:
		return fail(ErrExists, "%s differs from %s only in letter case, and their file names are one in some file systems: choose another version", chart, other)
	}
	precedence, _, _ := strings.Cut(folded, "+")
	other, taken, err = claimFold(c, "build "+precedence, chart)
	if err == nil && !taken {
		other, taken, err = fold(c, "build "+otherSpelling(precedence))
	}
	if taken {
		v.Warnings = append(v.Warnings, fmt.Sprintf("%s is there too, and for Helm of the same order: each is found by its exact version, and a range takes either by chance", other))
	}
	return err
}

// otherSpelling is a name and version without the v before the version, or with it.
func otherSpelling(folded string) string {
	name, version, _ := strings.Cut(folded, "@")
	if bare, ok := strings.CutPrefix(version, "v"); ok {
		return name + "@" + bare
	}
	return name + "@v" + version
}

// fold is the chart version that has a folded name.
func fold(c *change, key string) (other ref.ChartVersion, taken bool, err error) {
	other, err = get[ref.ChartVersion](c, bucketFolds, key)
	if errors.Is(err, store.ErrNoKey) {
		return other, false, nil
	}
	return other, err == nil, err
}

// claimFold is fold, and gives the name to the chart where it is free.
func claimFold(c *change, key string, chart ref.ChartVersion) (other ref.ChartVersion, taken bool, err error) {
	if other, taken, err = fold(c, key); taken || err != nil {
		return other, taken, err
	}
	return other, false, put(c, bucketFolds, key, chart)
}
