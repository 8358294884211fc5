package boltstore

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"chartd.dev/chartd/lock/overlay"
)

// number returns a number of the own bucket; a missing one is 0.
func (c contents) number(key string) uint64 {
	v := c.own[key]
	if len(v) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(v)
}

// clean reports whether nothing of the log is needed.
func (c contents) clean() bool { return c.number(epochKey) == 0 || c.number(cleanKey) == 1 }

// base is the state of the database file alone.
func (c contents) base() *state {
	st := &state{revision: c.number(revisionKey), counts: make(map[string]uint64), end: logPage}
	for key := range c.own {
		if name, ok := strings.CutPrefix(key, countPrefix); ok {
			st.counts[name] = c.number(key)
		}
	}
	st.active = &layer{since: st.revision}
	return st
}

// tail is what the log has and the database file has not.
type tail struct {
	frames  []frame
	after   [2][]byte // of each file what follows the frames that are needed
	dropped []int     // files that end in what is no whole frame
	marked  uint64    // up to which update the log was confirmed, as far as marks say
}

// warning says what is dropped. A write that did not end and a last one that
// was damaged later look the same.
func (t *tail) warning(path string, c contents) string {
	if len(t.dropped) == 0 {
		return ""
	}
	var names []string
	holds := ""
	for _, file := range t.dropped {
		names = append(names, filepath.Base(LogPath(path, file)))
		if f, ok := begun(t.after[file], c.number(epochKey)); ok {
			holds += fmt.Sprintf(" (updates, as its header says: %d in %d bytes)", f.count, f.size)
		}
	}
	return fmt.Sprintf("the last write in %s, from update %d on, is incomplete or damaged and is dropped%s: if the process or the machine stopped while it was being written, nobody was told that it succeeded; otherwise its updates were confirmed and are lost, restore a backup",
		strings.Join(names, " and "), t.end(c)+1, holds)
}

// end is the last update that the database file and the log have.
func (t *tail) end(c contents) uint64 { return max(t.last(), c.number(revisionKey)) }

// unfinished makes sure that what is missing at the end can be one write that did
// not end. A frame is begun when the one before it is on disk and confirmed, so
// the only one that may be torn is that of the next update, and no mark knows it.
func (t *tail) unfinished(path string, c contents) error {
	next := t.end(c) + 1
	if !c.clean() && t.marked >= next {
		return fmt.Errorf("the updates %d to %d are damaged or missing in its log, and they had been confirmed", next, t.marked)
	}
	for file, b := range t.after {
		for ; len(b) >= logPage; b = b[logPage:] {
			if f, ok := begun(b, c.number(epochKey)); ok && f.first > next {
				return fmt.Errorf("the updates from %d on are damaged in its log: a later write, from update %d on, was begun in %q, so they had been confirmed", next, f.first, LogPath(path, file))
			}
		}
	}
	return nil
}

// readTail reads both files of the log and makes sure that nothing is missing
// between the database file and the end of the log.
func readTail(path string, c contents) (tail, error) {
	var t tail
	revision := c.number(revisionKey)
	for i := range 2 {
		b, err := readLog(path, i)
		if err == nil {
			err = t.read(logBytes{i, b}, c)
			t.marked = max(t.marked, confirmed(b, c.number(epochKey)))
		}
		if err != nil {
			return t, fmt.Errorf("its log %q: %w", LogPath(path, i), err)
		}
	}
	t.sort()
	for _, f := range t.frames {
		if f.first != revision+1 {
			return t, fmt.Errorf("the updates %d to %d are in its log, and those from %d on, which come before them, are damaged or missing", f.first, f.last(), revision+1)
		}
		revision = f.last()
	}
	return t, t.unfinished(path, c)
}

func (t *tail) sort() {
	slices.SortStableFunc(t.frames, func(a, b frame) int { return cmp.Compare(a.first, b.first) })
}

// logBytes is one file of the log; nil if it does not exist.
type logBytes struct {
	file int
	b    []byte
}

// known checks whose log it is.
func (l logBytes) known(c contents) error {
	epoch, ok := parseHeader(l.file, l.b)
	switch {
	case !c.clean() && l.b == nil:
		return fmt.Errorf("it is missing, and the database was not closed: it may hold updates after %d", c.number(revisionKey))
	case !c.clean() && !ok:
		return errors.New("its header is damaged")
	case !c.clean() && epoch != c.number(epochKey):
		return errors.New("it belongs to another database, or to another time of this one")
	case !ok && len(l.b) >= logPage && !blank(l.b[:logPage]) && !strings.HasPrefix(string(l.b), logMagic):
		return fmt.Errorf("it is no log of a %s; move it away", application)
	}
	return nil
}

// read adds the frames of a file that the database file does not have.
func (t *tail) read(l logBytes, c contents) error {
	if err := l.known(c); err != nil {
		return err
	}
	b, revision := l.b, c.number(revisionKey)
	if c.clean() && (len(b) < 2*logPage || blank(b[logPage:2*logPage])) {
		return nil
	}
	end := int64(logPage) // of the last frame that is needed
	for at := int64(logPage); at < int64(len(b)); {
		f, ok := parseFrame(b[at:])
		if !ok {
			at += logPage
			continue
		}
		at += f.size
		if f.last() <= revision {
			continue
		}
		if f.epoch != c.number(epochKey) {
			return fmt.Errorf("it belongs to another database or to a later copy of this one: it holds update %d, and this one ends at update %d", f.last(), revision)
		}
		t.frames = append(t.frames, f)
		end = at
	}
	t.after[l.file] = b[min(end, int64(len(b))):]
	return t.rest(l.file, t.after[l.file], c)
}

// rest looks at what follows the last frame that is needed.
func (t *tail) rest(file int, b []byte, c contents) error {
	if len(b) >= logPage && blank(b[:logPage]) {
		return nil
	}
	if _, old := parseFrame(b); old {
		return nil
	}
	if !c.clean() && beyond(b, c.number(epochKey)) {
		return fmt.Errorf("it was cut off after update %d", t.end(c))
	}
	t.dropped = append(t.dropped, file)
	return nil
}

func (t *tail) last() (revision uint64) {
	for _, f := range t.frames {
		revision = max(revision, f.last())
	}
	return revision
}

// replay returns the state of the database file with the log's updates.
func (s *Store) replay(c contents, t tail) (*state, error) {
	base := c.base()
	if len(t.frames) == 0 {
		return base, nil
	}
	d := base.draft()
	v, err := s.view(func() *state { return &d.state })
	if err != nil {
		return nil, err
	}
	defer v.end()
	for _, f := range t.frames {
		ok, err := f.updates(func(writes []overlay.Write) error { return d.apply(writes, v.exists) })
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, fmt.Errorf("the updates %d to %d of its log cannot be read", f.first, f.last())
		}
	}
	st := d.state.rotated()
	st.frozen.file = none
	for _, f := range t.frames {
		st.frozen.logged += f.size
	}
	st.file, st.end = 0, logPage
	return st, nil
}

// none is the log file of updates that were read at the start.
const none = -1
