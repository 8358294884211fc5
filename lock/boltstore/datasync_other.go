//go:build !linux

package boltstore

import (
	"fmt"
	"os"

	"chartd.dev/chartd/internal/durable"
)

func datasync(f *os.File) error {
	if err := f.Sync(); err != nil {
		return fmt.Errorf("%w: %w", durable.ErrSync, err)
	}
	return nil
}
