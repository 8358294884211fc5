package fileset

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

const maxLinks = 40

// resolve follows path through symbolic links inside the root and returns the
// path without any. A missing file is fs.ErrNotExist, with the path that it
// would have.
func (r *Root) resolve(name string) (string, fs.FileInfo, error) {
	if err := checkPath(name); err != nil {
		return "", nil, err
	}
	var (
		todo       = strings.Split(name, "/")
		done       []string
		links      int
		linked     bool // the last element itself is a link
		fi         fs.FileInfo
		outside    = func() error { return unsafePath(name, "a symbolic link leads out of the checkout") }
		notFound   = func(err error) error { return fmt.Errorf("read %q: %w", name, err) }
		splitParts = func(s string) []string { return strings.Split(s, "/") }
	)
	for len(todo) > 0 {
		elem := todo[0]
		todo = todo[1:]
		switch elem {
		case "", ".":
			continue
		case "..":
			if len(done) == 0 {
				return "", nil, outside()
			}
			done = done[:len(done)-1]
			continue
		}
		at := path.Join(path.Join(done...), elem)
		var err error
		fi, err = r.root.Lstat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist) && linked:
			return "", nil, unsafePath(name, "the symbolic link leads to %q, which does not exist", at)
		case errors.Is(err, fs.ErrNotExist) && len(todo) == 0:
			return at, nil, notFound(err)
		case errors.Is(err, fs.ErrNotExist):
			return "", nil, notFound(err)
		case err != nil:
			return "", nil, fail("read", name, err)
		}
		switch {
		case fi.Mode()&fs.ModeSymlink != 0:
			if links++; links > maxLinks {
				return "", nil, unsafePath(name, "its symbolic links lead in a circle")
			}
			linked = linked || len(todo) == 0
			target, err := r.root.Readlink(at)
			if err != nil {
				return "", nil, fail("read", name, err)
			}
			if strings.HasPrefix(target, "/") {
				return "", nil, outside()
			}
			todo = append(splitParts(target), todo...)
		case len(todo) > 0 && !fi.IsDir():
			return "", nil, notFound(fmt.Errorf("%q is no directory: %w", at, fs.ErrNotExist))
		default:
			done = append(done, elem)
		}
	}
	at := path.Join(done...)
	if err := checkPath(at); err != nil {
		return "", nil, unsafePath(name, "a symbolic link leads to %q", at)
	}
	return at, fi, nil
}

// checkPath refuses what is no path of a user's file. What git and chartctl
// keep for themselves is not.
func checkPath(name string) error {
	if !fs.ValidPath(name) || name == "." || strings.ContainsRune(name, 0) {
		return unsafePath(name, "it has to be a path below the checkout, such as %q", "hub/values.yaml")
	}
	for elem := range strings.SplitSeq(name, "/") {
		if own(elem) {
			return unsafePath(name, "%q belongs to git or chartctl", elem)
		}
	}
	return nil
}

func own(elem string) bool {
	return strings.EqualFold(elem, ".git") || strings.EqualFold(elem, ".chartctl")
}

func kind(m fs.FileMode) string {
	switch {
	case m.IsRegular():
		return "regular file"
	case m.IsDir():
		return "directory"
	case m&fs.ModeSymlink != 0:
		return "symbolic link"
	case m&fs.ModeNamedPipe != 0:
		return "named pipe"
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeDevice != 0:
		return "device"
	}
	return "special file"
}
