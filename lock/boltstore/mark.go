package boltstore

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"chartd.dev/chartd/internal/durable"
	"chartd.dev/chartd/lock/store"
)

// A mark says up to which update the log has been confirmed. It stands in the
// first page of the file that frames are not written to, so that a start misses
// frames that are gone without a trace: zeroed, moved, or put back as they were
// before. It is written behind a sync and not synced itself, which would cost
// another third of a lone update: after a power cut it may be some seconds older,
// and asks for less.
const (
	markMagic = 0x4b4d4644
	markSize  = 24 // magic, checksum, epoch, revision
	markEvery = 16 // frames at most, while there is always a next one to write
)

// markAt are the places of marks, used in turn: one that is cut off leaves the
// other.
var markAt = [2]int64{512, 1024}

func markSum(b []byte) uint32 { return crc32.Checksum(b[8:markSize], castagnoli) }

// mark notes beside a file that the updates up to a revision were confirmed. On a
// full disk the one before stays.
func (w *wal) mark(file int, revision uint64) error {
	beside := 1 - file
	w.marks++
	b := make([]byte, markSize)
	binary.LittleEndian.PutUint32(b, markMagic)
	binary.LittleEndian.PutUint64(b[8:], w.epoch)
	binary.LittleEndian.PutUint64(b[16:], revision)
	binary.LittleEndian.PutUint32(b[4:], markSum(b))
	if _, err := w.files[beside].WriteAt(b, markAt[w.marks%2]); err != nil && !durable.IsNoSpace(err) {
		return fmt.Errorf("%w: write %s: %w; it is checked at the next start", store.ErrBroken, LogPath(w.path, beside), err)
	}
	return nil
}

// confirmed is the last update that the marks of a file vouch for; 0 where there
// is none of this time.
func confirmed(file []byte, epoch uint64) (revision uint64) {
	for _, at := range markAt {
		if int64(len(file)) < at+markSize {
			continue
		}
		b := file[at : at+markSize]
		if binary.LittleEndian.Uint32(b) == markMagic && binary.LittleEndian.Uint32(b[4:]) == markSum(b) && binary.LittleEndian.Uint64(b[8:]) == epoch {
			revision = max(revision, binary.LittleEndian.Uint64(b[16:]))
		}
	}
	return revision
}
