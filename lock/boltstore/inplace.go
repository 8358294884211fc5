package boltstore

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"chartd.dev/chartd/lock/store"
)

// inode is which file an open one is, whatever its name leads to by now.
type inode struct {
	path     string
	dev, ino uint64
}

func inodeOf(f *os.File) (inode, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return inode{}, fmt.Errorf("stat %s: %w", f.Name(), err)
	}
	return inode{f.Name(), uint64(st.Dev), uint64(st.Ino)}, nil
}

// inPlace makes sure that the next start will find the files that this process
// writes to, the database file and these of the log: nothing may be acknowledged
// into one that was removed.
func (s *Store) inPlace(logs ...int) error {
	if err := s.id.inPlace(0); err != nil {
		return err
	}
	for _, i := range logs {
		if err := s.log.ids[i].inPlace(s.log.sizes[i]); err != nil {
			return err
		}
	}
	return nil
}

// inPlace is an error unless the file has its name still and is at least so
// large.
func (id inode) inPlace(size int64) error {
	var st unix.Stat_t
	err := unix.Stat(id.path, &st)
	for errors.Is(err, unix.EINTR) {
		err = unix.Stat(id.path, &st)
	}
	switch {
	case err != nil:
		err = fmt.Errorf("stat: %w", err)
	case uint64(st.Dev) != id.dev || uint64(st.Ino) != id.ino:
		err = errors.New("another file has its name")
	case st.Size < size:
		err = fmt.Errorf("it was cut off to %d bytes", st.Size)
	default:
		return nil
	}
	return fmt.Errorf("%w: %s was removed, replaced or cut off while it was in use: %w; put it back if it was moved, or restore a backup with \"chartd restore FILE --data NEWDIR\"", store.ErrBroken, id.path, err)
}
