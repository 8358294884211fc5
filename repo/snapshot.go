package repo

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"chartd.dev/chartd/internal/durable"
	"chartd.dev/chartd/lock"
)

// A snapshot is the index on disk, so that a start need not read every record.
// It is a cache: it carries the digest of what it holds and the generation's
// own record, and whatever does not fit is passed over and made anew.
//
//	chartd index snapshot 1
//	{"generation":…,"record":…,"at":…,"lines":…}
//	NAME VERSION SEQUENCE SIZE and so many bytes of JSON, for each line
//	sha256 of all before, 32 bytes
const snapshotMagic = "chartd index snapshot 1\n"

// snapshotLimit bounds one line of a snapshot.
const snapshotLimit = 16 << 20

type snapshotHead struct {
	Generation uint64          `json:"generation"`
	Record     lock.Generation `json:"record"`
	At         time.Time       `json:"at"`
	Lines      int             `json:"lines"`
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
		s.head, s.segs, s.err = readSnapshot(f)
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
	h := snapshotHead{Generation: x.generation, Record: record, At: x.at}
	for _, s := range x.segments {
		h.Lines += len(s.lines)
	}
	raw, err := json.Marshal(h)
	if err != nil {
		return err
	}
	digest := sha256.New()
	b := bufio.NewWriterSize(io.MultiWriter(w, digest), 1<<16)
	fmt.Fprintf(b, "%s%s\n", snapshotMagic, raw)
	for _, s := range x.segments {
		for i := range s.lines {
			l := &s.lines[i]
			fmt.Fprintf(b, "%s %s %d %d\n", l.name, l.version, l.seq, len(l.json))
			b.Write(l.json) // the error stays with b
		}
	}
	if err := b.Flush(); err != nil {
		return err
	}
	_, err = w.Write(digest.Sum(nil))
	return err
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

// digesting reads through a digest, but for the last bytes, which are one.
type digesting struct {
	*bufio.Reader
	sum hash.Hash
}

func (d digesting) line() ([]byte, error) {
	raw, err := d.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	d.sum.Write(raw)
	return raw[:len(raw)-1], nil
}

func (d digesting) full(n int) ([]byte, error) {
	raw := make([]byte, n)
	_, err := io.ReadFull(d, raw)
	d.sum.Write(raw)
	return raw, err
}

func readSnapshot(f io.Reader) (h snapshotHead, _ []*segment, err error) {
	d := digesting{bufio.NewReaderSize(f, 1<<20), sha256.New()}
	magic, err := d.line()
	if err != nil || string(magic)+"\n" != snapshotMagic {
		return h, nil, errSnapshot
	}
	raw, err := d.line()
	if err != nil || json.Unmarshal(raw, &h) != nil {
		return h, nil, errSnapshot
	}
	var b builder
	for range h.Lines {
		l, err := d.indexLine()
		if err != nil {
			return h, nil, err
		}
		if err := b.add(l); err != nil {
			return h, nil, err
		}
	}
	if err := b.close(); err != nil {
		return h, nil, err
	}
	want := d.sum.Sum(nil)
	got, err := io.ReadAll(io.LimitReader(d, sha256.Size+1))
	if err != nil || !bytes.Equal(got, want) {
		return h, nil, errSnapshot
	}
	return h, b.out, nil
}

func (d digesting) indexLine() (line, error) {
	raw, err := d.line()
	if err != nil {
		return line{}, err
	}
	fields := strings.Split(string(raw), " ")
	if len(fields) != 4 {
		return line{}, errSnapshot
	}
	l := line{name: fields[0], version: fields[1]}
	size, err := strconv.Atoi(fields[3])
	if err != nil || size < 0 || size > snapshotLimit {
		return l, errSnapshot
	}
	if l.seq, err = strconv.ParseUint(fields[2], 10, 64); err != nil {
		return l, errSnapshot
	}
	l.json, err = d.full(size)
	return l, err
}
