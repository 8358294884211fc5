package rig

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"chartd.dev/chartd/internal/testtools"
)

// Synthetic makes a data directory with many versions, and pins of its first
// environment, hub00/prod: the repositories of the benchmarks.
func Synthetic(ctx context.Context, data string, versions, pins int) error {
	root, err := testtools.Root()
	if err != nil {
		return err
	}
	bench := filepath.Join(filepath.Dir(data), "bench")
	for _, c := range [][]string{
		{"go", "build", "-o", bench, "./internal/bench"},
		{bench, "-make", data, "-versions", fmt.Sprint(versions), "-pins", fmt.Sprint(pins)},
	} {
		if r, err := Run(ctx, root, nil, c[0], c[1:]...); err != nil || r.Code != 0 {
			return fmt.Errorf("%s: %v, exit %d: %s", strings.Join(c, " "), err, r.Code, r.Text())
		}
	}
	return nil
}
