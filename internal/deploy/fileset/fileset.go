// Package fileset changes several files of a checkout as one: they are staged
// and journalled first, renamed in after the commit point, and a later run
// finishes or discards what was interrupted. Nothing outside the checkout is
// touched.
package fileset

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"chartd.dev/chartd/internal/deploy/gitrepo"
)

// Root is a directory whose files are read and changed. Paths have slashes
// and start there. A Root is for one goroutine, but several Roots, in several
// processes, may be of one directory.
type Root struct {
	root   *os.Root
	home   string   // the directory in which the state directory lies
	state  []string // the state directory's path from home, element by element
	ignore bool     // the state directory lies among the user's files

	mu   sync.Mutex
	held *os.Root // the state directory, while the lock is held
}

// Open opens the directory dir. Nothing is written before Lock.
//
// The state directory with lock and journal lies in the git directory of the
// checkout, where git never looks and "git clean" does not reach, or else in
// dir itself.
func Open(dir string) (*Root, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return nil, fail("open directory", dir, err)
	}
	r := &Root{home: dir, state: []string{".chartctl"}, ignore: true}
	place, err := gitrepo.Find(dir)
	switch {
	case err == nil:
		r.home, r.ignore = place.Dir, false
		r.state = []string{"chartctl"}
		below, err := filepath.Rel(place.Root, dir)
		if err != nil {
			return nil, fail("open directory", dir, err)
		}
		if below != "." {
			r.state = append(r.state, digest([]byte(below))[:16])
		}
	case !errors.Is(err, gitrepo.ErrNone):
		return nil, fmt.Errorf("open directory %q: %w", dir, err)
	}
	if r.root, err = os.OpenRoot(dir); err != nil {
		return nil, fail("open directory", dir, err)
	}
	return r, nil
}

// Close lets go of the directory, and of the lock if it is held.
func (r *Root) Close() error {
	r.release()
	return r.root.Close()
}

// Dir is the directory's path, absolute and without symbolic links.
func (r *Root) Dir() string { return r.root.Name() }

// StateDir is the path of the directory for lock and journal; it may not
// exist yet.
func (r *Root) StateDir() string {
	return filepath.Join(append([]string{r.home}, r.state...)...)
}

// openState opens the state directory, making it if create is set. It is nil
// where there is none. No element of its path may be a symbolic link.
func (r *Root) openState(create bool) (*os.Root, error) {
	at, err := os.OpenRoot(r.home)
	if err != nil {
		return nil, fail("open directory", r.home, err)
	}
	for _, name := range r.state {
		next, err := openBelow(at, name, create)
		_ = at.Close()
		if err != nil || next == nil {
			return nil, err
		}
		at = next
	}
	if create && r.ignore {
		if err := ignoreAll(at); err != nil {
			_ = at.Close()
			return nil, err
		}
	}
	return at, nil
}

func openBelow(at *os.Root, name string, create bool) (*os.Root, error) {
	path := filepath.Join(at.Name(), name)
	fi, err := at.Lstat(name)
	if errors.Is(err, os.ErrNotExist) {
		if !create {
			return nil, nil
		}
		if err := at.Mkdir(name, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, fail("make directory", path, err)
		}
		if err := syncRoot(at); err != nil {
			return nil, fail("make directory", path, err)
		}
		fi, err = at.Lstat(name)
	}
	if err != nil {
		return nil, fail("open directory", path, err)
	}
	if !fi.IsDir() {
		return nil, unsafePath(path, "a directory of that name is needed, and this is a %s; remove it", kind(fi.Mode()))
	}
	next, err := at.OpenRoot(name)
	if err != nil {
		return nil, fail("open directory", path, err)
	}
	if now, err := next.Stat("."); err != nil || !os.SameFile(fi, now) {
		_ = next.Close()
		return nil, unsafePath(path, "it is being replaced at this moment; run the command again")
	}
	return next, nil
}

// ignoreAll keeps the state directory out of every "git add", also of a
// repository that is made later.
func ignoreAll(state *os.Root) error {
	const name = ".gitignore"
	f, err := state.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err == nil {
		_, err = f.WriteAt([]byte("*\n"), 0)
		err = errors.Join(err, f.Close())
	}
	return fail("write", filepath.Join(state.Name(), name), err)
}
