// Command prebuild builds the Helm binaries that tests need and prints where
// they are, so that make can do it beside other work.
package main

import (
	"context"
	"fmt"
	"os"

	"chartd.dev/chartd/internal/testtools"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "prebuild:", err)
		os.Exit(1)
	}
}

func run() error {
	for _, major := range []int{3, 4} {
		path, err := testtools.BuildHelm(context.Background(), major)
		if err != nil {
			return err
		}
		fmt.Println(path)
	}
	return nil
}
