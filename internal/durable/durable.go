// Package durable changes files and directories so that the change survives a
// power cut once the call has returned: data is synced before it gets its
// name, and the directory that holds the name is synced after it.
package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// ErrSync says that an fsync failed. The kernel may have dropped the data and
// will not report it again, so the caller must not retry: it cannot know what
// is on disk until it reads everything back after a restart.
var ErrSync = errors.New("fsync failed")

// WriteFile replaces the content of path in one step: after a crash there is
// the old file or the new one, whole. The mode is set regardless of the umask.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	return WriteFileFrom(path, mode, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// WriteFileFrom is WriteFile with the content that write produces.
func WriteFileFrom(path string, mode fs.FileMode, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if err := f.Chmod(mode); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := write(f); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := Sync(f); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return Rename(f.Name(), path)
}

// Rename moves a synced file, replacing newpath, and syncs the directories.
func Rename(oldpath, newpath string) error {
	if err := os.Rename(oldpath, newpath); err != nil {
		return fmt.Errorf("rename file: %w", err)
	}
	from, to := filepath.Dir(oldpath), filepath.Dir(newpath)
	if err := SyncDir(to); err != nil || from == to {
		return err
	}
	return SyncDir(from)
}

// Mkdir makes one directory with mode 0700 regardless of the umask and syncs
// its parent. One that exists is fine, and its parent is synced all the same:
// whoever made it may not have come so far.
func Mkdir(path string) error {
	if err := MkdirUnsynced(path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// MkdirUnsynced is Mkdir for a caller who syncs the parent.
func MkdirUnsynced(path string) error {
	err := os.Mkdir(path, 0o700)
	switch {
	case err == nil:
		if err := os.Chmod(path, 0o700); err != nil {
			return fmt.Errorf("make directory: %w", err)
		}
	case errors.Is(err, fs.ErrExist):
		if fi, statErr := os.Stat(path); statErr != nil || !fi.IsDir() {
			return fmt.Errorf("make directory %s: a file of that name is in the way", path)
		}
	default:
		return fmt.Errorf("make directory: %w", err)
	}
	return nil
}

// MkdirAll makes a directory and those above it that are missing.
func MkdirAll(path string) error {
	if fi, err := os.Stat(path); err == nil && fi.IsDir() {
		return nil
	}
	if parent := filepath.Dir(path); parent != path {
		if err := MkdirAll(parent); err != nil {
			return err
		}
	}
	return Mkdir(path)
}

// SyncDir syncs the entries of a directory.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	defer d.Close()
	return Sync(d)
}

// Sync syncs an open file or directory; a failure is ErrSync.
func Sync(f *os.File) error {
	if err := f.Sync(); err != nil {
		return fmt.Errorf("%w: %w", ErrSync, err)
	}
	return nil
}

// IsNoSpace reports whether err says that the file system, the quota or the
// file size limit has no room left. A failed fsync is never that.
func IsNoSpace(err error) bool {
	return !errors.Is(err, ErrSync) &&
		(errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG))
}
