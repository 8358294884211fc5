package boltstore

import (
	"errors"
	"fmt"
	"os"

	"chartd.dev/chartd/internal/durable"
	"golang.org/x/sys/unix"
)

// datasync is a sync without what nobody reads back, such as the time of the
// last change.
func datasync(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("%w: %w", durable.ErrSync, err)
		}
	}
}
