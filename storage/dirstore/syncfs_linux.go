package dirstore

import (
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// syncsWhole reports whether syncfs on the file system of dir makes all of it
// durable and reports what could not be written. Since Linux 5.8 it does, on
// the file systems that are known to.
func syncsWhole(dir string) bool {
	var st unix.Statfs_t
	if !reportsErrors() || unix.Statfs(dir, &st) != nil {
		return false
	}
	switch uint32(st.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC:
		return true
	}
	return false
}

var reportsErrors = sync.OnceValue(func() bool {
	var u unix.Utsname
	return unix.Uname(&u) == nil && fromVersion(unix.ByteSliceToString(u.Release[:]), 5, 8)
})

// fromVersion compares a kernel's release, such as 5.15.0-91-generic.
func fromVersion(release string, major, minor int) bool {
	first, rest, _ := strings.Cut(release, ".")
	second := rest
	if i := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		second = rest[:i]
	}
	a, err := strconv.Atoi(first)
	b, err2 := strconv.Atoi(second)
	return err == nil && err2 == nil && (a > major || a == major && b >= minor)
}

func syncfs(f *os.File) error {
	for {
		if err := unix.Syncfs(int(f.Fd())); err != unix.EINTR {
			return err
		}
	}
}
