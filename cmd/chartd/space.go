package main

import (
	"fmt"

	"chartd.dev/chartd/storage"
	"golang.org/x/sys/unix"
)

// freeSpace says when a data directory has no room for one more upload.
func freeSpace(dir string, need int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("read free space: %w", err)
	}
	if free := int64(st.Bavail) * int64(st.Bsize); free < need {
		return fmt.Errorf("%w: %d bytes are free, an upload may take %d", storage.ErrNoSpace, free, need)
	}
	if st.Files > 0 && st.Ffree == 0 {
		return fmt.Errorf("%w: no inodes are free", storage.ErrNoSpace)
	}
	return nil
}
