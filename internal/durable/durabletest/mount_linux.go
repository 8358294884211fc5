package durabletest

import (
	"syscall"
	"testing"
)

// Mount puts a file system in memory over a directory until the test ends, with
// options such as "size=400k" or "size=8m,nr_inodes=8". It skips t for those who
// may not mount.
func Mount(t *testing.T, dir, options string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("mounting needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
}
