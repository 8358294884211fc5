package fileset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// attrs is what a file has beside its content, and what its successor gets.
type attrs struct {
	mode     fs.FileMode
	uid, gid int
	extended map[string]string // ACLs and security labels among them
}

func readAttrs(f *os.File) (attrs, error) {
	fi, err := f.Stat()
	if err != nil {
		return attrs{}, err
	}
	a := attrs{mode: fi.Mode() &^ fs.ModeType, extended: map[string]string{}}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		a.uid, a.gid = int(st.Uid), int(st.Gid)
	}
	a.extended, err = readExtended(f)
	return a, err
}

func readExtended(f *os.File) (map[string]string, error) {
	names, err := grow(func(b []byte) (int, error) { return unix.Flistxattr(int(f.Fd()), b) })
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list extended attributes: %w", err)
	}
	all := map[string]string{}
	for name := range strings.SplitSeq(strings.TrimRight(names, "\x00"), "\x00") {
		if name == "" {
			continue
		}
		value, err := grow(func(b []byte) (int, error) { return unix.Fgetxattr(int(f.Fd()), name, b) })
		if err != nil {
			return nil, fmt.Errorf("read extended attribute %q: %w", name, err)
		}
		all[name] = value
	}
	return all, nil
}

// grow asks for a size and then for the value, again if it grew in between.
func grow(get func([]byte) (int, error)) (string, error) {
	for {
		n, err := get(nil)
		if err != nil || n == 0 {
			return "", err
		}
		b := make([]byte, n)
		n, err = get(b)
		if errors.Is(err, unix.ERANGE) {
			continue
		}
		return string(b[:max(n, 0)]), err
	}
}

// apply gives the attributes to f, or says which it cannot have.
func (a attrs) apply(f *os.File) error {
	now, err := readAttrs(f)
	if err != nil {
		return err
	}
	if now.uid != a.uid || now.gid != a.gid {
		if err := f.Chown(a.uid, a.gid); err != nil {
			return fmt.Errorf("its owner %d and group %d cannot be kept by user %d: %w", a.uid, a.gid, os.Geteuid(), err)
		}
	}
	for name, value := range a.extended {
		if old, ok := now.extended[name]; ok && old == value {
			continue
		}
		if err := unix.Fsetxattr(int(f.Fd()), name, []byte(value), 0); err != nil {
			return fmt.Errorf("its extended attribute %q cannot be kept: %w", name, err)
		}
	}
	for name := range now.extended {
		if _, ok := a.extended[name]; ok {
			continue
		}
		if err := unix.Fremovexattr(int(f.Fd()), name); err != nil {
			return fmt.Errorf("its new copy gets an extended attribute %q: %w", name, err)
		}
	}
	// Last: chown clears setuid, and an ACL moves the group's bits.
	if err := f.Chmod(a.mode); err != nil {
		return fmt.Errorf("its mode %v cannot be kept: %w", a.mode, err)
	}
	return nil
}

// checkFlags refuses what would fail only at the rename, after the commit
// point: an immutable or append-only file or directory, and a file that is
// itself a mount point.
func checkFlags(f *os.File) error {
	var st unix.Statx_t
	if err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_BASIC_STATS, &st); err != nil {
		if errors.Is(err, unix.ENOSYS) {
			return nil
		}
		return err
	}
	dir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	switch set := st.Attributes & st.Attributes_mask; {
	case set&unix.STATX_ATTR_IMMUTABLE != 0:
		return fmt.Errorf("it is immutable (lsattr shows i): %w", unix.EPERM)
	case set&unix.STATX_ATTR_APPEND != 0:
		return fmt.Errorf("it can only be appended to (lsattr shows a): %w", unix.EPERM)
	case set&unix.STATX_ATTR_MOUNT_ROOT != 0 && !dir:
		return fmt.Errorf("it is a mount point: %w", unix.EBUSY)
	}
	return nil
}

func names(fi fs.FileInfo) uint64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Nlink)
	}
	return 1
}
