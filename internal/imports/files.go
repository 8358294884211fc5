package imports

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// opener is where files are read from.
type opener interface {
	Stat(name string) (fs.FileInfo, error)
	Open(name string) (*os.File, error)
}

// anywhere is for names that the user gave.
type anywhere struct{}

func (anywhere) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }
func (anywhere) Open(name string) (*os.File, error)    { return os.Open(name) }

// within is for names that a repository gave: whoever may write into it must
// not have other files of this machine published.
type within struct{ *os.Root }

// Stat says of a link that cannot be followed that it is one.
func (w within) Stat(name string) (fs.FileInfo, error) {
	info, err := w.Root.Stat(name)
	if err == nil {
		return info, nil
	}
	if to, linkErr := w.Readlink(name); linkErr == nil {
		return nil, fmt.Errorf("%q is a link to %q: only relative links to files below %q are followed; copy the file there", name, to, w.Name())
	}
	return nil, err
}

// readFile reads at most max bytes of a regular file, or of a link to one; a
// pipe or a device in a repository must not hang the import.
func readFile(from opener, name string, max int64) ([]byte, error) {
	info, err := from.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("not a regular file")}
	}
	f, err := from.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	buf := bytes.NewBuffer(make([]byte, 0, min(info.Size(), max)+bytes.MinRead))
	_, err = buf.ReadFrom(io.LimitReader(f, max+1))
	b := buf.Bytes()
	if err == nil && int64(len(b)) > max {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("%w: over %d bytes", errTooLarge, max)}
	}
	return b, err
}
