package fileset

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
)

// Read returns the content of a regular file of max bytes at most. It is
// fs.ErrNotExist, ErrUnsafe, ErrTooLarge or ErrIO. It never blocks: what is no
// regular file is not even opened.
func (r *Root) Read(name string, max int64) ([]byte, error) {
	at, fi, err := r.resolve(name)
	if err != nil {
		return nil, err
	}
	f, err := r.openRegular(at, fi, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, at, max)
}

// openRegular opens the file that resolve found, and that one only.
func (r *Root) openRegular(at string, fi fs.FileInfo, flag int) (*os.File, error) {
	if !fi.Mode().IsRegular() {
		return nil, unsafePath(at, "it is a %s", kind(fi.Mode()))
	}
	f, err := r.root.OpenFile(at, flag|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fail("open", at, err)
	}
	if now, err := f.Stat(); err != nil || !os.SameFile(fi, now) {
		_ = f.Close()
		return nil, fmt.Errorf("open %q: %w: it was replaced at this moment; run the command again", at, ErrChanged)
	}
	return f, nil
}

func readAll(f *os.File, at string, most int64) ([]byte, error) {
	fi, err := f.Stat()
	if err != nil {
		return nil, fail("read", at, err)
	}
	if fi.Size() > most {
		return nil, fmt.Errorf("read %q: %w: %d bytes, and %d are the most", at, ErrTooLarge, fi.Size(), most)
	}
	b := bytes.NewBuffer(make([]byte, 0, fi.Size()+bytes.MinRead))
	n, err := io.Copy(b, io.LimitReader(f, most+1))
	if err != nil {
		return nil, fail("read", at, err)
	}
	if n > most {
		return nil, fmt.Errorf("read %q: %w: more than %d bytes", at, ErrTooLarge, most)
	}
	return b.Bytes(), nil
}

const maxDepth = 64

// Files lists the regular files below the root, sorted, and what was left out
// with the reason: links and special files, directories deeper than any deploy
// repo's, and everything after the first most files. It does not follow links,
// and passes over the directories of git and chartctl without a word.
func (r *Root) Files(most int) (files, left []string, err error) {
	todo := []string{"."}
	for len(todo) > 0 {
		dir := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		entries, err := fs.ReadDir(r.root.FS(), dir)
		if errors.Is(err, fs.ErrPermission) && dir != "." {
			left = append(left, fmt.Sprintf("%q: permission denied", dir))
			continue
		}
		if err != nil {
			return nil, nil, fail("list", dir, err)
		}
		var below []string
		for _, e := range entries {
			name := path.Join(dir, e.Name())
			switch {
			case own(e.Name()):
			case checkPath(name) != nil:
				left = append(left, fmt.Sprintf("%q: no valid name", name))
			case e.IsDir() && strings.Count(name, "/") >= maxDepth:
				left = append(left, fmt.Sprintf("%q: deeper than %d directories", name, maxDepth))
			case e.IsDir():
				below = append(below, name)
			case !e.Type().IsRegular():
				left = append(left, fmt.Sprintf("%q: a %s", name, kind(e.Type())))
			case len(files) >= most:
				left = append(left, fmt.Sprintf("%q and all after it: more than %d files", name, most))
				slices.Sort(files)
				return files, left, nil
			default:
				files = append(files, name)
			}
		}
		slices.Reverse(below)
		todo = append(todo, below...)
	}
	slices.Sort(files)
	return files, left, nil
}
