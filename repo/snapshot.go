package repo

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"chartd.dev/chartd/internal/durable"
	"chartd.dev/chartd/lock"
)

// A snapshot is the index on disk, so that a start need not read every record.
// It is a cache: it carries the digest of what it holds and the generation's
// own record, and whatever does not fit is passed over and made anew.
//
//	chartd index snapshot 3
//	{"generation":…,"record":…,"at":…,"segments":…,"table":…,"deflate":…}
//	the table: what is known of each segment, see appendTable
//	sha256 of all before, 32 bytes
//	the bodies of each segment: plain, then compressed if it was made
//
// Bodies are covered by the CRC-32 that the table has of each, which a gzip
// stream needs anyway. Compressed ones are taken over only where this program
// would compress alike: an entity tag stands for the compressed bytes too.
const snapshotMagic = "chartd index snapshot 3\n"

type snapshotHead struct {
	Generation uint64          `json:"generation"`
	Record     lock.Generation `json:"record"`
	At         time.Time       `json:"at"`
	Segments   int             `json:"segments"`
	Table      int64           `json:"table"`             // its size
	Deflate    string          `json:"deflate,omitempty"` // what the compressor makes of a sample
}

// Snapshot is the place of a snapshot, and what was in it at the start.
type Snapshot struct {
	path string
	read chan struct{} // closed when the rest is known
	head snapshotHead
	segs []*segment
	err  error
}

// ReadSnapshot begins to read the snapshot at path, beside whatever else a
// start has to do. A file that is missing or damaged is as good as none.
func ReadSnapshot(path string) *Snapshot {
	s := &Snapshot{path: path, read: make(chan struct{})}
	go func() {
		defer close(s.read)
		// What a crash left of writing one.
		left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".*"))
		for _, name := range left {
			_ = os.Remove(name)
		}
		f, err := os.Open(path)
		if err != nil {
			s.err = err
			return
		}
		defer f.Close()
		fi, err := f.Stat()
		if err != nil {
			s.err = err
			return
		}
		s.head, s.segs, s.err = readSnapshot(f, fi.Size())
	}()
	return s
}

// take returns what was read, once: after that it belongs to the index.
func (s *Snapshot) take() (snapshotHead, []*segment, error) {
	<-s.read
	segs := s.segs
	s.segs = nil
	if s.err == nil && segs == nil {
		return s.head, nil, errSnapshot
	}
	return s.head, segs, s.err
}

// SaveIndex writes the snapshot, if there is a place for it and the index
// moved since the last one.
func (r *Repository) SaveIndex(ctx context.Context) error {
	if r.Snapshot == nil {
		return nil
	}
	x, err := r.Index(ctx)
	if err != nil || x.generation == 0 || x.generation == r.index.saved.Load() {
		return err
	}
	record, err := r.Lock.IndexGenerationAt(ctx, x.generation)
	if err != nil {
		return fmt.Errorf("save index: %w", err)
	}
	if err := durable.WriteFileFrom(r.Snapshot.path, 0o600, func(w io.Writer) error { return writeSnapshot(w, x, record) }); err != nil {
		return fmt.Errorf("save index: %w", err)
	}
	r.index.saved.Store(x.generation)
	return nil
}

// IndexSaveDue says that the snapshot is so far behind that a start would feel
// it: by a twentieth of the index, and a thousand generations at least.
func (r *Repository) IndexSaveDue() bool {
	x := r.index.current.Load()
	if x == nil || r.Snapshot == nil {
		return false
	}
	behind := x.generation - min(x.generation, r.index.saved.Load())
	return behind >= max(1000, uint64(len(x.segments)*segmentLines/20))
}

func writeSnapshot(w io.Writer, x *Index, record lock.Generation) error {
	h := snapshotHead{Generation: x.generation, Record: record, At: x.at, Segments: len(x.segments), Deflate: deflater()}
	packed := make([][]byte, len(x.segments)) // more may be made meanwhile
	size := 0
	for _, s := range x.segments {
		size += tableFixed + len(s.keys) + len(s.spans)*spanSize
	}
	table := make([]byte, 0, size)
	for i, s := range x.segments {
		packed[i] = s.part.gzip.made()
		table = s.appendTable(table, packed[i])
	}
	h.Table = int64(len(table))
	raw, err := json.Marshal(h)
	if err != nil {
		return err
	}
	digest := sha256.New()
	b := bufio.NewWriterSize(w, 1<<16)
	for _, part := range [][]byte{[]byte(snapshotMagic), raw, {'\n'}, table} {
		digest.Write(part)
		b.Write(part) // the error stays with b
	}
	b.Write(digest.Sum(nil))
	for i, s := range x.segments {
		b.Write(s.plain)
		b.Write(packed[i])
	}
	return b.Flush()
}

// loadSnapshot returns the index of the snapshot, or the empty one if there is
// none that belongs to this lock file.
func (r *Repository) loadSnapshot(ctx context.Context) *Index {
	none := r.newIndex(0, time.Time{})
	if r.Snapshot == nil {
		return none
	}
	h, segments, err := r.Snapshot.take()
	if err != nil {
		return none
	}
	if mine, err := r.Lock.IndexGenerationAt(ctx, h.Generation); err != nil || mine.Chart != h.Record.Chart || !mine.At.Equal(h.Record.At) {
		return none
	}
	x := r.newIndex(h.Generation, h.At)
	x.segments = segments
	r.index.saved.Store(x.generation)
	return x
}

var errSnapshot = errors.New("not a snapshot of an index")

// tableFixed is the part of a segment in the table that all have: four sizes,
// two checksums and the digest.
const tableFixed = 6*4 + sha256.Size

const spanSize = 8 + 4*4

// appendTable appends what a snapshot keeps of a segment beside its bodies.
func (s *segment) appendTable(b, packed []byte) []byte {
	order := binary.LittleEndian
	for _, n := range []int{len(s.spans), len(s.keys), len(s.plain), len(packed)} {
		b = order.AppendUint32(b, uint32(n))
	}
	b = order.AppendUint32(b, s.part.sum(s.plain).crc)
	b = order.AppendUint32(b, crc32.ChecksumIEEE(packed))
	b = append(b, s.sum[:]...)
	b = append(b, s.keys...)
	for _, at := range s.spans {
		b = order.AppendUint64(b, at.seq)
		for _, n := range []uint32{at.name, at.version, at.json, at.end} {
			b = order.AppendUint32(b, n)
		}
	}
	return b
}

// storedSegment is a segment of a snapshot whose bodies are still to be read.
type storedSegment struct {
	*segment
	at            int64 // of the bodies
	plain, packed uint32
	plainSum      uint32
	packedSum     uint32
}

// readTable takes a segment off the table.
func readTable(b []byte, after string) (s storedSegment, rest []byte, err error) {
	if len(b) < tableFixed {
		return s, nil, errSnapshot
	}
	order := binary.LittleEndian
	lines, keys := uint64(order.Uint32(b)), uint64(order.Uint32(b[4:]))
	s = storedSegment{segment: &segment{after: after}, plain: order.Uint32(b[8:]), packed: order.Uint32(b[12:]), plainSum: order.Uint32(b[16:]), packedSum: order.Uint32(b[20:])}
	copy(s.sum[:], b[24:])
	if b = b[tableFixed:]; lines == 0 || uint64(len(b)) < keys+lines*spanSize {
		return s, nil, errSnapshot
	}
	s.keys, b = string(b[:keys]), b[keys:]
	s.spans = make([]span, lines)
	var key, end uint32
	for i := range s.spans {
		at := span{order.Uint64(b), order.Uint32(b[8:]), order.Uint32(b[12:]), order.Uint32(b[16:]), order.Uint32(b[20:])}
		if at.name < key || at.version < at.name || at.json < end || at.end < at.json {
			return s, nil, errSnapshot
		}
		key, end, b = at.version, at.end, b[spanSize:]
		s.spans[i] = at
	}
	if uint64(key) > keys || end > s.plain {
		return s, nil, errSnapshot
	}
	return s, b, s.place()
}

// readSnapshot reads the table, and then the bodies on all cores.
func readSnapshot(f io.ReaderAt, size int64) (h snapshotHead, _ []*segment, err error) {
	r := bufio.NewReader(io.NewSectionReader(f, 0, size))
	digest := sha256.New()
	magic, err := r.ReadSlice('\n')
	if err != nil || string(magic) != snapshotMagic {
		return h, nil, errSnapshot
	}
	digest.Write(magic)
	raw, err := r.ReadSlice('\n')
	if err != nil || json.Unmarshal(raw, &h) != nil || h.Table < 0 || h.Table > size || h.Segments < 0 || int64(h.Segments) > h.Table {
		return h, nil, errSnapshot
	}
	digest.Write(raw)
	at := int64(len(snapshotMagic)+len(raw)) + h.Table + sha256.Size
	table := make([]byte, h.Table+sha256.Size)
	if _, err := io.ReadFull(r, table); err != nil {
		return h, nil, errSnapshot
	}
	table, sum := table[:h.Table], table[h.Table:]
	digest.Write(table)
	if !bytes.Equal(digest.Sum(nil), sum) {
		return h, nil, errSnapshot
	}
	stored, out := make([]storedSegment, h.Segments), make([]*segment, h.Segments)
	after := ""
	for i := range stored {
		s := &stored[i]
		if *s, table, err = readTable(table, after); err != nil {
			return h, nil, errSnapshot
		}
		s.at = at
		at += int64(s.plain) + int64(s.packed)
		after, out[i] = s.last(), s.segment
	}
	if len(table) > 0 || at != size {
		return h, nil, errSnapshot
	}
	return h, out, readBodies(f, stored, h.Deflate != "" && h.Deflate == deflater())
}

func readBodies(f io.ReaderAt, list []storedSegment, packed bool) error {
	var next atomic.Int64
	var failed atomic.Bool
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(list)) && !failed.Load(); i = next.Add(1) - 1 {
				if !list[i].read(f, packed) {
					failed.Store(true)
				}
			}
		})
	}
	workers.Wait()
	if failed.Load() {
		return errSnapshot
	}
	return nil
}

// read reads the bodies, and reports whether they are what was written.
func (s *storedSegment) read(f io.ReaderAt, packed bool) bool {
	s.segment.plain = make([]byte, s.plain)
	if _, err := f.ReadAt(s.segment.plain, s.at); err != nil {
		return false
	}
	if sum := s.part.sum(s.segment.plain); sum.crc != s.plainSum {
		return false
	}
	if s.packed == 0 || !packed {
		return true
	}
	data := make([]byte, s.packed)
	if _, err := f.ReadAt(data, s.at+int64(s.plain)); err != nil || crc32.ChecksumIEEE(data) != s.packedSum {
		return false
	}
	s.part.gzip.data = data
	return true
}

// deflater tells compressors apart by what they make of a sample: the same
// index has the same compressed bytes whoever made them.
var deflater = sync.OnceValue(func() string {
	var sample []byte
	for i := range 400 {
		sample = fmt.Appendf(sample, `{"name":"chart-%d","version":"%d.%d.%d","digest":"%x","created":"2017-06-0%dT12:00:00Z"},`,
			i/40, i/7, i%7, i%3, sha256.Sum256([]byte{byte(i)}), 1+i%9)
	}
	packed, err := deflate(sample)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%x", sha256.Sum256(packed))
})
