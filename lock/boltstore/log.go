package boltstore

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"chartd.dev/chartd/internal/durable"
	"chartd.dev/chartd/lock/store"
)

const (
	logMagic   = "chartdWL"
	logVersion = 1
	logHead    = 28 // magic, version, number of the file, epoch, checksum
)

// LogPath returns the name of a log file, 0 or 1, of a database.
func LogPath(database string, file int) string { return fmt.Sprintf("%s-log%d", database, file) }

// wal is the log: two files in turn, whose room is written ahead, so that a
// sync of a frame has no metadata to write.
type wal struct {
	path  string // of the database
	files [2]*os.File
	ids   [2]inode
	sizes [2]int64
	grow  int64
	epoch uint64 // 0: not ready for writing
	marks int
}

func header(file int, epoch uint64) []byte {
	b := append(make([]byte, 0, logPage), logMagic...)
	b = binary.LittleEndian.AppendUint32(b, logVersion)
	b = binary.LittleEndian.AppendUint32(b, uint32(file))
	b = binary.LittleEndian.AppendUint64(b, epoch)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return b[:logPage]
}

// parseHeader returns the epoch of a log file.
func parseHeader(file int, b []byte) (epoch uint64, ok bool) {
	if len(b) < logHead || string(b[:len(logMagic)]) != logMagic {
		return 0, false
	}
	epoch = binary.LittleEndian.Uint64(b[16:])
	return epoch, bytes.Equal(b[:logHead], header(file, epoch)[:logHead])
}

func newEpoch() uint64 {
	var b [8]byte
	for {
		_, _ = rand.Read(b[:]) // never fails
		if n := binary.LittleEndian.Uint64(b[:]); n != 0 {
			return n
		}
	}
}

// begin makes both files ready for frames of an epoch. Nothing in them is
// needed any more.
func (w *wal) begin(epoch uint64) error {
	for i := range w.files {
		if err := w.beginFile(i, epoch); err != nil {
			return fmt.Errorf("prepare %s: %w", LogPath(w.path, i), err)
		}
	}
	return durable.SyncDir(filepath.Dir(w.path))
}

func (w *wal) beginFile(i int, epoch uint64) error {
	if w.files[i] == nil {
		f, err := os.OpenFile(LogPath(w.path, i), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
		if err != nil {
			return err
		}
		fi, err := f.Stat()
		if err == nil && !fi.Mode().IsRegular() {
			err = errors.New("it is not a regular file")
		}
		if err == nil {
			err = f.Chmod(0o600)
		}
		if err == nil {
			err = giveToOwnerOf(w.path, f)
		}
		if err == nil {
			// Frames of another time, further on, must not be found again.
			err = f.Truncate(0)
		}
		if err == nil {
			w.ids[i], err = inodeOf(f)
		}
		if err != nil {
			return errors.Join(err, f.Close())
		}
		w.files[i], w.sizes[i] = f, 0
	}
	if err := w.room(i, 2*logPage); err != nil {
		return err
	}
	if _, err := w.files[i].WriteAt(append(header(i, epoch), make([]byte, logPage)...), 0); err != nil {
		return err
	}
	return durable.Sync(w.files[i])
}

// giveToOwnerOf makes f belong to whom the database does: what root makes with
// a command, the server's user has to write.
func giveToOwnerOf(database string, f *os.File) error {
	fi, err := os.Stat(database)
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return f.Chown(int(st.Uid), int(st.Gid))
}

// checkWritable makes sure that the first update will not be the one to find
// that a log file cannot be written.
func checkWritable(database string) error {
	for i := range 2 {
		f, err := os.OpenFile(LogPath(database, i), os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%w: it has to be a file that the user of the server reads and writes, as %s is%s", err, database, inTheWay(LogPath(database, i)))
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

// inTheWay says what to do about a log that is no file.
func inTheWay(path string) string {
	fi, err := os.Lstat(path)
	switch {
	case err != nil || fi.Mode().IsRegular():
		return ""
	case fi.Mode()&fs.ModeSymlink != 0:
		return "; it is a symbolic link: put the file that it leads to in its place, or move it away if there is none"
	default:
		return "; it is not a regular file: move it away, and put the log in its place if it was moved"
	}
}

// room makes a file at least so large.
func (w *wal) room(i int, need int64) error {
	if need <= w.sizes[i] {
		return nil
	}
	size := (need + w.grow - 1) / w.grow * w.grow
	for at := w.sizes[i]; at < size; {
		n, err := w.files[i].WriteAt(make([]byte, min(size-at, 1<<20)), at)
		if err != nil {
			_ = w.files[i].Truncate(w.sizes[i])
			return err
		}
		at += int64(n)
	}
	if err := durable.Sync(w.files[i]); err != nil {
		return err
	}
	w.sizes[i] = size
	return nil
}

// append writes a frame at the end of a file and syncs it. After ErrNoSpace
// the frame is not there, and never will be.
func (w *wal) append(i int, at int64, b []byte) error {
	path := LogPath(w.path, i)
	broken := func(err error) error {
		return fmt.Errorf("%w: write %s: %w; it is checked at the next start", store.ErrBroken, path, err)
	}
	if err := w.room(i, at+int64(len(b))); err != nil {
		if !durable.IsNoSpace(err) {
			return broken(err)
		}
		return fmt.Errorf("%w: write %s: %w", store.ErrNoSpace, path, err)
	}
	if _, err := w.files[i].WriteAt(b, at); err != nil {
		if !durable.IsNoSpace(err) {
			return broken(err)
		}
		if err := w.revoke(i, at, len(b)); err != nil {
			return broken(err)
		}
		return fmt.Errorf("%w: write %s: %w", store.ErrNoSpace, path, err)
	}
	if err := datasync(w.files[i]); err != nil {
		return broken(err)
	}
	return nil
}

// revoke makes sure that a frame whose write failed is not read as one.
func (w *wal) revoke(i int, at int64, size int) error {
	_, err := w.files[i].WriteAt(make([]byte, logPage), at)
	if durable.IsNoSpace(err) {
		// Where no page can be written at all, what is there has to do.
		b := make([]byte, size)
		if _, err := w.files[i].ReadAt(b, at); err != nil {
			return err
		}
		if _, ok := parseFrame(b); ok {
			return errors.New("a frame was written and cannot be taken back")
		}
		err = nil
	}
	if err != nil {
		return err
	}
	return datasync(w.files[i])
}

// free makes a file begin without a frame.
func (w *wal) free(i int) error {
	if _, err := w.files[i].WriteAt(make([]byte, logPage), logPage); err != nil {
		return err
	}
	return datasync(w.files[i])
}

func (w *wal) close() error {
	var errs []error
	for _, f := range w.files {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// readLog returns the bytes of a log file; nil if there is none.
func readLog(database string, i int) ([]byte, error) {
	f, err := os.OpenFile(LogPath(database, i), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	b := make([]byte, fi.Size())
	if _, err := f.ReadAt(b, 0); err != nil {
		return nil, err
	}
	return b, nil
}
