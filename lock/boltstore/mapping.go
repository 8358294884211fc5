package boltstore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// mapping is a whole file in memory, for reading only. A page that is read
// where it lies costs no call and no copy, which is most of what checking a
// large file costs.
type mapping []byte

func (m mapping) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 || off > int64(len(m)) {
		return 0, io.EOF
	}
	n := copy(b, m[off:])
	if n < len(b) {
		return n, io.ErrUnexpectedEOF
	}
	return n, nil
}

// withMapping calls fn with the file mapped. A fault on it, because somebody
// cut the file meanwhile or the disk cannot read it, is an error.
func withMapping(f *os.File, size int64, fn func(io.ReaderAt) error) (err error) {
	m, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return fn(f) // slower, and as good
	}
	_ = unix.Madvise(m, unix.MADV_WILLNEED) // a hint
	err = faultless(func() error { return fn(mapping(m)) })
	return errors.Join(err, unix.Munmap(m))
}

// faultless makes a fault on mapped memory an error of fn, in its goroutine.
func faultless(fn func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if v := recover(); v != nil {
			if !isFault(v) {
				panic(v)
			}
			err = fmt.Errorf("its pages cannot be read: %v", v)
		}
	}()
	return fn()
}
