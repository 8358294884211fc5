package storage

import (
	"io"
	"os"
)

// File is a verified blob on disk, at an offset of its own: the descriptor
// below it may serve others at the same time.
type File struct {
	f       *os.File
	off     int64
	release func()
}

// NewFile returns a File at the start of f. Its Close calls release, which
// gives f back.
func NewFile(f *os.File, release func()) *File { return &File{f: f, release: release} }

// Read implements io.Reader.
func (f *File) Read(p []byte) (int, error) {
	n, err := f.f.ReadAt(p, f.off)
	f.off += int64(n)
	if n > 0 && err == io.EOF {
		err = nil // the next read says so
	}
	return n, err
}

// Skip moves on by n bytes.
func (f *File) Skip(n int64) { f.off += n }

// Place is the descriptor, good until Close, and the offset in it: for system
// calls that read at an offset they are given.
func (f *File) Place() (fd uintptr, off int64) { return f.f.Fd(), f.off }

// Name is the path of the file.
func (f *File) Name() string { return f.f.Name() }

// Close gives the descriptor back. It must be called once.
func (f *File) Close() error {
	f.release()
	return nil
}
