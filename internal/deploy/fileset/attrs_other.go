//go:build !linux

package fileset

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// attrs is what a file has beside its content, and what its successor gets.
// Extended attributes are kept on Linux only.
type attrs struct {
	mode     fs.FileMode
	uid, gid int
}

func readAttrs(f *os.File) (attrs, error) {
	fi, err := f.Stat()
	if err != nil {
		return attrs{}, err
	}
	a := attrs{mode: fi.Mode() &^ fs.ModeType}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		a.uid, a.gid = int(st.Uid), int(st.Gid)
	}
	return a, nil
}

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
	return f.Chmod(a.mode)
}

func checkFlags(*os.File) error { return nil }

func names(fi fs.FileInfo) uint64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Nlink)
	}
	return 1
}
