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
	w := walk{root: r, name: name, todo: strings.Split(name, "/")}
	for len(w.todo) > 0 {
		if err := w.step(); errors.Is(err, fs.ErrNotExist) {
			return w.missing, nil, err
		} else if err != nil {
			return "", nil, err
		}
	}
	at := path.Join(w.done...)
	if err := checkPath(at); err != nil {
		return "", nil, unsafePath(name, "a symbolic link leads to %q", at)
	}
	return at, w.fi, nil
}

// walk goes a path element by element.
type walk struct {
	root    *Root
	name    string // as it was given
	todo    []string
	done    []string    // directories, none of them a link, and the file
	fi      fs.FileInfo // of the last element
	links   int
	linked  bool   // the last element of name is itself a link
	missing string // the path of the file that is not there
}

func (w *walk) step() error {
	elem := w.todo[0]
	w.todo = w.todo[1:]
	switch elem {
	case "", ".":
		return nil
	case "..":
		if len(w.done) == 0 {
			return w.outside()
		}
		w.done = w.done[:len(w.done)-1]
		return nil
	}
	at := path.Join(path.Join(w.done...), elem)
	var err error
	w.fi, err = w.root.root.Lstat(at)
	switch {
	case errors.Is(err, fs.ErrNotExist) && w.linked:
		return unsafePath(w.name, "the symbolic link leads to %q, which does not exist", at)
	case errors.Is(err, fs.ErrNotExist) && len(w.todo) == 0:
		w.missing = at
		return fail("read", w.name, err)
	case err != nil:
		return fail("read", w.name, err)
	case w.fi.Mode()&fs.ModeSymlink != 0:
		return w.follow(at)
	case len(w.todo) > 0 && !w.fi.IsDir():
		return fmt.Errorf("read %q: %q is no directory: %w", w.name, at, fs.ErrNotExist)
	}
	w.done = append(w.done, elem)
	return nil
}

func (w *walk) follow(link string) error {
	if w.links++; w.links > maxLinks {
		return unsafePath(w.name, "its symbolic links lead in a circle")
	}
	w.linked = w.linked || len(w.todo) == 0
	target, err := w.root.root.Readlink(link)
	if err != nil {
		return fail("read", w.name, err)
	}
	if strings.HasPrefix(target, "/") {
		return w.outside()
	}
	w.todo = append(strings.Split(target, "/"), w.todo...)
	return nil
}

func (w *walk) outside() error {
	return unsafePath(w.name, "a symbolic link leads out of the checkout")
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
